"""Write the new bundle: the chosen variant with everything that was measured, and what the old bundle held beside."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit import __version__, golden
from edgekit.atomic import write_bytes
from edgekit.bundle import provenance, schema
from edgekit.bundle.manifest import TowerRecord, VariantRecord
from edgekit.bundle.writer import write_bundle
from edgekit.converters import card, verdict
from edgekit.converters.quantize import lite, picture, sheet, work
from edgekit.converters.quantize.candidates import tower_decision
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT
from edgekit.converters.quantize.methods.records import Decision, Group, Range
from edgekit.converters.quantize.work import MethodFacts
from edgekit.fidelity import agreement
from edgekit.golden import TOWERS
from edgekit.runtimes import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edgekit.bundle.reader import Bundle
    from edgekit.converters.quantize.data import Material
    from edgekit.converters.quantize.search import Outcome
    from edgekit.converters.quantize.settings import Settings
    from edgekit.converters.quantize.work import Survey, Task
    from edgekit.golden import TowerName

CARD, PICTURE, SECTION = "card.md", "card/pareto.png", "Quantization"
_RUNTIME = "onnxruntime"
# A variant is named after a type that holds at least this share of its weights.
_MOST = 0.9


@dataclass(frozen=True)
class Quantization:
    """How a variant was made from float32: the member that `VariantRecord.quantization` names.

    Attributes:
        decision: which method each group of weights got.
        groups: per tower, the groups; their nodes are those of the float graph.
        methods: what the methods that were used do.
        ranges: per tower, the ranges of activations over the calibration data.
        data: name of the data.
        digest: of the whole set.
        parts: digest of each part of it: what was calibrated on, chosen by, and proven on.
    """

    decision: Decision
    groups: dict[str, tuple[Group, ...]]
    methods: dict[str, MethodFacts]
    ranges: dict[str, dict[str, Range]]
    data: str
    digest: str
    parts: dict[str, str]


@dataclass(frozen=True)
class Job:
    """What there is to pack.

    Attributes:
        bundle: the old one.
        floats: its float variant.
        folder: of the search.
        settings: of the user.
        material: the data.
        outcome: of the search.
    """

    bundle: Bundle
    floats: VariantRecord
    folder: Path
    settings: Settings
    material: Material
    outcome: Outcome


@dataclass(frozen=True)
class Packed:
    """What was written.

    Attributes:
        variant: that was delivered or kept.
        litert: why there is no LiteRT variant though the user asked for one; empty otherwise.
    """

    variant: VariantRecord
    litert: str


def pack(job: Job, out: Path, on_stage: Callable[[str], None]) -> Packed:
    """Write the bundle.

    The tokenizer and the golden files are carried over byte for byte, as are variants other than float. The float
    variant stays where the user asked for it or nothing passed.

    Args:
        job: what to pack.
        out: the ``.edge`` file to create or replace; it appears whole or not at all.
        on_stage: called with the name of each stage.

    Returns:
        What was delivered or kept.

    Raises:
        BundleError: the old bundle is damaged.
        InputError: `out` cannot be written.
    """
    tree = job.folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    manifest = job.bundle.manifest
    made = _variant(job, tree) if job.outcome.winner is not None else None
    extra, missing = _litert(job, made, tree, on_stage)
    new_variants = [one for one in (made, extra) if one is not None]
    taken = {one.id for one in new_variants}
    others = [v for v in manifest.variants if v is not job.floats and v.id not in taken]
    floats = [] if made and not job.settings.keep_float else [job.floats]
    variants = (*new_variants, *floats, *others)
    _carry_over(job.bundle, tree, (*floats, *others))
    steps = provenance.extend(manifest.provenance, "quantize", _details(job, made))
    new = replace(manifest, variants=variants, provenance=steps, files=())
    write_bytes(_made(tree / PICTURE), picture.draw(job.outcome))
    before = bytes(job.bundle.read(CARD)).decode() if CARD in {file.path for file in manifest.files} else ""
    text = card.with_section(before or f"# {manifest.name}\n", SECTION, sheet.section(job, new_variants, PICTURE))
    write_bytes(tree / CARD, text.encode())
    write_bundle(out, new, tree)
    return Packed(made or job.floats, missing)


def _litert(
    job: Job, made: VariantRecord | None, tree: Path, on_stage: Callable[[str], None]
) -> tuple[VariantRecord | None, str]:
    """Put the LiteRT files of the same decision into the tree, or say why there are none."""
    if "litert" not in job.settings.formats:
        return None, ""
    if made is None:
        return None, "no decision passed that could be compiled"
    found = lite.make(job, made.id, made.quantization, on_stage)
    if isinstance(found, str):
        return None, found
    for path, file in found.files.items():
        shutil.copyfile(file, _made(tree / path))
    return found.variant, ""


def variant_id(decision: Decision, surveys: Mapping[TowerName, Survey]) -> str:
    """Name a variant after the type that holds nearly all of its weights, or ``mixed``."""
    if set(surveys) != set(TOWERS):
        return "mixed"
    held: dict[str, int] = {}
    for tower, survey in surveys.items():
        methods = tower_decision(decision, tower).methods
        for group in survey.groups:
            weights = survey.methods[methods[group.name]].weights if group.name in methods else "float32"
            # Blocks are a way to scale, and 7 bits lie in 8.
            stored = weights.split()[0].replace("int7", "int8")
            held[stored] = held.get(stored, 0) + group.parameters
    most = max(held, key=lambda kind: held[kind], default="float32")
    return most if most != "float32" and held[most] >= _MOST * sum(held.values()) else "mixed"


def _variant(job: Job, tree: Path) -> VariantRecord:
    winner = job.outcome.winner
    if winner is None or winner.on_held_out is None or winner.on_held_out.fidelity is None:
        raise ValueError("only a proven candidate can be packed")
    name = variant_id(winner.decision, job.outcome.surveys)
    home = f"variants/{name}"
    towers = {tower: _tower(job, tree, home, tower, task) for tower, task in job.outcome.tasks.items()}
    member = _free_member(job.bundle, name)
    write_bytes(_made(tree / member), schema.dumps(_quantization(job, winner.decision)).encode())
    toolchain = {**job.floats.toolchain, "edgekit": __version__, _RUNTIME: registry.get(_RUNTIME).available().version}
    return VariantRecord(
        id=name,
        format="onnx",
        target=job.settings.target,
        precision=name,
        image=towers["image"],
        text=towers["text"],
        toolchain=toolchain,
        quantization=member,
        fidelity=winner.on_held_out.fidelity,
    )


def _free_member(bundle: Bundle, name: str) -> str:
    """Return a path for a variant's `Quantization` that describes no other variant of the bundle."""
    taken = {variant.quantization for variant in bundle.manifest.variants if variant.id != name}
    paths = (f"quantization/{name}{'' if number == 1 else f'.{number}'}.json" for number in itertools.count(1))
    return next(path for path in paths if path not in taken)


