"""`edgekit quantize`: from a bundle with float towers to one with a variant that keeps its promise."""

from __future__ import annotations

import resource
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit import __version__
from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.bundle.reader import open_bundle
from edgekit.converters.quantize import data, picture, work
from edgekit.converters.quantize.crew import LOG, Crew
from edgekit.converters.quantize.data import Limits
from edgekit.converters.quantize.packing import Job, Packed, pack
from edgekit.converters.quantize.report import Report, best_trades
from edgekit.converters.quantize.search import Search
from edgekit.converters.quantize.settings import Settings, check
from edgekit.errors import BundleError, InputError
from edgekit.locations import resolve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.bundle.manifest import VariantRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.converters.quantize.candidates import Candidate
    from edgekit.converters.quantize.search import Outcome

SUFFIX = ".quantize"
IDENTITY, FIGURES = "search.json", "figures.json"
_HEAVY = ("float", "inputs", "built", "tree", "rows", "litert")
_LEAST_TASK_SECONDS = 120.0


@dataclass(frozen=True)
class Identity:
    """What a search's folder belongs to; a search is only continued where all of it is the same.

    Attributes:
        edgekit: version.
        bundle: digest of the bundle.
        data: digest of the set.
        settings: of the user, without those that change no figure.
        limits: of the data's parts.
    """

    edgekit: str
    bundle: str
    data: str
    settings: Settings
    limits: Limits


def quantize(
    bundle: str,
    out: Path,
    settings: Settings,
    *,
    data_set: str | None = None,
    resume: Path | None = None,
    stopped: Callable[[], bool] = lambda: False,
    on_stage: Callable[[str], None] = lambda name: None,
) -> tuple[Report, tuple[Candidate, ...]]:
    """Quantize a bundle.

    Args:
        bundle: path of a bundle with a float32 ONNX variant, or the name of a packaged one.
        out: the ``.edge`` file to create or replace; untouched until the end.
        settings: see `Settings`.
        data_set: path or name of a set of images; None takes the fetched set ``stamps``.
        resume: folder of an interrupted search of the same bundle, data and settings.
        stopped: polled; True ends the search with the best that has passed.
        on_stage: called with the name of each stage.

    Returns:
        The report, and the candidates for its table. `Report.delivered` is False when nothing passed: `out` then holds
        float.

    Raises:
        InputError: the bundle, the data or a setting cannot be used.
        MissingDependencyError: a package that the search needs is absent.
        ConversionError: the float towers fail here.
        Interrupted: the user stopped it before anything had passed; the folder can be resumed.
    """
    start = time.monotonic()
    check(settings, out)
    picture.require()
    opened = open_bundle(resolve(bundle))
    floats = float_variant(opened)
    where = data.find(data_set)
    folder = _folder(out, resume)
    known = _known(folder) if resume is not None else None
    mine = Identity(__version__, opened.digest, known.data if known else "", _decisive(settings), Limits())
    _same(folder, known, mine)
    on_stage("unpacking the float towers")
    _unpack(opened, floats, folder)
    data.prepare_golden(opened, folder)
    with _crew(folder, settings, stopped) as crew:
        search = Search(folder, settings, crew, on_stage, start)
        bounds = known.limits if known else data.limits(settings.minutes, search.photo_seconds())
        on_stage("preparing the data")
        material = data.prepare(opened, where, folder, bounds)
        mine = replace(mine, data=material.digest, limits=bounds)
        _same(folder, known, mine)
        write_bytes(folder / IDENTITY, schema.dumps(mine).encode())
        material = replace(material, notes=(*material.notes, *_coarse(material, settings)))
        outcome = search.run(material)
    on_stage("packing")
    packed = pack(Job(opened, floats, folder, settings, material, outcome), out, on_stage)
    report = _report(bundle, out, folder, packed, material, outcome, crew, start)
    write_bytes(folder / FIGURES, schema.dumps(report).encode())
    for name in _HEAVY:
        shutil.rmtree(folder / name, ignore_errors=True)
    return report, best_trades(outcome)


def float_variant(bundle: Bundle) -> VariantRecord:
    """Return the variant whose towers are the masters.

    Args:
        bundle: opened.

    Returns:
        Its float32 ONNX variant.

    Raises:
        InputError: it has none, or its labels are frozen.
    """
    manifest = bundle.manifest
    if manifest.labels is not None:
        raise InputError(
            f"{bundle.where}: its labels are frozen, and would not fit other weights; quantize the full bundle first, "
            "then specialize what comes out"
        )
    for variant in manifest.variants:
        if variant.format == "onnx" and variant.precision == "fp32":
            return variant
    held = ", ".join(f"{variant.id} ({variant.format}, {variant.precision})" for variant in manifest.variants)
    raise InputError(
        f"{bundle.where}: holds {held}, but quantizing starts from float32 in ONNX; convert it again: "
        f"edgekit convert {manifest.source.uri} -o FLOAT.edge --weights float32"
    )


