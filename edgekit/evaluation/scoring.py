"""A set's task metrics from embeddings, and which cases each of them counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.evaluation.metrics import bootstrap, mcnemar, mean_per_class, places
from edgekit.evaluation.report import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from edgekit.evaluation.records import Dataset
    from edgekit.frozen_labels import Ranking

_DEPTHS = (1, 5, 10)
_CLASS_DEPTHS = (1, 5)


@dataclass(frozen=True)
class Scored:
    """A candidate's figures, and per figure that a test can compare, which cases are right."""

    metrics: tuple[Metric, ...]
    right: Mapping[str, npt.NDArray[np.bool_]]


def score(
    dataset: Dataset,
    images: npt.NDArray[np.float32],
    texts: npt.NDArray[np.float32],
    reference: Scored | None,
    ranking: Ranking | None = None,
) -> Scored:
    """Compute the metrics of a set's task.

    Args:
        dataset: with at least one image.
        images: (N, D), unit rows, one for each image.
        texts: (M, D), unit rows, one for each text.
        reference: of the candidate to compare with, on the same set; None for the reference itself.
        ranking: queries and a gallery whose dot products rank the texts of a classification instead; None takes
            `images` and `texts`.

    Returns:
        Zero-shot top-1, top-5 and the mean per class; or recall at 1, 5 and 10 both ways; or nothing for a set
        without labels. A depth that takes in everything there is says nothing, and is left out.
    """
    if dataset.task == "unlabelled":
        return Scored((), {})
    if dataset.task == "retrieval":
        wanted = _images_of(dataset)
        forth = _recalls("image_to_text_recall@", images, texts, dataset.targets, _DEPTHS, reference)
        back = _recalls("text_to_image_recall@", texts, images, wanted, _DEPTHS, reference)
        return Scored(forth.metrics + back.metrics, {**forth.right, **back.right})
    queries, gallery = (images, texts) if ranking is None else ranking
    found = _recalls("top", queries, gallery, dataset.targets, _CLASS_DEPTHS, reference)
    mean = mean_per_class(found.right["top1"], [target[0] for target in dataset.targets])
    return Scored((*found.metrics, Metric("mean_per_class", mean, None)), found.right)


def _recalls(
    name: str,
    queries: npt.NDArray[np.floating],
    gallery: npt.NDArray[np.floating],
    right: Sequence[Sequence[int]],
    depths: tuple[int, ...],
    reference: Scored | None,
) -> Scored:
    found = places(queries, gallery, right, max(depths))
    metrics = []
    for depth in depths:
        if depth > 1 and depth >= len(gallery):
            continue
        hits = np.asarray(found < depth)
        against = mcnemar(reference.right[f"{name}1"], hits) if reference is not None and depth == 1 else None
        metrics.append(Metric(f"{name}{depth}", bootstrap(hits), against))
    return Scored(tuple(metrics), {f"{name}1": np.asarray(found < 1)})


def _images_of(dataset: Dataset) -> list[list[int]]:
    """Return for each text the images that it is right for."""
    images: list[list[int]] = [[] for _ in dataset.texts]
    for image, target in enumerate(dataset.targets):
        for text in target:
            images[text].append(image)
    return images
