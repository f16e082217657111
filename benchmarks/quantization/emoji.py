"""Train a small emoji tower and write it as a bundle: real weights with a real held-out set, in minutes.

``python -m edgekit.benchmarks.quantization.emoji -o emoji.edge`` needs the sets ``emoji-noto``, ``emoji-twemoji``,
``emoji-fluent`` and ``openmoji`` (``edgekit data fetch NAME``) and the extras ``convert`` and ``starter``. One vendor
is held out, and the bundle is scored on its pictures: which of all its labels is nearest?
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import edgekit
from edgekit.benchmarks.quantization import emoji_export, emoji_training
from edgekit.benchmarks.quantization.emoji_labels import CONTEXT_LENGTH, text_side
from edgekit.benchmarks.quantization.emoji_nets import NETS
from edgekit.benchmarks.running.refusing import not_above_zero
from edgekit.cli.progress import Stages
from edgekit.converters import torch_compat
from edgekit.converters.convert import ConvertOptions, convert
from edgekit.errors import EdgekitError
from edgekit.evaluation.datasets import locate, open_dataset
from edgekit.preprocess import preprocess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from edgekit.benchmarks.quantization.emoji_nets import Architecture
    from edgekit.evaluation.records import Dataset

SETS = ("emoji-noto", "emoji-twemoji", "emoji-fluent", "openmoji")
_GOLDEN = 8


@dataclass(frozen=True)
class Setting:
    """What is trained.

    Attributes:
        architecture: a key of `NETS`.
        held_out: the set of `SETS` that is kept for scoring.
        seconds: CPU time to train for.
        seed: of weights, order and augmentation.
    """

    architecture: Architecture
    held_out: str
    seconds: float
    seed: int


@dataclass(frozen=True)
class Report:
    """What came out; `recall_at_1` is the bundle's, in 0..1, over the held-out set's `n` pictures and its labels."""

    bundle: str
    architecture: str
    parameters: int
    trained_on: tuple[str, ...]
    images: int
    steps: int
    held_out: str
    digest: str
    n: int
    recall_at_1: float
    standard_error: float


def make(out: Path, setting: Setting, sets: Sequence[Dataset], on_stage: Callable[[str], None]) -> Report:
    """Train, convert and score.

    Args:
        out: the ``.edge`` file to write.
        setting: what to train.
        sets: labelled sets, the held-out one among them by its name.
        on_stage: called with the name of each step as it begins.

    Returns:
        What came out.
    """
    held = next(dataset for dataset in sets if dataset.name == setting.held_out)
    training = [dataset for dataset in sets if dataset is not held]
    labels = list(dict.fromkeys(text for dataset in sets for text in dataset.texts))
    number = {label: index for index, label in enumerate(labels)}
    on_stage("embedding the labels")
    texts = text_side(labels)
    chosen = NETS[setting.architecture]
    on_stage("reading the pictures")
    pixels = torch.cat([_pixels(dataset, chosen.size) for dataset in training])
    targets = torch.tensor([number[text] for dataset in training for text in right_texts(dataset)])
    torch.manual_seed(setting.seed)
    net = chosen.make(texts.rows.shape[1])
    on_stage("training")
    steps = emoji_training.train(
        net, pixels, targets, texts.rows, rate=chosen.rate, seconds=setting.seconds, seed=setting.seed
    )
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=".emoji-") as name:
        folder, golden = Path(name) / "emoji", Path(name) / "golden"
        folder.mkdir()
        golden.mkdir()
        for place, item in enumerate(held.items[:: max(1, len(held.items) // _GOLDEN)][:_GOLDEN]):
            # Two folders of classes may hold files of one name, and a shard holds many images.
            (golden / f"{place}{Path(item.name).suffix}").write_bytes(item.read())
        on_stage("exporting")
        scale, size = emoji_training.SCALE, chosen.size
        emoji_export.write(
            folder, net, texts.encoder, texts.tokenizer, size=size, context_length=CONTEXT_LENGTH, scale=scale
        )
        options = ConvertOptions(photos=golden, name=out.stem, templates=("{}",))
        convert(f"onnx:{folder}", out.absolute(), options, on_stage)
    on_stage("scoring the held-out set")
    recall = _recall(out, held)
    return Report(
        bundle=str(out),
        architecture=setting.architecture,
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        trained_on=tuple(dataset.name for dataset in training),
        images=len(pixels),
        steps=steps,
        held_out=held.name,
        digest=held.digest,
        n=len(held.items),
        recall_at_1=recall,
        standard_error=float(np.sqrt(recall * (1 - recall) / len(held.items))),
    )


def right_texts(dataset: Dataset) -> list[str]:
    """Return each image's label."""
    return [dataset.texts[target[0]] for target in dataset.targets]


def _pixels(dataset: Dataset, size: int) -> torch.Tensor:
    """Return uint8 (N, 3, size, size), as the bundle's own preprocessing makes them."""
    spec = emoji_export.image_spec(size)
    rows = [preprocess(item.read(), spec) for item in dataset.items]
    return torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2).contiguous()


def _recall(bundle: Path, held: Dataset) -> float:
    """Return the share of pictures whose own label is the nearest of all."""
    with edgekit.load(bundle) as clip:
        images: npt.NDArray[np.float32] = clip.embed_images([item.read() for item in held.items])
        texts: npt.NDArray[np.float32] = clip.embed_texts(list(held.texts))
    own = np.asarray([target[0] for target in held.targets])
    return float(np.mean((images @ texts.T).argmax(1) == own))


def main() -> None:
    """Read the command line, train, and print the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="the bundle to write")
    parser.add_argument("--architecture", choices=list(NETS), default="conv")
    parser.add_argument("--seconds", type=float, default=144.0, help="CPU time to train for")
    parser.add_argument("--held-out", choices=SETS, default=SETS[0], help="the vendor that is kept for scoring")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if not arguments.output.absolute().parent.is_dir():
        parser.error(f"-o {arguments.output}: the folder {arguments.output.parent} does not exist")
    for problem in not_above_zero("--seconds", arguments.seconds):
        parser.error(problem)
    torch_compat.prepare()
    torch.set_num_threads(1)  # the CPU time of one thread is what training is bounded by
    setting = Setting(arguments.architecture, arguments.held_out, arguments.seconds, arguments.seed)
    try:
        sets = [open_dataset(locate(name)) for name in SETS]
        with Stages(sys.stderr) as stages:
            report = make(arguments.output, setting, sets, stages.next)
    except EdgekitError as error:
        parser.exit(1, f"{error}\n")
    sys.stdout.write((json.dumps(asdict(report), indent=2) if arguments.json else table(report)) + "\n")


def table(report: Report) -> str:
    """Return the report as three lines."""
    return "\n".join(
        (
            f"{report.bundle}  {report.architecture}, {report.parameters:,} parameters, {report.steps} steps",
            f"trained on {', '.join(report.trained_on)}: {report.images} pictures",
            f"held out {report.held_out}: R@1 {report.recall_at_1:.1%} ± {report.standard_error:.1%}, n = {report.n:,}",
        )
    )


if __name__ == "__main__":
    main()