def _coarse(material: data.Material, settings: Settings) -> tuple[str, ...]:
    """Say where the data cannot tell the promised agreement from a perfect one."""
    images = material.parts[data.HELD_OUT].images
    allowed = 1 - settings.min_agreement
    if settings.min_agreement == 0 or images * allowed >= 1:
        return ()
    return (
        f"with {images} held-out images a single changed answer breaks the promise of {settings.min_agreement:.2%}",
    )


def _folder(out: Path, resume: Path | None) -> Path:
    if resume is not None:
        if not (resume / IDENTITY).is_file():
            raise InputError(f"{resume}: is no folder of an interrupted search; leave --resume out to start one")
        return resume
    folder = out.with_suffix(SUFFIX)
    if (folder / IDENTITY).exists() and not (folder / FIGURES).exists():
        raise InputError(
            f"{folder}: holds a search that was interrupted; continue it with '--resume {folder}', or remove it"
        )
    if folder.exists() and not (folder / IDENTITY).exists() and not _is_ours(folder):
        raise InputError(f"{folder}: is in the way, and is no folder of a search; move it, or choose another output")
    folder.mkdir(exist_ok=True)
    # Emptied, not made again: it may be a link to a disk with more room.
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return folder


def _is_ours(folder: Path) -> bool:
    """Say whether a folder holds nothing but what a search that was stopped early leaves."""
    early = {*_HEAVY, work.REQUEST, work.JOURNAL, work.CURRENT, LOG}
    return folder.is_dir() and all(path.name in early for path in folder.iterdir())


def _unpack(bundle: Bundle, variant: VariantRecord, folder: Path) -> None:
    for tower, record in variant.towers.items():
        target = work.master(folder, tower)
        target.parent.mkdir(exist_ok=True)
        names = {record.artifact: target.name, **{path: path.rpartition("/")[2] for path in record.sidecars}}
        for path, name in names.items():
            with target.with_name(name).open("wb") as stream:
                stream.write(bundle.read(path))


def _known(folder: Path) -> Identity:
    """Return what a search that is to be continued belongs to."""
    path = folder / IDENTITY
    try:
        return schema.loads(Identity, path.read_bytes(), str(path))
    except BundleError as error:
        raise InputError(f"{error}; it cannot be continued: leave --resume out to start a new search") from error


def _same(folder: Path, known: Identity | None, mine: Identity) -> None:
    """Refuse to continue a search of something else."""
    for field in ("edgekit", "bundle", "data", "settings"):
        if known is not None and getattr(known, field) != getattr(mine, field):
            raise InputError(
                f"{folder}: was begun with another {field} ({getattr(known, field)}); give the same, or start anew"
            )


def _decisive(settings: Settings) -> Settings:
    """Leave out what may differ between a search and its continuation."""
    plain = Settings()
    return replace(settings, minutes=plain.minutes, keep_float=plain.keep_float, formats=plain.formats)


def _crew(folder: Path, settings: Settings, stopped: Callable[[], bool]) -> Crew:
    limit = max(_LEAST_TASK_SECONDS, 0.25 * 60 * settings.minutes)
    return Crew(folder, settings.kit, settings.threads, settings.calibration, settings.target, limit, stopped)


def _report(
    bundle: str,
    out: Path,
    folder: Path,
    packed: Packed,
    material: data.Material,
    outcome: Outcome,
    crew: Crew,
    start: float,
) -> Report:
    return Report(
        bundle=bundle,
        out=str(out),
        folder=str(folder),
        delivered=outcome.winner is not None,
        variant=packed.variant.id,
        litert=packed.litert,
        winner=outcome.winner.name if outcome.winner else "",
        reason=outcome.reason,
        interrupted=outcome.interrupted,
        looks=outcome.looks,
        notes=material.notes,
        data=material.name,
        data_digest=material.digest,
        scale=outcome.scale,
        candidates=outcome.candidates,
        measured=outcome.measured,
        seconds=round(time.monotonic() - start, 1),
        peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        worker_peak=crew.peak,
        bytes_written=out.stat().st_size,
    )
