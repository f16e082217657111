"""Let a teacher embed what a recipe needs: each image under its stored views, labels, texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.distill.data import store, subjects, transform
from edgekit.converters.distill.data.decoding import Decoder
from edgekit.converters.distill.data.parameters import COLUMNS, draw

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.converters.distill.data.pixels import Pixels
    from edgekit.converters.distill.data.store import Compute, Floats
    from edgekit.converters.distill.data.store_records import Subject
    from edgekit.converters.distill.data.subjects import ViewPlan
    from edgekit.converters.distill.data.teachers import Source, Towers
    from edgekit.evaluation.records import Item


@dataclass(frozen=True)
class Wanted:
    """A set of embeddings.

    Attributes:
        name: for the user.
        subject: what is embedded.
        order: for each row wanted, its number in the store; None where they are the same.
        compute: how, once the teacher is open; called only where something is missing.
    """

    name: str
    subject: Subject
    order: npt.NDArray[np.int64] | None
    compute: Callable[[Towers], Compute]


def views(source: Source, pixels: Pixels, items: Sequence[Item], spec: ImageSpec, plan: ViewPlan) -> Wanted:
    """Want the views of training images, made from stored pixels.

    Args:
        source: the teacher.
        pixels: of the images.
        items: the images, in a store's order.
        spec: how the pixels come from a photo.
        plan: the views.

    Returns:
        What is wanted; `store.fill` gets float16 or float32 (N, views, D) unit rows of it.
    """
    digests = [item.sha256 for item in items]
    size = source.record.image.height, source.record.image.width

    def computer(towers: Towers) -> Compute:
        tower = towers.image()

        def compute(start: int, stop: int) -> tuple[Floats, Floats | None]:
            given = draw(plan.augmentation, plan.seed, digests[start:stop], plan.count)
            repeated = np.repeat(pixels.take(range(start, stop)), plan.count, axis=0)
            planes = transform.apply(repeated, given.reshape(-1, len(COLUMNS)), size)
            rows = tower.embed(transform.to_pixels(planes)).reshape(stop - start, plan.count, -1)
            return rows, None if plan.plain else given

        return compute

    return Wanted("training images", subjects.of_images(source.record, digests, spec, plan), None, computer)


def photos(source: Source, items: Sequence[Item], name: str) -> Wanted:
    """Want images as they are, decoded by the teacher's own preprocessing.

    Args:
        source: the teacher.
        items: the images, in any order; some may be the same.
        name: for the user.

    Returns:
        What is wanted: float32 (N, 1, D) unit rows.
    """
    by_digest = {item.sha256: item for item in items}
    digests = subjects.image_order(by_digest)
    place = {digest: number for number, digest in enumerate(digests)}
    order = np.array([place[item.sha256] for item in items], np.int64)
    spec = source.record.image

    def computer(towers: Towers) -> Compute:
        tower, decoder = towers.image(), Decoder(spec)

        def compute(start: int, stop: int) -> tuple[Floats, None]:
            return tower.embed(decoder.decode([by_digest[one] for one in digests[start:stop]]))[:, None], None

        return compute

    return Wanted(name, subjects.of_images(source.record, digests, spec, subjects.ViewPlan()), order, computer)


def texts(source: Source, given: Sequence[str], name: str, *, half: bool = False) -> Wanted:
    """Want texts as they are, in any order; `half` keeps float16 rows."""
    ordered = subjects.text_order(given)
    subject = subjects.of_texts(source.record, ordered, "float16" if half else "float32")

    def computer(towers: Towers) -> Compute:
        embedder = towers.texts()
        return lambda start, stop: (embedder.embed(ordered[start:stop])[:, None], None)

    return Wanted(name, subject, _order(ordered, given), computer)


def labels(source: Source, given: Sequence[str], templates: tuple[str, ...], name: str) -> Wanted:
    """Want class names, each the scaled mean of its prompts, in any order."""
    ordered = subjects.text_order(given)

    def computer(towers: Towers) -> Compute:
        embedder = towers.texts()
        return lambda start, stop: (embedder.embed_labels(ordered[start:stop], templates)[:, None], None)

    return Wanted(name, subjects.of_labels(source.record, ordered, templates), _order(ordered, given), computer)


def ensure(
    source: Source,
    wanted: Wanted,
    towers: Towers,
    on_stage: Callable[[str], None],
    on_progress: Callable[[int, int], None],
) -> None:
    """Have what is wanted in the store.

    Args:
        source: the teacher.
        wanted: what must be there.
        towers: of the teacher.
        on_stage: called where something has to be computed.
        on_progress: called with the number of items done, and of all.

    Raises:
        InputError: the recipe names the embeddings, and they are others or not complete.
        ExecutionError: the teacher failed.
    """
    if source.given:
        store.find(source.home, wanted.subject)
        return
    if store.missing(source.home, wanted.subject):
        subject = wanted.subject
        times = f" x {subject.views} views" if subject.views > 1 else ""
        on_stage(f"teacher {source.record.name}: {wanted.name}, {subject.count}{times}")
        # Opened first, so that the index can tell the variant.
        compute = wanted.compute(towers)
        columns = () if subject.kind != "images" else COLUMNS
        store.fill(source.home, subject, store.Filling(towers.variant, columns, compute, on_progress))


def join(path: Path, source: Source, wanted: Wanted) -> Floats | None:
    """Write a set, each shard checked, as one array that can be mapped.

    Args:
        path: a ``.npy`` of `Subject.dtype` (N, views, D), in the order wanted.
        source: the teacher.
        wanted: what is in the store.

    Returns:
        Parameters of the views, float32 (N, views, columns); None where nothing is changed.

    Raises:
        InputError: a file of the store is damaged; the message names it.
    """
    subject = wanted.subject
    count = subject.count if wanted.order is None else len(wanted.order)
    order = np.arange(count) if wanted.order is None else wanted.order
    by_number = np.argsort(order, kind="stable")
    part = path.with_suffix(".part")
    shape = (count, subject.views, subject.dimension)
    array = np.lib.format.open_memmap(part, "w+", np.dtype(subject.dtype), shape)
    views: list[Floats] = []
    for place, rows, given in store.load(source.home, subject):
        first, last = np.searchsorted(order[by_number], [place.start, place.stop])
        here = by_number[first:last]
        array[here] = rows[order[here] - place.start]
        if given is not None:
            views.append(given)
    array.flush()
    part.replace(path)
    return np.concatenate(views) if views else None


def _order(ordered: Sequence[str], given: Sequence[str]) -> npt.NDArray[np.int64]:
    place = {text: number for number, text in enumerate(ordered)}
    return np.array([place[text] for text in given], np.int64)
