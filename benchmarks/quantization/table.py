"""Compare methods of quantization on one bundle, in one run.

``python -m edgekit.benchmarks.quantization.table BUNDLE --data FOLDER``. Every figure is taken on images and texts that
no method calibrated on. Times are ratios over the float32 graph on ONNX Runtime, all contenders interleaved, with 95 %
bootstrap intervals; an agreement's or a metric's standard error follows ±.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.benchmarks.quantization import contenders, harness, material
from edgekit.benchmarks.quantization.contenders import Contender
from edgekit.benchmarks.running.refusing import not_above_zero, not_among
from edgekit.converters.quantize.methods.table import METHODS
from edgekit.errors import EdgekitError
from edgekit.fidelity import fidelity
from edgekit.ratios import Ratio, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from edgekit.benchmarks.quantization.material import Inputs, Material
    from edgekit.runtimes.protocol import Session

FLOAT = "float32"
TOWERS = ("image", "text")


@dataclass(frozen=True)
class Row:
    """One contender's figures; `failed` says why there are none."""

    name: str
    failed: str
    megabytes: dict[str, float]
    time: dict[str, Ratio]
    centred: dict[str, float]
    agreement: tuple[float, float, int]
    recall: tuple[float, float, int]


def compare(given: Material, field: Sequence[Contender], folder: Path, *, rounds: int, threads: int) -> list[Row]:
    """Build, run and time every contender.

    Args:
        given: towers and inputs.
        field: without the float32 one, which is always first.
        folder: where files go.
        rounds: of timing.
        threads: of each session.

    Returns:
        A row for each contender, the float32 one first.
    """
    everyone = [Contender(FLOAT, "onnxruntime", "onnx", _float32), *field]
    opened: dict[str, dict[str, Session]] = {}
    failures: dict[str, str] = {}
    megabytes: dict[str, dict[str, float]] = {}
    rows: dict[str, dict[str, npt.NDArray[np.float32]]] = {}
    for contender in everyone:
        name = contender.name
        try:
            # Some peers draw their progress on standard output, where the table goes.
            with contextlib.redirect_stdout(sys.stderr):
                paths = _build(given, contender, folder)
            sessions = {
                tower: harness.open_file(path, contender.runtime, contender.format, threads)
                for tower, path in paths.items()
            }
            rows[name] = _embeddings(sessions, given.held_out)
            megabytes[name] = {tower: harness.size(path) / 1e6 for tower, path in paths.items()}
            opened[name] = sessions
        except Exception as error:
            if name == FLOAT:
                raise
            # Whatever a peer's tool raises is its result.
            traceback.print_exc()
            failures[name] = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    times = {
        tower: harness.interleaved(
            {name: (s[tower], _batches(s[tower], tower, given.held_out)) for name, s in opened.items()}, rounds
        )
        for tower in TOWERS
    }
    found = []
    for contender in everyone:
        name = contender.name
        if name in failures:
            found.append(Row(name, failures[name], {}, {}, {}, (0, 0, 0), (0, 0, 0)))
            continue
        ratios = {tower: ratio(times[tower][FLOAT], times[tower][name]) for tower in TOWERS}
        found.append(_row(name, given, rows[name], rows[FLOAT], megabytes[name], ratios))
    return found


