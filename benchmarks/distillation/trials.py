"""What an interruption and a second process do to a training; and one student all the way to its bundle."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.benchmarks.distillation import runs
from edgekit.benchmarks.distillation.recipes import recipe_of
from edgekit.benchmarks.distillation.records import Bundled, Resumed, Shared
from edgekit.converters import children
from edgekit.converters.distill import run as distilling
from edgekit.converters.distill import work
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.benchmarks.distillation.records import Arm, Run, Setting
    from edgekit.converters.distill.recipe import Recipe

_WORKER = "edgekit.converters.distill.train_worker"
_PAUSE = 0.02
_OFTEN = 0.5  # seconds between two checkpoints


def resumed(setting: Setting, known: Run, folder: Path) -> tuple[Resumed, Run]:
    """Train a student again, end it by SIGKILL after its second checkpoint, and let it go on.

    Args:
        setting: of the study.
        known: the student that nothing interrupted, of this machine.
        folder: of the study.

    Returns:
        The comparison, and the run itself.

    Raises:
        ConversionError: the training ended before it could be killed.
    """
    home = _prepared(setting, known, folder / "resumed")
    if not (home / work.OUTCOME).exists():
        _kill(home)
    steps = _checkpoints(home)
    runs.train(home)
    run = runs.read(home, known.arm, known.seed)
    at = int(steps[-1].stem.partition("-")[2]) if steps else 0
    same = run.weights == known.weights
    return Resumed(at, run.steps, same, run.recall_at_1, known.recall_at_1), run


def shared(setting: Setting, one: Run, folder: Path, processes: int = 2) -> Shared:
    """Train a student again, in several processes.

    Args:
        setting: of the study.
        one: the student of one process, trained while nothing else ran.
        folder: of the study.
        processes: how many.

    Returns:
        The comparison.
    """
    home = _prepared(setting, one, folder / f"{processes}-processes")
    runs.train(home, processes)
    many = runs.read(home, one.arm, one.seed)
    cores = len(os.sched_getaffinity(0))
    return Shared(processes, one.images_per_second, many.images_per_second, one.recall_at_1, many.recall_at_1, cores)


def bundled(setting: Setting, arm: Arm, seed: int, folder: Path) -> Bundled:
    """Make a student's bundle as `edgekit distill` does; what was trained before is taken.

    Args:
        setting: of the study.
        arm: the student.
        seed: of it.
        folder: of the study.

    Returns:
        The bundle's figures.
    """
    recipe = recipe_of(setting, arm, seed, folder)
    out = runs.place(folder, arm, seed, recipe)
    # Of what a run makes, only its weights and figures were kept.
    runs.prepare(recipe, out)
    report = distilling.distill(recipe, out, runs.OPTIONS, lambda stage: None, lambda facts: None)
    recall = next(score.value for score in report.scores if score.name == "recall@1")
    return Bundled(out.name, report.size, recall, report.image.parameters, report.image.teacher_parameters)


def _prepared(setting: Setting, known: Run, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    recipe = _often(recipe_of(setting, known.arm, known.seed, folder.parent))
    return runs.prepare(recipe, runs.place(folder, known.arm, known.seed, recipe))


def _often(recipe: Recipe) -> Recipe:
    return replace(recipe, training=replace(recipe.training, checkpoint=_OFTEN))


def _checkpoints(home: Path) -> list[Path]:
    return sorted((home / work.CHECKPOINTS).glob("step-*.checkpoint"))


def _kill(home: Path) -> None:
    with (home / "killed.log").open("wb") as log:
        child = children.start(_WORKER, home, ("cpu",), subprocess.DEVNULL, log)
        try:
            while len(_checkpoints(home)) < 2:
                if child.poll() is not None:
                    raise ConversionError(
                        f"{home}: the training {children.ending(child.returncode)} before it could be killed; take more"
                        f" steps\n{children.last_lines(home / 'killed.log')}"
                    )
                time.sleep(_PAUSE)
        finally:
            children.end(child)
