"""Make a work folder's data: stored pixels, the teachers' embeddings, the student's token ids.

Whatever ended an earlier run, this one goes on from the last whole chunk; ``material.json`` comes last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters.distill.data import embed, pixels, ragged, store, subjects, tokens
from edgekit.converters.distill.data.decoding import scaled
from edgekit.converters.distill.data.plan import VERSION, Images, Made, Plan, TextList, Texts
from edgekit.converters.distill.data.sets import collect
from edgekit.converters.distill.data.store_records import Cost
from edgekit.converters.distill.data.teachers import Towers, default_store, open_source
from edgekit.converters.distill.data.texts import read_texts
from edgekit.errors import BundleError, InputError
from edgekit.text import fill_templates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.converters.distill.data.embed import Wanted
    from edgekit.converters.distill.data.sets import Sets
    from edgekit.converters.distill.data.teachers import Source
    from edgekit.converters.distill.recipe import DataSpec, Recipe
    from edgekit.converters.distill.students.records import Student, TextTower
    from edgekit.evaluation.records import Dataset

MADE = "material.json"
_GB = 1e9


@dataclass(frozen=True)
class _Given:
    """What everything is made from."""

    data: DataSpec
    sets: Sets | None
    texts: tuple[str, ...]
    sources: tuple[Source, ...]
    student: Student
    plan: Plan


def prepare(
    recipe: Recipe,
    teachers: Sequence[Path | None],
    student: Student,
    folder: Path,
    on_stage: Callable[[str], None],
    on_progress: Callable[[int, int], None],
) -> None:
    """Make everything that `open_material` reads, or what is still missing of it.

    Args:
        recipe: paths as they are.
        teachers: path of each teacher's bundle; None where the recipe names embeddings only.
        student: what learns.
        folder: the work folder; ``folder/data`` is written.
        on_stage: called with the name of each stage.
        on_progress: called with the number of items done in a stage, and of all.

    Raises:
        InputError: the data or the embeddings are unusable; the message names the set, file or field.
        ImageError: an image cannot be decoded; the message names it.
        ExecutionError: a teacher failed.
        OSError: the disk is full.
    """
    home = folder / "data"
    home.mkdir(parents=True, exist_ok=True)
    on_stage("reading the data")
    given = _given(recipe, teachers, student)
    if _is_made(home / MADE, given.plan):
        return
    (home / MADE).unlink(missing_ok=True)
    if given.sets is not None and given.plan.images is not None:
        _cache(home, given.sets, given.plan.images, on_stage, on_progress)
    costs = []
    for number, source in enumerate(given.sources):
        wanted = _wanted(home, given, source)
        towers = Towers(source)
        try:
            for one in wanted.values():
                embed.ensure(source, one, towers, on_stage, on_progress)
        finally:
            towers.close()
        on_stage(f"teacher {source.record.name}: checking and joining")
        for name, one in wanted.items():
            _join(home, name, number, source, one)
        # Training and validation may have the same class names.
        distinct = {store.folder_of(source.home, one.subject): one.subject for one in wanted.values()}
        costs.append(_total([store.cost(source.home, subject) for subject in distinct.values()]))
    on_stage("reading texts into tokens")
    _write_texts(home, given, on_progress)
    repeated, withheld = (given.sets.repeated, given.sets.withheld) if given.sets else (0, 0)
    write_bytes(home / MADE, schema.dumps(Made(given.plan, repeated, withheld, tuple(costs))).encode())


def read_made(folder: Path) -> Made:
    """Read what a work folder's data is made of.

    Args:
        folder: the work folder.

    Returns:
        The record, with the teachers' cost.

    Raises:
        InputError: the data is not complete, or of another version.
    """
    path = folder / "data" / MADE
    try:
        made = schema.loads(Made, path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise InputError(f"{folder}: its data is not complete; run the distillation again") from error
    except BundleError as error:
        raise InputError(f"{error}; remove {folder}") from error
    if made.plan.version != VERSION:
        raise InputError(f"{path}: is of version {made.plan.version}, this edgekit reads {VERSION}; remove {folder}")
    return made


def _given(recipe: Recipe, teachers: Sequence[Path | None], student: Student) -> _Given:
    data = recipe.data
    if len(teachers) != len(recipe.teachers) or not teachers:
        raise InputError(f"teachers: the recipe names {len(recipe.teachers)}, {len(teachers)} are here")
    where = Path(data.store) if data.store else default_store()
    sources = tuple(open_source(spec, path, where) for spec, path in zip(recipe.teachers, teachers, strict=True))
    sets = collect(data)
    texts = read_texts(data.texts) if student.text is not None else ()
    if sets is None and not texts:
        raise InputError("data: names neither images nor texts that a tower could learn from")
    records = tuple(source.record for source in sources)
    images = None if sets is None else _images(data, sets, student, sources)
    tokenizer, pad_id = ("", 0) if student.text is None else (tokens.digest(student.text), student.text.pad_id)
    digest = store.data_digest([subjects.text_digest(text) for text in texts])
    plan = Plan(VERSION, data.labelled, data.seed, records, images, Texts(len(texts), digest, tokenizer, pad_id))
    return _Given(data, sets, texts, sources, student, plan)


def _images(data: DataSpec, sets: Sets, student: Student, sources: Sequence[Source]) -> Images:
    train, validation = sets.train, sets.validation
    kept = student.image is None
    own = None if student.image is None else student.image.spec
    stored = None if own is None else scaled(own, data.resolution or _largest(own, sources))
    views = subjects.view_plan(data, kept=kept)
    judged = pixels.bytes_of(len(validation.items), own) if own else 0
    learned = pixels.bytes_of(len(train.items), stored) if stored else 0
    return Images(
        count=len(train.items),
        digest=train.digest,
        labelled=sum(sets.labelled),
        classes=train.task == "classification",
        validation=validation.name,
        validation_count=len(validation.items),
        validation_digest=validation.digest,
        validation_classes=validation.task == "classification",
        templates=data.templates or sources[0].record.text.templates or ("{}",),
        pixels=stored,
        student=own,
        cached=judged + learned <= data.memory * _GB,
        validation_cached=judged <= data.memory * _GB,
        views=views.count,
        seed=views.seed,
        augmentation=views.augmentation,
    )


def _largest(own: ImageSpec, sources: Sequence[Source]) -> int:
    specs = [own, *(source.record.image for source in sources)]
    return max(max(spec.height, spec.width) for spec in specs)


def _is_made(path: Path, plan: Plan) -> bool:
    try:
        return schema.loads(Made, path.read_bytes(), str(path)).plan == plan
    except (FileNotFoundError, BundleError):
        return False


def _cache(
    home: Path,
    sets: Sets,
    plan: Images,
    on_stage: Callable[[str], None],
    on_progress: Callable[[int, int], None],
) -> None:
    """Store the pixels of both sets, or where their images lie."""
    parts = (
        ("pixels", sets.train, plan.pixels, plan.cached),
        ("validation-pixels", sets.validation, plan.student, plan.validation_cached),
    )
    for name, dataset, spec, cached in parts:
        if spec is None:
            continue
        if cached:
            on_stage(f"decoding {len(dataset.items)} images")
            pixels.build(home / f"{name}.npy", dataset.items, dataset.digest, spec, on_progress)
        else:
            pixels.write_items(home / f"{name}.jsonl", dataset.items)


def stored_pixels(home: Path, name: str, spec: ImageSpec, *, cached: bool) -> pixels.Pixels:
    """Open the pixels that a work folder's data has."""
    if cached:
        return pixels.Cached(home / f"{name}.npy")
    return pixels.Decoded(pixels.read_items(home / f"{name}.jsonl"), spec)


