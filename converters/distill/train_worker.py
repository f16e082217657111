"""The child that trains: alone, or as one of many under ``torchrun``, on one machine or several.

On several machines, each with the work folder that ``edgekit distill … --prepare-only`` makes, run on each of them::

    torchrun --nnodes 2 --node-rank 0 --nproc-per-node 1 --master-addr HOST --master-port 29500 \
        -m edgekit.converters.distill.train_worker STUDENT.distill

and afterwards ``edgekit distill …`` on the first one, which goes on with what was trained.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.converters import children
from edgekit.converters.distill import lifeline, work
from edgekit.errors import InputError

if TYPE_CHECKING:
    from edgekit.converters.distill.training.records import Progress

DEVICES = ("auto", "cpu", "cuda")


def main(folder: Path, device: str) -> None:
    """Train the work folder's student, from its last checkpoint on, and leave the weights and the outcome there.

    Args:
        folder: the work folder.
        device: one of `DEVICES`.

    Raises:
        InputError: the device is not here, or the folder is none of a distillation.
    """
    lifeline.end_with_parent()
    lifeline.stop_on(folder / work.STOP)
    choose(device)
    from edgekit.converters.distill.data import material
    from edgekit.converters.distill.students import open as opening
    from edgekit.converters.distill.training import train

    recipe = work.read_recipe(folder)
    student = opening.open_student(folder / work.STUDENT, trained=False)
    found = material.open_material(recipe, student, folder)
    if not first():
        train.train(recipe, student, found, folder, lambda progress: None)
        return
    with work.locked(folder, work.TRAINING):
        children.stage("training")
        train.train(recipe, student, found, folder, lambda progress: children.progress(facts(progress)))


def choose(device: str) -> None:
    """Tell Accelerate which device to take, before it looks.

    Args:
        device: one of `DEVICES`; ``auto`` takes a GPU where there is one.

    Raises:
        InputError: it is not one of them, or there is no CUDA device.
    """
    if device not in DEVICES:
        raise InputError(f"device: {device!r} is not one of {', '.join(DEVICES)}")
    if device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise InputError("device: there is no CUDA device that this PyTorch can use; take --device cpu")


def first() -> bool:
    """Say whether this is the process that tells and writes."""
    return os.environ.get("RANK", "0") == "0"


def facts(progress: Progress) -> dict[str, Any]:
    """Return what a display shows of a training; see `display.line`."""
    latest = progress.evaluation
    return {
        "done": progress.step,
        "total": progress.of,
        "loss": progress.losses.get("total"),
        "per_second": progress.images_per_second,
        "left": progress.seconds_left,
        "score": latest.figures[0].value if latest is not None and latest.figures else None,
    }


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1]).absolute(), sys.argv[2] if len(sys.argv) > 2 else "auto"))
