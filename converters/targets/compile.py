"""`compile_bundle`: a variant for one chip, proven on held-out data before it is packed beside the others."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import golden
from edgekit.bundle.reader import open_bundle
from edgekit.converters.quantize import data, figures
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT, SEARCH
from edgekit.converters.quantize.run import float_variant
from edgekit.converters.targets import catalog, inputs, packing
from edgekit.converters.targets.records import AIM_CENTRED, LEAST_CENTRED, Built, TowerJob
from edgekit.converters.toolchains import catalog as toolchains
from edgekit.converters.toolchains import store
from edgekit.errors import ConversionError, InputError
from edgekit.fidelity import agreement, fidelity
from edgekit.golden import TOWERS
from edgekit.locations import SUFFIX, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from edgekit.bundle.manifest import Agreement, Fidelity
    from edgekit.converters.targets.inputs import Start
    from edgekit.converters.targets.protocol import Target
    from edgekit.converters.targets.records import Chip, Precision
    from edgekit.golden import TowerName

ROWS = 64


@dataclass(frozen=True)
class CompileOptions:
    """What the user may set.

    Attributes:
        precision: one of the chip's; None takes its default.
        towers: towers compiled in that precision; empty takes the target's choice. The other one gets the best that
            the target can do at little cost.
        data: path or name of a set of images; None takes the fetched set ``stamps``.
        rows: images held out to prove the result on.
        min_centred: least mean centred cosine on them, of a tower that was compiled in the precision asked for; None
            takes 0.99 for 16 bits and 0.97 for 8.
        in_advance: also pack what the device would compile at its first load; only for chips that say so.
    """

    precision: Precision | None = None
    towers: tuple[str, ...] = ()
    data: str | None = None
    rows: int = ROWS
    min_centred: float | None = None
    in_advance: bool = False


@dataclass(frozen=True)
class TowerFigures:
    """One tower of the new variant.

    Attributes:
        precision: what it was compiled in.
        size: of its files, in bytes.
        fidelity: on the held-out data.
        golden: on the golden inputs.
        facts: what the target says about it.
        seconds: it took to compile and to simulate.
        peak_bytes: largest memory of a tool.
    """

    precision: str
    size: int
    fidelity: Agreement
    golden: Agreement
    facts: dict[str, str]
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Report:
    """What was compiled.

    Attributes:
        bundle: path of the new bundle.
        variant: id of the new variant.
        target: the chip.
        proof: how it was proven.
        towers: by name.
        fidelity: of both towers on the held-out data.
        notes: about the data.
        seconds: in all.
    """

    bundle: str
    variant: str
    target: str
    proof: str
    towers: dict[str, TowerFigures]
    fidelity: Fidelity
    notes: tuple[str, ...]
    seconds: float


def compile_bundle(
    bundle: str, target: str, out: Path, options: CompileOptions, on_stage: Callable[[str], None] = lambda _: None
) -> Report:
    """Compile both towers of a bundle for a chip.

    Args:
        bundle: path of a bundle with a float32 ONNX variant, or the name of a packaged one.
        target: name of the chip, such as ``rk3588``.
        out: the ``.edge`` file to create or replace; untouched unless everything succeeds. It may be `bundle` itself.
        options: see `CompileOptions`.
        on_stage: called with the name of each stage as it begins.

    Returns:
        The figures.

    Raises:
        InputError: the bundle, the data, the chip or an option cannot be used.
        MissingDependencyError: the toolchain is not installed.
        UnsupportedModelError: the chip has no form of an operator; the message names the node.
        ConversionError: the tool failed, or the result is below what was promised.
    """
    start = time.monotonic()
    maker, chip = catalog.find(target)
    check(out, chip, options)
    require(maker)
    opened = open_bundle(resolve(bundle))
    floats = float_variant(opened)
    where = data.find(options.data)
    precision = options.precision or chip.precisions[0]
    least = LEAST_CENTRED[precision] if options.min_centred is None else options.min_centred
    aim = AIM_CENTRED[precision] if options.min_centred is None else options.min_centred
    wanted = options.towers or maker.towers(chip)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as name:
        folder = Path(name)
        prepared = inputs.prepare(opened, floats, where, folder, options.rows, on_stage)
        built: dict[TowerName, Built] = {}
        seen: dict[TowerName, Agreement] = {}
        for tower in TOWERS:
            named = precision if tower in wanted else None
            job = _job(prepared, tower, chip, named, aim, folder / tower)
            built[tower] = maker.build(replace(job, in_advance=options.in_advance), on_stage)
            _require_rows(tower, built[tower], golden.reference(opened, tower), prepared, chip)
            seen[tower] = _judge(tower, built[tower], prepared, least if named else 0.0, chip)
        found = _fidelity(built, prepared)
        on_stage("packing")
        job_facts = packing.Job(opened, chip, maker, precision, built, found, prepared.material)
        variant = packing.pack(job_facts, folder / "tree", out)
    towers = {
        str(tower): TowerFigures(
            precision=one.precision,
            size=variant.sizes[tower],
            fidelity=seen[tower],
            golden=agreement(one.rows[GOLDEN], golden.reference(opened, tower)),
            facts=one.facts,
            seconds=one.seconds,
            peak_bytes=one.peak_bytes,
        )
        for tower, one in built.items()
    }
    seconds = round(time.monotonic() - start, 1)
    return Report(str(out), variant.id, chip.name, chip.proof, towers, found, prepared.material.notes, seconds)


def check(out: Path, chip: Chip, options: CompileOptions) -> None:
    """Refuse what cannot work, before anything is computed.

    Args:
        out: the bundle to write.
        chip: to compile for.
        options: as the user gave them.

    Raises:
        InputError: names the option and what it may be.
    """
    if out.suffix != SUFFIX:
        raise InputError(f"{out}: a bundle's name ends in {SUFFIX}")
    if out.is_dir():
        raise InputError(f"{out}: is a folder; give the name of a file to write")
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} does not exist; create it first")
    if options.precision is not None and options.precision not in chip.precisions:
        raise InputError(f"precision: {chip.name} is compiled in {', '.join(chip.precisions)}, not {options.precision}")
    if options.in_advance and not chip.in_advance:
        able = ", ".join(one.name for one, _ in targets_table() if one.in_advance)
        raise InputError(f"context: {chip.name} has nothing to compile in advance of the device, only: {able}")
    for tower in options.towers:
        if tower not in TOWERS:
            raise InputError(f"towers: {tower!r} is not one of {', '.join(TOWERS)}")
    if options.rows < data.MIN_HELD_OUT:
        raise InputError(f"rows: {options.rows} prove nothing; give {data.MIN_HELD_OUT} or more")
    if options.min_centred is not None and not 0 <= options.min_centred <= 1:
        raise InputError(f"min-centred: {options.min_centred:g} is not in 0..1")


def require(target: Target) -> None:
    """Refuse a target whose tool is not here.

    Args:
        target: that is asked for.

    Raises:
        MissingDependencyError: its toolchain is not installed; the message has the command.
    """
    if target.toolchain:
        store.require(toolchains.find(target.toolchain))


def _job(
    prepared: Start, tower: TowerName, chip: Chip, precision: Precision | None, goal: float, folder: Path
) -> TowerJob:
    folder.mkdir()
    return TowerJob(
        tower=tower,
        chip=chip,
        precision=precision,
        master=prepared.masters[tower],
        shape=prepared.shapes[tower],
        inputs=prepared.inputs[tower],
        reference=prepared.reference[tower][SEARCH],
        goal=goal,
        folder=folder,
    )


def _require_rows(tower: TowerName, built: Built, stored: npt.NDArray[np.float32], prepared: Start, chip: Chip) -> None:
    """Refuse rows that are not those of every input: a simulator may have stopped early."""
    wanted = {HELD_OUT: np.load(prepared.reference[tower][HELD_OUT], mmap_mode="r").shape, GOLDEN: stored.shape}
    for part, shape in wanted.items():
        found = built.rows[part].shape if part in built.rows else "no"
        if found != shape:
            raise ConversionError(
                f"the {tower} tower on {chip.name}: its target returns {found} rows for the {part} inputs, not "
                f"{shape}; this is a fault of the target. No bundle was written"
            )


def _judge(tower: TowerName, built: Built, prepared: Start, goal: float, chip: Chip) -> Agreement:
    """Hold a tower against the promise; a smaller precision is known to fail, and the message says what does not."""
    found = agreement(built.rows[HELD_OUT], np.load(prepared.reference[tower][HELD_OUT]))
    # NaN compares with nothing.
    if not found.centred_mean >= goal:
        others = [name for name in chip.precisions if name != built.precision]
        offer = f"try --precision {' or '.join(others)}, or " if others else ""
        raise ConversionError(
            f"the {tower} tower in {built.precision} on {chip.name}: centred cosine {found.centred_mean:.4f} on "
            f"{found.n} held-out inputs, {goal:g} was promised; {offer}lower --min-centred. No bundle was written"
            + "".join(f"\n  {name}: {value}" for name, value in built.facts.items())
        )
    return found


def _fidelity(built: dict[TowerName, Built], prepared: Start) -> Fidelity:
    part = prepared.material.parts[HELD_OUT]
    rows: dict[TowerName, Any] = {tower: one.rows[HELD_OUT] for tower, one in built.items()}
    floats = {tower: np.load(files[HELD_OUT]) for tower, files in prepared.reference.items()}
    text, float_text = (figures.pool(each["text"], part.prompts) for each in (rows, floats))
    return fidelity(rows["image"], text, floats["image"], float_text, data=prepared.material.name, digest=part.digest)


def targets_table() -> tuple[tuple[Chip, Target], ...]:
    """Return every chip with its target."""
    return tuple((chip, target) for target in catalog.targets().values() for chip in target.chips())