def _tower(job: Job, tree: Path, home: str, tower: TowerName, task: Task) -> TowerRecord:
    built = work.built(job.folder, task)
    paths = [f"{home}/{file.name}" for file in sorted(built.parent.iterdir())]
    for path in paths:
        shutil.copyfile(built.parent / path.rpartition("/")[2], _made(tree / path))
    rows = np.load(work.rows(job.folder, task, GOLDEN))
    measured = agreement(rows, golden.reference(job.bundle, tower))
    floats = job.floats.towers[tower]
    artifact = f"{home}/{built.name}"
    sidecars = tuple(path for path in paths if path != artifact)
    return TowerRecord(artifact, sidecars, floats.input, floats.output, measured, verdict.tolerance(measured))


def _quantization(job: Job, decision: Decision) -> Quantization:
    used = {name for tower in TOWERS for name in tower_decision(decision, tower).methods.values()}
    surveys = job.outcome.surveys
    ranges = {
        str(tower): {name: Range(r.low, r.high) for name, r in work.read_ranges(job.folder, tower).items()}
        for tower in surveys
    }
    return Quantization(
        decision=decision,
        groups={str(tower): survey.groups for tower, survey in surveys.items()},
        methods={name: survey.methods[name] for survey in surveys.values() for name in sorted(used)},
        ranges=ranges,
        data=job.material.name,
        digest=job.material.digest,
        parts={name: part.digest for name, part in job.material.parts.items()},
    )


def _carry_over(bundle: Bundle, tree: Path, variants: tuple[VariantRecord, ...]) -> None:
    kept = {
        path
        for variant in bundle.manifest.variants
        if variant in variants
        for path in (
            *(p for tower in variant.towers.values() for p in (tower.artifact, *tower.sidecars)),
            variant.quantization,
        )
    }
    for file in bundle.manifest.files:
        goes = file.path.startswith(("variants/", "quantization/")) and file.path not in kept
        if not goes and not (tree / file.path).exists():
            with _made(tree / file.path).open("wb") as stream:
                stream.write(bundle.read(file.path))


def _details(job: Job, made: VariantRecord | None) -> dict[str, str]:
    settings, outcome = job.settings, job.outcome
    winner = outcome.winner
    decisions = [tower_decision(winner.decision, tower) for tower in TOWERS] if winner else []
    used = Counter(method for decision in decisions for method in decision.methods.values())
    return {
        "variant": made.id if made else "",
        "outcome": outcome.reason or "passed",
        "float_bundle": job.bundle.digest,
        "data": job.material.name,
        "data_digest": job.material.digest,
        "held_out_digest": job.material.parts[HELD_OUT].digest,
        "held_out_looks": str(outcome.looks),
        "min_agreement": f"{settings.min_agreement:g}",
        "max_drop": "" if settings.max_drop is None else f"{settings.max_drop:g}",
        "objective": settings.objective,
        "threads": str(settings.threads),
        "target": settings.target,
        "calibration": settings.calibration,
        "smoothing": json.dumps([decision.smoothing for decision in decisions]),
        "groups_by_method": json.dumps(used, sort_keys=True),
        "interrupted": str(outcome.interrupted).lower(),
        "version_edgekit": __version__,
        f"version_{_RUNTIME}": registry.get(_RUNTIME).available().version,
    }


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
