"""Hand a trained student to the conversion, and complete the bundle that it makes with what was measured on it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import __version__
from edgekit.atomic import write_bytes
from edgekit.bundle import provenance, schema
from edgekit.bundle.manifest import SourceRecord
from edgekit.bundle.reader import open_bundle
from edgekit.bundle.writer import write_bundle
from edgekit.converters import card
from edgekit.converters.convert import ConvertOptions, convert
from edgekit.converters.distill import handover, recipe_file, sheet, work
from edgekit.converters.distill.adoption import adopt
from edgekit.converters.distill.data import teachers
from edgekit.converters.distill.handover import Handover
from edgekit.golden import TOWERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.bundle.manifest import Manifest, Scores, Step, TowerRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.converters.distill.data.store_records import TeacherRecord
    from edgekit.converters.distill.jobs import Job
    from edgekit.converters.distill.recipe import Recipe
    from edgekit.converters.distill.records import Report
    from edgekit.converters.distill.training.records import Outcome
    from edgekit.golden import TowerName

CARD, ATTACHED, CURVES = "card.md", "distill/recipe.json", "card/curves.png"
# Losses that train the scale of cosines for one way of turning them into scores.
_SIGMOID, _SOFTMAX = frozenset({"sigmoid"}), frozenset({"labels", "contrastive"})


@dataclass(frozen=True)
class Draft:
    """The student's bundle without figures on its card.

    Attributes:
        path: of the bundle, in the work folder.
        manifest: its manifest, complete but for ``files``.
        tree: its members.
    """

    path: Path
    manifest: Manifest
    tree: Path


def draft(job: Job, outcome: Outcome, name: str, on_stage: Callable[[str], None]) -> Draft:
    """Convert the trained student into a bundle in the work folder.

    Args:
        job: the distillation.
        outcome: of its training.
        name: of the bundle.
        on_stage: called with each stage's name.

    Returns:
        The bundle, with a kept tower as its teacher has it, and without this machine's paths.

    Raises:
        ConversionError: the student cannot be exported, or its graphs disagree with it.
    """
    student, path = job.folder / work.STUDENT, job.folder / work.DRAFT
    write_bytes(student / "recipe.json", schema.dumps(recipe_file.portable(job.recipe)).encode())
    work.write(student, handover.FILE, _handover(job, outcome, name))
    converted = convert(f"student:{student}", path, ConvertOptions(), on_stage)
    tree = job.folder / work.TREE
    manifest = _unpack(open_bundle(path), tree)
    teacher, kept = job.bundles[0], _kept(job.recipe)
    if teacher is not None and kept is not None:
        manifest = adopt(manifest, tree, open_bundle(teacher), kept)
    uri = f"student:{name}"
    *before, last = manifest.provenance
    steps = provenance.extend(before, last.action, {**last.details, "source": uri})
    source = SourceRecord(uri, manifest.source.sha256)
    manifest = replace(manifest, source=source, provenance=steps, files=())
    sizes = {name: _size(tree, tower) for name, tower in manifest.variants[0].towers.items()}
    write_bytes(tree / CARD, card.card(manifest, converted.preprocessing, sizes).encode())
    write_bundle(path, manifest, tree)
    return Draft(path, manifest, tree)


def finish(job: Job, made: Draft, report: Report, out: Path) -> None:
    """Write the bundle: the draft, with the figures and the curves on its card.

    Args:
        job: the distillation.
        made: the draft.
        report: what was measured.
        out: the ``.edge`` file to create or replace; it appears whole or not at all.

    Raises:
        InputError: `out` cannot be written.
    """
    curves = made.tree / CURVES
    curves.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(job.folder / work.PICTURE, curves)
    section = sheet.section(report, job.recipe, CURVES, ATTACHED)
    page = (made.tree / CARD).read_text(encoding="utf-8")
    write_bytes(made.tree / CARD, card.with_section(page, sheet.TITLE, section).encode())
    write_bundle(out, made.manifest, made.tree)


def _unpack(bundle: Bundle, tree: Path) -> Manifest:
    shutil.rmtree(tree, ignore_errors=True)
    for record in bundle.manifest.files:
        target = tree / record.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(bundle.read(record.path))
    return bundle.manifest


def _size(tree: Path, tower: TowerRecord) -> int:
    return sum((tree / path).stat().st_size for path in (tower.artifact, *tower.sidecars))


def _kept(recipe: Recipe) -> TowerName | None:
    return next((tower for tower in TOWERS if getattr(recipe.student, tower) is None), None)


def _handover(job: Job, outcome: Outcome, name: str) -> Handover:
    recipe = job.recipe
    record, chain = _first_teacher(job)
    bundle = job.bundles[0]
    return Handover(
        name=name,
        license=record.license,
        description=_description(recipe, record),
        teacher=str(bundle) if bundle is not None else "",
        dimension=recipe.student.dimension or record.dimension,
        logit_scale=outcome.logit_scale,
        logit_bias=outcome.logit_bias,
        scores=_scores(recipe, record.scores),
        templates=recipe.data.templates or record.text.templates,
        space=record.space if recipe.student.space == "teacher" else "",
        history=provenance.extend(chain, "distill", details(job, outcome)),
        attachments={ATTACHED: "recipe.json"},
    )


def details(job: Job, outcome: Outcome) -> dict[str, str]:
    """Return what the provenance says of a distillation, as text."""
    recipe, identity = job.recipe, job.identity
    found = {
        "recipe": identity.recipe,
        **{f"teacher_{i}": digest for i, digest in enumerate(identity.teachers)},
        "images": identity.images,
        "validation": identity.validation,
        "texts": identity.texts,
        "losses": ", ".join(f"{name} {weight:g}" for name, weight in recipe.losses.items() if weight),
        "steps": str(outcome.steps),
        "batch": str(recipe.training.batch),
        "seed": str(recipe.training.seed),
        "weights": f"{outcome.delivered}, step {outcome.delivered_step}",
        "processes": str(outcome.processes),
        "precision": outcome.precision,
        "device": outcome.device,
        "version_edgekit": __version__,
    }
    return {key: value for key, value in found.items() if value}


def _first_teacher(job: Job) -> tuple[TeacherRecord, tuple[Step, ...]]:
    """Its facts, and the steps that made it, which embeddings alone do not tell."""
    bundle = job.bundles[0]
    if bundle is not None:
        opened = open_bundle(bundle)
        return teachers.facts(opened), opened.manifest.provenance
    return teachers.stored(Path(job.recipe.teachers[0].embeddings))[1], ()


def _description(recipe: Recipe, record: TeacherRecord) -> str:
    new = [tower for tower in ("image", "text") if getattr(recipe.student, tower) is not None]
    archs = ", ".join(f"{tower} tower {getattr(recipe.student, tower).arch}" for tower in new)
    return f"Distilled from {record.name}: {archs}"


def _scores(recipe: Recipe, teacher: Scores) -> Scores:
    used = {name for name, weight in recipe.losses.items() if weight > 0}
    if used & _SIGMOID and not used & _SOFTMAX:
        return "sigmoid"
    return "softmax" if used & _SOFTMAX else teacher