def _wanted(home: Path, given: _Given, source: Source) -> dict[str, Wanted]:
    """Return what a teacher must have embedded, by the names of the files that it goes into."""
    wanted: dict[str, Wanted] = {}
    if given.sets is not None and given.plan.images is not None:
        plan, train, validation = given.plan.images, given.sets.train, given.sets.validation
        if plan.pixels is None:
            wanted["rows"] = embed.photos(source, train.items, "training images")
        else:
            views = subjects.ViewPlan(plan.views, plan.seed, plan.augmentation)
            stored = stored_pixels(home, "pixels", plan.pixels, cached=plan.cached)
            wanted["rows"] = embed.views(source, stored, train.items, plan.pixels, views)
        wanted["validation-rows"] = embed.photos(source, validation.items, "validation images")
        for name, dataset in (("bank-rows", train), ("validation-bank-rows", validation)):
            if dataset.texts:
                wanted[name] = _of_texts(source, dataset, plan.templates)
    if given.texts:
        wanted["texts-rows"] = embed.texts(source, given.texts, "texts", half=True)
    return wanted


def _of_texts(source: Source, dataset: Dataset, templates: tuple[str, ...]) -> Wanted:
    if dataset.task == "classification":
        return embed.labels(source, dataset.texts, templates, "class names")
    return embed.texts(source, dataset.texts, "captions")


