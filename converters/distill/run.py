"""`distill`: from a recipe to the bundle of a student, in steps that each go on where an interruption left them."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.bundle.reader import open_bundle
from edgekit.converters.children import run_child
from edgekit.converters.distill import adoption, figures, jobs, packing, picture, work
from edgekit.converters.distill.asking import asking_to_stop
from edgekit.converters.distill.data.store_records import Cost
from edgekit.converters.distill.kept import kept_variant
from edgekit.converters.distill.records import Report
from edgekit.converters.distill.throughput import Pace
from edgekit.converters.distill.train_worker import DEVICES
from edgekit.converters.distill.training.records import Outcome
from edgekit.errors import ConversionError, EdgekitError, InputError
from edgekit.golden import TOWERS
from edgekit.locations import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgekit.converters.distill.jobs import Job
    from edgekit.converters.distill.recipe import Recipe
    from edgekit.converters.distill.records import Score

_PACKAGE = "edgekit.converters.distill"


class StoppedError(EdgekitError):
    """The user stopped the training; the same command continues."""


@dataclass(frozen=True)
class Options:
    """What the user may set beside the recipe; none of it changes what the student learns from.

    Attributes:
        processes: that train together on this machine.
        device: ``auto`` takes a GPU where there is one; ``cpu``; ``cuda``.
        restart: delete what an earlier run left, and begin anew.
    """

    processes: int = 1
    device: str = "auto"
    restart: bool = False


def distill(
    recipe: Recipe,
    out: Path,
    options: Options,
    on_stage: Callable[[str], None],
    on_progress: Callable[[dict[str, Any]], None],
) -> Report:
    """Distill a student.

    The work folder lies beside `out` (``STUDENT.distill`` for ``STUDENT.edge``). The same call goes on where an earlier
    one was ended, however it ended. On success only what is small stays there: figures, curves, trained weights.

    Args:
        recipe: see `recipe_file.read`.
        out: the ``.edge`` file to create or replace; untouched until the end.
        options: see `Options`.
        on_stage: called with the name of each stage as it begins.
        on_progress: called with facts of the running stage; see `display.line`.

    Returns:
        Figures of the student beside its teacher's.

    Raises:
        InputError: an option, the data, a teacher or the work folder cannot be used.
        ConversionError: a process failed, or the student's graphs disagree with it.
        StoppedError: the user asked to stop.
    """
    start = time.monotonic()
    _check(out, options)
    with jobs.opened(recipe, work.folder_of(out), restart=options.restart, on_stage=on_stage) as job:
        outcome = _outcome(job.folder)
        if outcome is None:
            if not _prepared(job.folder):
                _prepare(job, "", on_stage, on_progress)
            outcome = _train(job, options, on_stage, on_progress)
        report = _deliver(job, outcome, out, on_stage, on_progress, start)
        jobs.tidy(job.folder)
    return report


def prepare(
    recipe: Recipe,
    out: Path,
    options: Options,
    on_stage: Callable[[str], None],
    on_progress: Callable[[dict[str, Any]], None],
) -> Path:
    """Do everything that comes before the training, for processes that the user starts himself.

    Args:
        recipe: see `recipe_file.read`.
        out: as for `distill`.
        options: see `Options`.
        on_stage: as for `distill`.
        on_progress: as for `distill`.

    Returns:
        The work folder, which `train_worker` is given.

    Raises:
        InputError: as for `distill`.
        ConversionError: as for `distill`.
    """
    _check(out, options)
    with jobs.opened(recipe, work.folder_of(out), restart=options.restart, on_stage=on_stage) as job:
        _prepare(job, "", on_stage, on_progress)
        return job.folder


def embed(
    recipe: Recipe,
    store: Path,
    options: Options,
    on_stage: Callable[[str], None],
    on_progress: Callable[[dict[str, Any]], None],
) -> None:
    """Only compute the teachers' embeddings, into a folder that another machine's recipe names.

    Args:
        recipe: see `recipe_file.read`; every teacher has a model.
        store: folder; created. What an earlier run left unfinished there is completed.
        options: see `Options`; only `restart` counts.
        on_stage: as for `distill`.
        on_progress: as for `distill`.

    Raises:
        InputError: as for `distill`.
        ConversionError: as for `distill`.
    """
    for i, teacher in enumerate(recipe.teachers):
        if not teacher.model or teacher.embeddings:
            raise InputError(f"teachers[{i}]: names embeddings; to compute them, give its model alone")
    store.mkdir(parents=True, exist_ok=True)
    with jobs.opened(recipe, work.folder_of(store), restart=options.restart, on_stage=on_stage) as job:
        _prepare(job, str(store.absolute()), on_stage, on_progress)
        jobs.remove(job.folder)


def _check(out: Path, options: Options) -> None:
    if out.suffix != SUFFIX:
        raise InputError(f"{out}: a bundle's name ends in {SUFFIX}")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise InputError(f"{out}: is a folder, or the folder {out.parent} does not exist; create it first")
    if options.processes < 1:
        raise InputError(f"processes: {options.processes} is not at least 1")
    if options.device not in DEVICES:
        raise InputError(f"device: {options.device!r} is not one of {', '.join(DEVICES)}")
    picture.require()


def _outcome(folder: Path) -> Outcome | None:
    """What a training that has ended by itself left; None where there is still something to train."""
    if not (folder / work.OUTCOME).exists():
        return None
    found = work.read(folder, work.OUTCOME, Outcome)
    return None if found.ended == "stopped" else found


def _prepared(folder: Path) -> bool:
    """Whether an earlier run prepared everything; that it was for the same data and teachers is settled before."""
    return (folder / work.PREPARED).exists() and (folder / work.DATA).is_dir()


def _prepare(
    job: Job, store: str, on_stage: Callable[[str], None], on_progress: Callable[[dict[str, Any]], None]
) -> None:
    run_child(f"{_PACKAGE}.prepare_worker", job.folder, (store,) if store else (), on_stage, on_progress)


def _train(
    job: Job, options: Options, on_stage: Callable[[str], None], on_progress: Callable[[dict[str, Any]], None]
) -> Outcome:
    module = "train_worker"
    arguments: tuple[str, ...] = (options.device,)
    if options.processes > 1:
        module, arguments = "launch_worker", (str(options.processes), options.device)
    with asking_to_stop(job.folder) as asked:
        try:
            run_child(f"{_PACKAGE}.{module}", job.folder, arguments, on_stage, on_progress)
        except ConversionError as error:
            # A wish that comes before the first step ends the worker, which then has nothing to save.
            if asked():
                raise StoppedError("stopped; the same command continues") from error
            raise
    found = _outcome(job.folder)
    if found is None:
        how = "" if asked() else " by a signal from elsewhere"
        raise StoppedError(f"stopped{how} after a checkpoint; the same command continues")
    return found


def _deliver(
    job: Job,
    outcome: Outcome,
    out: Path,
    on_stage: Callable[[str], None],
    on_progress: Callable[[dict[str, Any]], None],
    start: float,
) -> Report:
    draft = packing.draft(job, outcome, job.recipe.student.name or out.stem, on_stage)
    on_stage("judging the bundle")
    scores, teacher_scores = _scores(job, outcome, draft.path, on_progress)
    teacher = job.bundles[0]
    towers = figures.towers(open_bundle(draft.path), open_bundle(teacher) if teacher else None, job.recipe)
    report = Report(
        bundle=str(out),
        size=draft.path.stat().st_size,
        folder=str(job.folder),
        teachers=tuple(spec.model or spec.embeddings for spec in job.recipe.teachers),
        teacher_digests=job.identity.teachers,
        recipe=job.identity.recipe,
        validation="" if job.sets is None else job.sets.validation.name,
        validation_digest=job.identity.validation,
        scores=scores,
        teacher_scores=teacher_scores,
        image=towers["image"],
        text=towers["text"],
        embedding=work.read(job.folder, work.PREPARED, Cost),
        training=outcome,
        seconds=round(time.monotonic() - start, 1),
        notes=_notes(job),
    )
    on_stage("packing")
    picture.write(job.folder, outcome)
    packing.finish(job, draft, report, out)
    report = replace(report, size=out.stat().st_size)
    work.write(job.folder, work.REPORT, report)
    return report


def _scores(
    job: Job, outcome: Outcome, draft: Path, on_progress: Callable[[dict[str, Any]], None]
) -> tuple[tuple[Score, ...], tuple[Score, ...]]:
    teacher = figures.of_training(outcome.teacher)
    if job.sets is not None and job.sets.validation.task != "unlabelled":
        return figures.through_bundle(draft, job.sets.validation, Pace(on_progress)), teacher
    delivered = [one for one in outcome.evaluations if one.step == outcome.delivered_step]
    return figures.of_training(delivered[-1].figures if delivered else ()), teacher


def _notes(job: Job) -> tuple[str, ...]:
    found, notes = job.sets, list(_about_kept(job))
    if found is None:
        return tuple(notes)
    if found.validation.task == "unlabelled":
        notes.append("the validation images have no texts: the scores say how near the student is to its teacher")
    if found.repeated:
        notes.append(f"{found.repeated} training images were there twice and count once")
    if found.withheld:
        notes.append(f"{found.withheld} training images are in the validation set and were only judged on")
    return tuple(notes)


def _about_kept(job: Job) -> Iterator[str]:
    teacher = job.bundles[0]
    for tower in TOWERS:
        if getattr(job.recipe.student, tower) is None and teacher is not None:
            precision = kept_variant(open_bundle(teacher)).precision
            if precision != adoption.FLOAT:
                yield (
                    f"the {tower} tower is the teacher's, {precision} as it is; to quantize the student afterwards, "
                    "name a bundle with float32 towers as its teacher"
                )