def report(found: Sequence[Row]) -> str:
    """Return rows as a Markdown table; a time above 1 means faster than float32."""
    lines = [
        "| method | MB image/text | speed-up image | speed-up text | centred image/text | top-1 agreement | R@1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found:
        if row.failed:
            lines.append(f"| {row.name} | failed: {row.failed} | | | | | |")
            continue
        size, centred = row.megabytes, row.centred
        lines.append(
            f"| {row.name} | {size['image']:.1f}/{size['text']:.1f} | {row.time['image']} | {row.time['text']} "
            f"| {centred['image']:.4f}/{centred['text']:.4f} | {_share(row.agreement)} | {_share(row.recall)} |"
        )
    return "\n".join(lines)


def _share(figures: tuple[float, float, int]) -> str:
    return f"{100 * figures[0]:.1f} ± {100 * figures[1]:.1f}"


def _float32(master: Path, out: Path, tower: str, inputs: Inputs) -> None:
    # Masters are named as the files here are, and their weights by the name that the graph gives them.
    for path in master.parent.iterdir():
        (out.parent / path.name).write_bytes(path.read_bytes())


def _build(given: Material, contender: Contender, folder: Path) -> dict[str, Path]:
    home = folder / contender.name.replace(" ", "_").replace("/", "_")
    home.mkdir()
    paths = {tower: home / f"{tower}.{contender.format}" for tower in TOWERS}
    for tower, path in paths.items():
        contender.build(given.masters[tower], path, tower, given.calibration)
    return paths


def _batches(session: Session, tower: str, inputs: Inputs) -> material.Batches:
    if tower == "image":
        return inputs.pixels
    return inputs.ids if session.inputs[0].shape[1] is None else inputs.padded


def _embeddings(sessions: dict[str, Session], inputs: Inputs) -> dict[str, npt.NDArray[np.float32]]:
    return {tower: harness.embed(s, _batches(s, tower, inputs)) for tower, s in sessions.items()}


def _row(
    name: str,
    given: Material,
    found: dict[str, npt.NDArray[np.float32]],
    reference: dict[str, npt.NDArray[np.float32]],
    megabytes: dict[str, float],
    times: dict[str, Ratio],
) -> Row:
    data, digest = given.data
    agreed = fidelity(found["image"], found["text"], reference["image"], reference["text"], data=data, digest=digest)
    top = (found["image"] @ found["text"].T).argmax(axis=1)
    right = np.array([index in wanted for index, wanted in zip(top, given.targets, strict=True)], float)
    error = float(np.sqrt(right.mean() * (1 - right.mean()) / len(right)))
    top1 = agreed.image_to_text.top1
    centred = {"image": agreed.image.centred_mean, "text": agreed.text.centred_mean}
    return Row(
        name, "", megabytes, times, centred, (top1.value, top1.error, top1.n), (float(right.mean()), error, len(right))
    )


def field(methods: Sequence[str], chosen: dict[str, Path], *, peers: bool) -> list[Contender]:
    """Return the contenders: the peers, edgekit's methods applied everywhere, and files that were made before."""
    found = [Contender(name, "onnxruntime", "onnx", build) for name, build in contenders.onnx_peers().items() if peers]
    found += [Contender(f"edgekit {name}", "onnxruntime", "onnx", contenders.uniform(name)) for name in methods]
    for name, path in chosen.items():
        found += contenders.from_bundle(name, path)
    return found


def _problems(given: argparse.Namespace, methods: Sequence[str]) -> Iterator[str]:
    """Say what is wrong with a command line, before minutes are spent on it."""
    for entry in given.made:
        if not all(entry.partition("=")):
            yield f"--made {entry}: give it as NAME=OUT.edge"
    names = [FLOAT, *(entry.partition("=")[0] for entry in given.made)]
    for name in names[1:]:
        if names.count(name) > 1:
            yield f"--made {name}: two contenders have this name; give each its own"
    for method in methods:
        yield from not_among("--methods", method, tuple(METHODS))
    for name in ("rounds", "calibrate", "limit"):
        yield from not_above_zero(f"--{name}", getattr(given, name))
    if given.threads < 0:
        yield f"--threads {given.threads}: give 0 (the engine's choice) or more"


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path, help="with an fp32 variant")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--methods", default="", help="comma-separated methods of edgekit, each applied everywhere")
    parser.add_argument("--made", action="append", default=[], metavar="NAME=OUT.edge", help="a quantized bundle")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--calibrate", type=int, default=64)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    wanted = [method for method in given.methods.split(",") if method]
    for problem in _problems(given, wanted):
        parser.error(problem)
    made = {name: Path(path) for name, _, path in (entry.partition("=") for entry in given.made)}
    try:
        everyone = field(wanted, made, peers=not given.no_peers)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            ready = material.prepare(
                given.bundle, given.data, folder / "masters", calibrate=given.calibrate, limit=given.limit
            )
            found = compare(ready, everyone, folder, rounds=given.rounds, threads=given.threads)
    except EdgekitError as error:
        parser.exit(1, f"{error}\n")
    sys.stdout.write((json.dumps([asdict(row) for row in found], indent=2) if given.json else report(found)) + "\n")


if __name__ == "__main__":
    main()
