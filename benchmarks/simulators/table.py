"""Compare edgekit's recipe with the vendor tool's default on every simulated chip, in one run.

``python -m edgekit.benchmarks.simulators.table BUNDLE --data FOLDER --case rk3588:w8a8 --case qcs6490:a16w8``. Every
figure is taken on images and texts that took no part, against the float32 towers; the chip is the vendor's simulator,
or, where there is none, the file before the vendor's compiler (see `Chip.proof`). A standard error follows ±.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from edgekit.benchmarks.simulators import defaults
from edgekit.bundle.reader import open_bundle
from edgekit.cli.progress import Stages
from edgekit.converters.quantize import data, figures
from edgekit.converters.quantize.data import HELD_OUT, SEARCH
from edgekit.converters.quantize.run import float_variant
from edgekit.converters.targets import catalog, inputs
from edgekit.converters.targets.records import AIM_CENTRED, TowerJob
from edgekit.errors import EdgekitError, InputError
from edgekit.fidelity import agreement, fidelity
from edgekit.golden import TOWERS
from edgekit.locations import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from edgekit.converters.targets.inputs import Start
    from edgekit.converters.targets.records import Precision

OURS, VENDOR = "edgekit", "vendor"


@dataclass(frozen=True)
class Case:
    """What is compiled: a chip, one of its precisions, and whose recipe, `OURS` or `VENDOR`."""

    chip: str
    precision: str
    recipe: str


@dataclass(frozen=True)
class Row:
    """One case's figures.

    Attributes:
        case: what was compiled.
        failed: why there are no figures, by tower; a tool's failure is its result.
        cosine: mean, by tower.
        centred: mean centred cosine, by tower.
        least: least centred cosine, by tower.
        megabytes: of the files, by tower; of edgekit's recipe only.
        top1: share of images whose best text is the float model's, its standard error, and their number; None where a
            tower failed.
    """

    case: Case
    failed: dict[str, str]
    cosine: dict[str, float]
    centred: dict[str, float]
    least: dict[str, float]
    megabytes: dict[str, float]
    top1: tuple[float, float, int] | None


def compare(start: Start, cases: Sequence[Case], folder: Path, on_stage: Callable[[str], None]) -> list[Row]:
    """Compile and simulate every case.

    Args:
        start: float towers and inputs, as `inputs.prepare` makes them.
        cases: to compile.
        folder: where work goes.
        on_stage: called with the name of each stage.

    Returns:
        A row for each case.

    Raises:
        InputError: a chip is unknown, or is not compiled in a precision.
    """
    for case in cases:
        _, chip = catalog.find(case.chip)
        if case.precision not in chip.precisions:
            raise InputError(f"case {case.chip}:{case.precision}: it is compiled in {', '.join(chip.precisions)}")
    return [_case(start, case, folder / f"{number}", on_stage) for number, case in enumerate(cases)]


def report(rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table."""
    lines = [
        "| chip | precision | recipe | image: cosine / centred / least | text: the same | same best text |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [_tower(row, tower) for tower in TOWERS]
        top1 = "–" if row.top1 is None else f"{100 * row.top1[0]:.0f} ± {100 * row.top1[1]:.0f} % (n = {row.top1[2]})"
        lines.append(
            f"| {row.case.chip} | {row.case.precision} | {row.case.recipe} | {cells[0]} | {cells[1]} | {top1} |"
        )
    return "\n".join(lines)


def _tower(row: Row, tower: str) -> str:
    if tower in row.failed:
        return f"failed: {row.failed[tower]}"
    return f"{row.cosine[tower]:.4f} / {row.centred[tower]:.4f} / {row.least[tower]:.3f}"


def _case(start: Start, case: Case, folder: Path, on_stage: Callable[[str], None]) -> Row:
    maker, chip = catalog.find(case.chip)
    folder.mkdir(parents=True)
    floats: dict[str, npt.NDArray[np.float32]] = {t: np.load(start.reference[t][HELD_OUT]) for t in TOWERS}
    made: dict[str, npt.NDArray[np.float32]] = dict(floats)
    failed, megabytes = dict[str, str](), dict[str, float]()
    for tower in TOWERS:
        if tower not in maker.towers(chip):
            continue
        work = folder / tower
        work.mkdir()
        job = TowerJob(
            tower=tower,
            chip=chip,
            precision=cast("Precision", case.precision),
            master=start.masters[tower],
            shape=start.shapes[tower],
            inputs=start.inputs[tower],
            reference=start.reference[tower][SEARCH],
            goal=AIM_CENTRED[case.precision],
            folder=work,
        )
        named: Callable[[str], None] = lambda stage: on_stage(  # noqa: E731
            f"{case.chip} {case.precision} {case.recipe}: {stage}"
        )
        try:
            if case.recipe == OURS:
                built = maker.build(job, named)
                made[tower] = built.rows[HELD_OUT]
                megabytes[tower] = sum(file.stat().st_size for file in built.files) / 1e6
            else:
                made[tower] = defaults.rows(maker.toolchain, job, named)
        except EdgekitError as error:
            failed[tower] = _last(str(error))
    seen = {tower: agreement(made[tower], floats[tower]) for tower in TOWERS if tower not in failed}
    return Row(
        case,
        failed,
        {tower: one.cosine_mean for tower, one in seen.items()},
        {tower: one.centred_mean for tower, one in seen.items()},
        {tower: one.centred_min for tower, one in seen.items()},
        megabytes,
        None if failed else _top1(start, made, floats),
    )


def _top1(
    start: Start, made: dict[str, npt.NDArray[np.float32]], floats: dict[str, npt.NDArray[np.float32]]
) -> tuple[float, float, int]:
    part = start.material.parts[HELD_OUT]
    texts, float_texts = (figures.pool(each["text"], part.prompts) for each in (made, floats))
    found = fidelity(
        made["image"], texts, floats["image"], float_texts, data=start.material.name, digest=part.digest
    ).image_to_text.top1
    return found.value, found.error, found.n


def _last(message: str) -> str:
    """Return the last line, which says what a tool that crashed said; no cell of a table is ended by it."""
    return [line.strip() for line in message.splitlines() if line.strip()][-1].replace("|", "/")


def cases_of(given: Sequence[str], *, vendor: bool) -> list[Case]:
    """Read ``CHIP:PRECISION`` words; each is followed by the vendor's default where `vendor` is set.

    Args:
        given: the words.
        vendor: whether to add the vendor's recipe.

    Returns:
        The cases.

    Raises:
        InputError: a word is malformed.
    """
    found = []
    for word in given:
        chip, _, precision = word.partition(":")
        if not chip or not precision:
            raise InputError(f"--case {word}: give it as CHIP:PRECISION, such as rk3588:w8a8")
        found += [Case(chip, precision, recipe) for recipe in (VENDOR, OURS) if vendor or recipe == OURS]
    return found


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", help="with an fp32 variant")
    parser.add_argument("--data", required=True, help="images with captions; each needs a text of its own")
    parser.add_argument("--case", action="append", required=True, metavar="CHIP:PRECISION", help="repeatable")
    parser.add_argument("--rows", type=int, default=32, help="images held out")
    parser.add_argument("--no-vendor", action="store_true", help="leave the vendors' defaults out")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    try:
        cases = cases_of(given.case, vendor=not given.no_vendor)
        opened = open_bundle(resolve(given.bundle))
        with tempfile.TemporaryDirectory() as name, Stages(sys.stderr) as stages:
            folder = Path(name)
            where = data.find(given.data)
            start = inputs.prepare(opened, float_variant(opened), where, folder, given.rows, stages.next)
            found = compare(start, cases, folder / "cases", stages.next)
    except EdgekitError as error:
        parser.exit(2, f"{error}\n")
    sys.stdout.write((json.dumps([asdict(row) for row in found], indent=2) if given.json else report(found)) + "\n")


if __name__ == "__main__":
    main()
