"""Which images the student learns from, which it is judged on, and whose texts may be used.

All of it follows from the images' content and the seed: the order and the names of files change nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.evaluation.assembly import digest_of, select
from edgekit.evaluation.datasets import locate, open_dataset
from edgekit.evaluation.records import Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.converters.distill.recipe import DataSpec
    from edgekit.evaluation.records import Item, Task

_BITS = 53


@dataclass(frozen=True)
class Sets:
    """The images of a distillation.

    Attributes:
        train: each content once, ordered by its digest.
        labelled: for each training image, whether its texts may be used.
        validation: to judge on.
        repeated: training images left out because they were there before; their texts were kept.
        withheld: training images left out because they are in the validation set as well.
    """

    train: Dataset
    labelled: tuple[bool, ...]
    validation: Dataset
    repeated: int
    withheld: int


def collect(data: DataSpec) -> Sets | None:
    """Open, join and divide the recipe's sets of images.

    An image counts as the same only where its file is, byte for byte. One that is in the training sets and in the
    validation set is only judged on. Where no validation set is given, a hash of the content decides which images are
    held out.

    Args:
        data: the recipe's; paths as they are.

    Returns:
        The sets; None where the recipe has no images.

    Raises:
        InputError: a set is unusable, two sets hold texts of different kinds, or one part would be empty; the message
            names the set or field.
    """
    if not data.images:
        if data.validation:
            raise InputError("data.validation: needs data.images too; add them, or remove it")
        return None
    given = [_open(name, "data.images") for name in data.images]
    if data.validation:
        held = [_open(name, "data.validation") for name in data.validation]
        validation = held[0] if len(held) == 1 else join(held, "data.validation")
        # A training set that is listed for validation too would be left empty: say so below.
        known = {item.sha256 for item in validation.items}
        learned = [_where(one, [item.sha256 not in known for item in one.items]) for one in given]
    else:
        kept = [[not chosen(item, data.held_out, f"held-out {data.seed}") for item in one.items] for one in given]
        learned = [_where(one, mask) for one, mask in zip(given, kept, strict=True)]
        rest = [_where(one, [not keep for keep in mask]) for one, mask in zip(given, kept, strict=True)]
        validation = join(rest, "data.images")
    train = join(learned, "data.images")
    total = sum(len(one.items) for one in given)
    left = sum(len(one.items) for one in learned)
    _check(train, validation, data, total)
    labelled = tuple(
        bool(target) and chosen(item, data.labelled, f"labelled {data.seed}")
        for item, target in zip(train.items, train.targets, strict=True)
    )
    withheld = total - left if data.validation else 0
    return Sets(train, labelled, validation, left - len(train.items), withheld)


def join(datasets: Sequence[Dataset], field: str) -> Dataset:
    """Join sets: each content once, ordered by digest; texts in the order of the sets.

    Args:
        datasets: at least one; those without texts go with either kind.
        field: of the recipe, for messages.

    Returns:
        The joined set; an image that several sets hold has the texts of all.

    Raises:
        InputError: one holds classes and another captions.
    """
    kinds = {one.task: one.name for one in datasets if one.task != "unlabelled"}
    if len(kinds) > 1:
        raise InputError(
            f"{field}: {kinds['classification']} holds classes and {kinds['retrieval']} captions; a class name is put"
            " into prompts and a caption is not, so give sets of one kind"
        )
    texts = tuple(dict.fromkeys(text for one in datasets for text in one.texts))
    number = {text: place for place, text in enumerate(texts)}
    items: dict[str, Item] = {}
    targets: dict[str, dict[int, None]] = {}
    for one in datasets:
        for item, target in zip(one.items, one.targets, strict=True):
            items.setdefault(item.sha256, item)
            targets.setdefault(item.sha256, {}).update(dict.fromkeys(number[one.texts[place]] for place in target))
    order = sorted(items)
    ordered = tuple(items[digest] for digest in order)
    wanted = tuple(tuple(sorted(targets[digest])) for digest in order)
    task: Task = next(iter(kinds), "unlabelled")
    name = " + ".join(dict.fromkeys(one.name for one in datasets))
    return Dataset(name, digest_of(ordered, texts, wanted), task, ordered, texts, wanted)


def chosen(item: Item, share: float, purpose: str) -> bool:
    """Tell whether an image is among a share of all, by a hash of its content; a larger share contains a smaller one.

    Args:
        item: with its digest.
        share: in 0..1.
        purpose: with the seed; another one gives another choice.

    Returns:
        Whether it is.
    """
    digest = hashlib.sha256(f"{purpose} {item.sha256}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> (64 - _BITS)) / (1 << _BITS) < share


def _open(name: str, field: str) -> Dataset:
    try:
        return open_dataset(locate(name))
    except InputError as error:
        raise InputError(f"{field}: {error}") from error


def _where(dataset: Dataset, mask: Sequence[bool]) -> Dataset:
    if all(mask):
        return dataset
    return select(dataset, [place for place, keep in enumerate(mask) if keep], dataset.name)


def _check(train: Dataset, validation: Dataset, data: DataSpec, total: int) -> None:
    if not train.items and data.validation:
        raise InputError(f"data.images: all {total} images are in data.validation too; give others to learn from")
    if not train.items:
        raise InputError(f"data.held_out: {data.held_out} leaves none of the {total} images to learn from")
    if not validation.items:
        raise InputError(
            f"data.held_out: {data.held_out} of {total} images leaves none to judge on; raise it, or give"
            " data.validation"
        )
