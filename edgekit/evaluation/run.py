"""`evaluate`: what each variant of a bundle scores on a set, here, and how far it is from the float one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import __version__
from edgekit.errors import EdgekitError, InputError, TextError
from edgekit.evaluation.assembly import select
from edgekit.evaluation.candidates import group, outcome, wanted_choices
from edgekit.evaluation.child import embed_apart
from edgekit.evaluation.job import Embedded, Job, embed
from edgekit.evaluation.report import Outcome, Report
from edgekit.evaluation.scoring import Scored, score
from edgekit.evaluation.vocabulary import on_frozen_labels, uses_frozen_labels
from edgekit.fidelity import fidelity
from edgekit.runtimes.protocol import SessionSettings
from edgekit.text import fill_templates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgekit.bundle.reader import Bundle
    from edgekit.evaluation.records import Dataset
    from edgekit.judging import Choice
    from edgekit.preprocess import Decoding


@dataclass(frozen=True)
class _Reference:
    """The first candidate that worked: it settles which images count, and the others are compared with it."""

    dataset: Dataset
    embedded: Embedded
    scored: Scored


def evaluate(
    bundle: Bundle,
    dataset: Dataset,
    *,
    variants: Sequence[str] = (),
    runtimes: Sequence[str] = (),
    device: str = "auto",
    everything: bool = False,
    templates: Sequence[str] | None = None,
    settings: SessionSettings | None = None,
    decoding: Decoding = "fast",
    strict: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Evaluate variants of a bundle on a set, each after its golden check and in a process of its own.

    Args:
        bundle: opened; one that was opened from bytes is evaluated in this process.
        dataset: with at least one image.
        variants: ids of those wanted; all when empty.
        runtimes: names of those wanted; of all when empty.
        device: as the runtime calls it; ``auto`` lets every device take part.
        everything: evaluate each variant on every runtime and device that opens it; else on the first that passes
            (the first device of each runtime in `runtimes`).
        templates: each with one ``{}``, for class names only; None takes the bundle's own. Frozen labels score a
            classification whose classes are all among them, with what was tuned, unless templates are given.
        settings: of the sessions.
        decoding: ``fast`` as an app decodes, or ``exact``; see `edgekit.preprocess.preprocess`.
        strict: raise at the first broken photo instead of skipping it.
        progress: called with the number of images done since the last call.

    Returns:
        What each scored. A candidate that fails its golden check, or whose engine fails or crashes, is in the report
        as refused, and the others go on. The reference is the first fp32 variant that works, else the first that works.

    Raises:
        BundleError: a file of the bundle is damaged.
        InputError: a variant does not exist, the set is empty, templates are given for captions, or the bundle has no
            text tower and the set's texts are not among its frozen labels.
        RuntimeUnavailableError: nothing wanted could even be tried.
        TextError: a template is malformed.
        ImageError: a photo is broken, and `strict`; or all are.
    """
    if not dataset.items:
        raise InputError(f"{dataset.name}: holds no image")
    frozen = uses_frozen_labels(bundle, dataset, templates)
    if frozen:
        dataset = on_frozen_labels(bundle, dataset)
    chosen = () if frozen else _templates(bundle, dataset, templates)
    job = Job(dataset, chosen, settings or SessionSettings(), decoding, strict, frozen)
    choices, refused = wanted_choices(bundle, variants, runtimes, device)
    evaluated: list[Outcome] = []
    reference: _Reference | None = None
    done: set[tuple[str, str]] = set()
    for choice in choices:
        if group(choice, runtimes) in done and not everything:
            continue
        try:
            found = _embed(bundle, choice, job, progress)
        except InputError:
            # A damaged bundle, or a photo that broke meanwhile: no other candidate would do better.
            raise
        except EdgekitError as error:
            refused.append(outcome(choice, refused=str(error)))
            continue
        done.add(group(choice, runtimes))
        if reference is None:
            reference = _settle(dataset, found)
            # The photos that cannot be decoded are the same for all: only the first candidate meets them.
            job = replace(job, dataset=reference.dataset, strict=True)
            evaluated.append(outcome(choice, found.images, reference.scored))
        else:
            evaluated.append(_compared(choice, found, reference))
    return Report(
        edgekit=__version__,
        bundle=bundle.where,
        bundle_sha256=bundle.digest,
        data=dataset.name,
        digest=job.dataset.digest,
        task=dataset.task,
        images=len(job.dataset.items),
        texts=len(job.dataset.texts),
        templates=chosen,
        labels=_described(bundle) if frozen else "",
        outcomes=(*evaluated, *refused),
        skipped=tuple(str(error) for error in reference.embedded.images.broken) if reference else (),
    )


def _templates(bundle: Bundle, dataset: Dataset, given: Sequence[str] | None) -> tuple[str, ...]:
    """Return what class names are put into, checked before anything is opened; nothing for other tasks."""
    if dataset.task != "classification":
        if given is not None:
            raise InputError(
                f"{dataset.name}: is for {dataset.task}; templates are for class names only, leave them out"
            )
        return ()
    templates = tuple(bundle.text.templates if given is None else given)
    if not templates:
        raise TextError("the list of templates is empty; give at least one, such as '{}'")
    fill_templates("label", templates)
    return templates


def _embed(bundle: Bundle, choice: Choice, job: Job, progress: Callable[[int], None] | None) -> Embedded:
    path = Path(bundle.where)
    return embed_apart(path, choice, job, progress) if path.exists() else embed(bundle, choice, job, progress)


def _settle(dataset: Dataset, found: Embedded) -> _Reference:
    """Leave out what cannot be decoded, and the texts that only those images needed."""
    images = found.images
    if not images.kept:
        raise images.broken[0]
    if not images.broken:
        return _Reference(dataset, found, score(dataset, images.rows, found.texts, None, found.ranking))
    settled = select(dataset, images.kept, dataset.name)
    if settled.task == "retrieval":
        kept = set(settled.texts)
        rows = [place for place, text in enumerate(dataset.texts) if text in kept]
        found = replace(found, texts=found.texts[rows])
    return _Reference(settled, found, score(settled, images.rows, found.texts, None, found.ranking))


def _compared(choice: Choice, found: Embedded, reference: _Reference) -> Outcome:
    dataset, first = reference.dataset, reference.embedded
    scored = score(dataset, found.images.rows, found.texts, reference.scored, found.ranking)
    agreement = fidelity(
        found.images.rows, found.texts, first.images.rows, first.texts, data=dataset.name, digest=dataset.digest
    )
    if found.ranking is not None and first.ranking is not None:
        # What ranks the labels is more than the embeddings where something was tuned.
        ranked = fidelity(*found.ranking, *first.ranking, data=dataset.name, digest=dataset.digest)
        agreement = replace(agreement, image_to_text=ranked.image_to_text, text_to_image=ranked.text_to_image)
    return outcome(choice, found.images, scored, agreement)


def _described(bundle: Bundle) -> str:
    labels = bundle.manifest.labels
    if labels is None:
        return ""
    return f"{len(labels.names)} frozen, {labels.head.kind if labels.head else 'no'} head"
