"""A set of labelled examples in terms of the labels to be frozen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.converters.specialize.labels_file import normal
from edgekit.errors import InputError
from edgekit.evaluation.datasets import locate, open_dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.evaluation.records import Item

_SHOWN = 5
# Below so many examples of a label, cross-validation says little about it.
_FEW = 4


@dataclass(frozen=True)
class ExamplesSet:
    """Examples before they are embedded.

    Attributes:
        name: of the set.
        digest: SHA-256 of the set.
        items: the images, each content once.
        classes: for each, the number of its label.
        notes: what the user should know.
    """

    name: str
    digest: str
    items: tuple[Item, ...]
    classes: tuple[int, ...]
    notes: tuple[str, ...]


def open_examples(path_or_name: str, labels: Sequence[str]) -> ExamplesSet:
    """Open a set of labelled examples.

    Args:
        path_or_name: a classification set of `edgekit.evaluation.datasets`; its class names are labels.
        labels: the labels to be frozen.

    Returns:
        The examples.

    Raises:
        InputError: there is no such set, a class is not among the labels, a label has no example, or one image has two
            labels.
    """
    dataset = open_dataset(locate(path_or_name), task="classification")
    numbers = {normal(label): number for number, label in enumerate(labels)}
    unknown = [name for name in dataset.texts if normal(name) not in numbers]
    if unknown:
        raise InputError(
            f"{path_or_name}: its classes {_listed(unknown)} are not among the labels; add them to the labels' file, "
            "or rename the classes"
        )
    chosen: dict[str, tuple[Item, int]] = {}
    for item, target in zip(dataset.items, dataset.targets, strict=True):
        number = numbers[normal(dataset.texts[target[0]])]
        first, other = chosen.setdefault(item.sha256, (item, number))
        if other != number:
            raise InputError(
                f"{path_or_name}: {item.name} is labelled {labels[number]!r}, and the same image as {first.name} is "
                f"labelled {labels[other]!r}; keep one"
            )
    counts = Counter(number for _, number in chosen.values())
    missing = [label for number, label in enumerate(labels) if not counts[number]]
    if missing:
        raise InputError(
            f"{path_or_name}: has no example of {_listed(missing)}; a head would never choose those: give examples of "
            "every label, or leave --examples out"
        )
    notes = []
    if len(chosen) < len(dataset.items):
        notes.append(f"{len(dataset.items) - len(chosen)} examples are copies of others, and count once")
    fewest = min(counts.values())
    if fewest < _FEW:
        notes.append(
            f"the scarcest label has {fewest} example{'s' * (fewest > 1)}: cross-validation, which hides a fifth of "
            "the examples, cannot see what they are worth there"
        )
    items, classes = zip(*chosen.values(), strict=True)
    return ExamplesSet(dataset.name, dataset.digest, items, classes, tuple(notes))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