def _join(home: Path, name: str, number: int, source: Source, wanted: Wanted) -> None:
    views = embed.join(home / f"{name}-{number}.npy", source, wanted)
    if views is None:
        return
    if number == 0:
        ragged.save(home / "views.npy", views)
    elif not np.array_equal(np.load(home / "views.npy", mmap_mode="r"), views):
        raise InputError(f"{source.home}: its views are not those of the first teacher; compute them again")


def _write_texts(home: Path, given: _Given, on_progress: Callable[[int, int], None]) -> None:
    """Write banks, targets and token ids."""
    tower = given.student.text
    if given.sets is not None and given.plan.images is not None:
        templates = given.plan.images.templates
        train, labelled = given.sets.train, given.sets.labelled
        used = [target if may else () for target, may in zip(train.targets, labelled, strict=True)]
        # Class names are known beforehand; a caption comes with its image only.
        chosen = range(len(train.texts)) if train.task == "classification" else sorted({i for one in used for i in one})
        _write_bank(home, "bank", train, list(chosen) if any(labelled) else [], used, templates, tower)
        validation = given.sets.validation
        _write_bank(home, "validation", validation, range(len(validation.texts)), validation.targets, templates, tower)
    if given.texts and tower is not None:
        ragged.write(home, "texts", tokens.ids(tower, given.texts, on_progress))


def _write_bank(
    home: Path,
    name: str,
    dataset: Dataset,
    chosen: Sequence[int],
    targets: Sequence[tuple[int, ...]],
    templates: tuple[str, ...],
    tower: TextTower | None,
) -> None:
    place = {number: row for row, number in enumerate(chosen)}
    texts = [dataset.texts[number] for number in chosen]
    ragged.write(home, f"{name}-targets", [[place[number] for number in target] for target in targets])
    ragged.save(home / f"{name}-chosen.npy", np.array(chosen, np.int64))
    write_bytes(home / f"{name}-texts.json", schema.dumps(TextList(tuple(texts))).encode())
    if tower is None:
        return
    used = templates if dataset.task == "classification" else ("{}",)
    prompts = [prompt for text in texts for prompt in fill_templates(text, used)]
    ragged.save(home / f"{name}-tokens.npy", tokens.table(tower, prompts))


def _total(costs: Sequence[Cost]) -> Cost:
    total = Cost(0, 0.0, 0.0, 0)
    for one in costs:
        total = replace(
            total,
            items=total.items + one.items,
            seconds=total.seconds + one.seconds,
            cpu_seconds=total.cpu_seconds + one.cpu_seconds,
            size=total.size + one.size,
        )
    return total
