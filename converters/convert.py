"""`convert`: from a source's name to a bundle that was proven to agree with it."""

from __future__ import annotations

import errno
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.bundle.manifest import Agreement
from edgekit.bundle.writer import write_bundle
from edgekit.converters import assembly, check_inputs, exchange, verdict
from edgekit.converters.children import reason, run_child
from edgekit.converters.litert.variant import make_variant
from edgekit.errors import ConversionError, InputError
from edgekit.golden import TOWERS, TowerName
from edgekit.locations import SUFFIX
from edgekit.text import fill_templates

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.bundle.manifest import VariantRecord

_PACKAGE = "edgekit.converters"
_FLOAT = "float32"
TARGETS = ("any", "litert")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class ConvertOptions:
    """What the user may set.

    Attributes:
        tokenizer: local tokenizer file or folder.
        photos: folder of photos to check on and to store as golden vectors; None takes those of edgekit.
        weights: how both towers' weights are stored, a key of `verdict.LIMITS`; None leaves it to the source.
        name: the bundle's name; None takes the source's.
        license: SPDX id of the weights' licence; None takes what the source knows.
        templates: prompt templates; empty takes the source's.
        pixel_limit: largest accepted difference from the checkpoint's own preprocessing, in levels of 255.
        target: ``any`` for the portable variant alone; ``litert`` for a LiteRT variant beside it, batch one.
    """

    tokenizer: Path | None = None
    photos: Path | None = None
    weights: str | None = None
    name: str | None = None
    license: str | None = None
    templates: tuple[str, ...] = ()
    pixel_limit: int = 1
    target: str = "any"


@dataclass(frozen=True)
class TowerReport:
    """Size in bytes of a tower's files, and its agreement with the source."""

    size: int
    fidelity: Agreement


@dataclass(frozen=True)
class Report:
    """What a conversion did; `litert` has the towers of the LiteRT variant, and is empty without one."""

    bundle: str
    size: int
    variant: str
    image: TowerReport
    text: TowerReport
    preprocessing: verdict.Preprocessing
    trim_padding: bool
    seconds: float
    litert: dict[TowerName, TowerReport] = field(default_factory=dict)


def convert(source: str, out: Path, options: ConvertOptions, on_stage: Callable[[str], None]) -> Report:
    """Convert a source to a bundle.

    Args:
        source: ``open_clip:NAME[:PRETRAINED]``, ``hf:REPO_OR_FOLDER``, ``onnx:FOLDER``, ``starter``, or any other kind
            registered in the entry-point group ``edgekit.sources``.
        out: the ``.edge`` file to create or replace; untouched unless everything succeeds.
        options: see `ConvertOptions`.
        on_stage: called with the name of each stage as it begins.

    Returns:
        Sizes, agreement and time.

    Raises:
        InputError: the source, an option or `out` cannot be used.
        ConversionError: the source cannot be exported, or the result disagrees with it.
    """
    start = time.monotonic()
    try:
        _check(out, options)
        photos = check_inputs.photos(options.photos)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as name:
            folder = Path(name)
            tokenizer = str(options.tokenizer.absolute()) if options.tokenizer else ""
            paths = tuple(str(path.absolute()) for path in photos)
            request = exchange.Request(source, tokenizer, paths, check_inputs.TEXTS)
            write_bytes(folder / exchange.REQUEST, _utf8(schema.dumps(request)))
            run_child(f"{_PACKAGE}.export_worker", folder, (), on_stage)
            return _finish(source, out, options, folder, photos, on_stage, start)
    except OSError as error:
        full = error.errno in _NO_SPACE or not error.errno
        hint = f"a conversion needs about three times the model's size free in {out.parent}; " if full else ""
        raise ConversionError(f"{error.filename or out.parent}: {reason(error)}; {hint}nothing was written") from error


def _finish(
    source: str,
    out: Path,
    options: ConvertOptions,
    folder: Path,
    photos: tuple[Path, ...],
    on_stage: Callable[[str], None],
    start: float,
) -> Report:
    storage: dict[TowerName, str] = dict.fromkeys(TOWERS, _FLOAT)
    run_child(f"{_PACKAGE}.engine_worker", folder, (_FLOAT,), on_stage)
    facts = exchange.read_facts(folder)
    fidelity = verdict.towers(folder, _FLOAT, storage, facts.unjudged)
    trim = verdict.trims(folder)
    ids = exchange.encoder(folder, trim_padding=False).encode(check_inputs.TEXTS)
    preprocessing = verdict.preprocessing(folder, ids, check_inputs.TEXTS, options.pixel_limit)
    storage = {tower: options.weights or facts.storage.get(tower, _FLOAT) for tower in TOWERS}
    graphs = folder / _FLOAT
    if set(storage.values()) != {_FLOAT}:
        graphs = folder / "stored"
        run_child(f"{_PACKAGE}.compress_worker", folder, (graphs.name, *storage.values()), on_stage)
        run_child(f"{_PACKAGE}.engine_worker", folder, (graphs.name,), on_stage)
        fidelity = verdict.towers(folder, graphs.name, storage, facts.unjudged)
    litert = None
    if options.target == "litert":
        litert = make_variant(folder, assembly.precision_of(storage), storage, on_stage)
    on_stage("packing")
    result = assembly.Result(source, photos, graphs, storage, fidelity, preprocessing, trim, litert)
    identity = assembly.Identity(options.name, options.license, options.templates)
    manifest, sizes = assembly.build_tree(folder, result, identity)
    write_bundle(out, manifest, folder / assembly.TREE)
    towers = {tower: TowerReport(sizes[tower], fidelity[tower]) for tower in TOWERS}
    seconds = round(time.monotonic() - start, 1)
    variant = manifest.variants[0].id
    beside = _litert_report(folder, litert) if litert else {}
    return Report(
        str(out), out.stat().st_size, variant, towers["image"], towers["text"], preprocessing, trim, seconds, beside
    )


def _litert_report(folder: Path, variant: VariantRecord) -> dict[TowerName, TowerReport]:
    return {
        tower: TowerReport((folder / assembly.TREE / record.artifact).stat().st_size, record.fidelity)
        for tower, record in variant.towers.items()
    }


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        around = text[max(0, error.start - 30) : error.end + 10]
        raise InputError(f"the source or a file has a name that is not UTF-8: {around!r}; rename it") from error


def _check(out: Path, options: ConvertOptions) -> None:
    if out.suffix != SUFFIX:
        raise InputError(f"{out}: a bundle's name ends in {SUFFIX}")
    if out.is_dir():
        raise InputError(f"{out}: is a folder; give the name of a file to write")
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} does not exist; create it first")
    if options.weights is not None and options.weights not in verdict.LIMITS:
        raise InputError(f"weights: {options.weights!r} is not one of {', '.join(verdict.LIMITS)}")
    if options.target not in TARGETS:
        raise InputError(f"target: {options.target!r} is not one of {', '.join(TARGETS)}")
    if options.tokenizer is not None and not options.tokenizer.exists():
        raise InputError(f"{options.tokenizer}: no such tokenizer file or folder")
    for template in options.templates:
        fill_templates("label", (template,))
