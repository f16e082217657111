"""When a set is scored by the labels frozen into a bundle, and the set in their terms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.evaluation.assembly import digest_of, select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.bundle.reader import Bundle
    from edgekit.evaluation.records import Dataset

_SHOWN = 5


def uses_frozen_labels(bundle: Bundle, dataset: Dataset, templates: Sequence[str] | None) -> bool:
    """Tell whether a bundle's frozen labels score a set.

    Args:
        bundle: opened.
        dataset: the set.
        templates: what the user gave; None for nothing.

    Returns:
        True for a classification whose classes are all among the frozen labels, unless templates are given; and for a
        set without texts where the bundle has no text tower.

    Raises:
        InputError: the bundle has no text tower, and the set cannot be scored without one.
    """
    labels = bundle.manifest.labels
    if labels is None:
        return False
    closed = bundle.manifest.text is None
    if dataset.task == "classification":
        unknown = sorted(set(dataset.texts) - set(labels.names))
        if not unknown and templates is None:
            return True
        if closed and unknown:
            shown = ", ".join(map(repr, unknown[:_SHOWN])) + (", …" if len(unknown) > _SHOWN else "")
            raise InputError(
                f"{dataset.name}: its classes {shown} are not among the {len(labels.names)} labels frozen into "
                f"{bundle.where}, which has no text tower; evaluate the full bundle, or rename the classes"
            )
        if closed:
            raise InputError(f"{bundle.where}: its labels' templates are frozen; leave templates out")
        return False
    if closed and dataset.task == "retrieval":
        raise InputError(
            f"{dataset.name}: holds captions, and {bundle.where} has no text tower; evaluate the full bundle, or a set "
            "of its labels"
        )
    return closed


def on_frozen_labels(bundle: Bundle, dataset: Dataset) -> Dataset:
    """Return a classification whose texts are all the frozen labels, for that is what an app chooses from.

    Args:
        bundle: with frozen labels.
        dataset: a classification whose classes are all among them; any other set is returned as it is.

    Returns:
        The same images, with other texts and targets.
    """
    labels = bundle.manifest.labels
    if labels is None or dataset.task != "classification":
        return dataset
    numbers = {name: number for number, name in enumerate(labels.names)}
    targets = tuple(tuple(numbers[dataset.texts[i]] for i in target) for target in dataset.targets)
    items = select(dataset, range(len(dataset.items)), dataset.name).items  # every item hashed
    return replace(
        dataset, digest=digest_of(items, labels.names, targets), items=items, texts=labels.names, targets=targets
    )
