"""From embeddings to scores, as the model was trained to turn one into the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.bundle.manifest import EmbeddingSpec


def scores(
    image_rows: npt.NDArray[np.float32], label_rows: npt.NDArray[np.float32], spec: EmbeddingSpec
) -> npt.NDArray[np.float64]:
    """Return the score of each label for each image; see `logits` and `to_scores`.

    Args:
        image_rows: (N, D) unit rows.
        label_rows: (M, D) unit rows.
        spec: scale, bias and kind of score.

    Returns:
        (N, M) float64 in 0..1.
    """
    return to_scores(logits(image_rows, label_rows, spec), spec)


def logits(
    image_rows: npt.NDArray[np.float32], label_rows: npt.NDArray[np.float32], spec: EmbeddingSpec
) -> npt.NDArray[np.float64]:
    """Return ``logit_scale * cosine + logit_bias`` of each label for each image.

    Args:
        image_rows: (N, D) unit rows.
        label_rows: (M, D) unit rows.
        spec: scale and bias.

    Returns:
        (N, M) float64.
    """
    cosines = image_rows.astype(np.float64) @ label_rows.T.astype(np.float64)
    return np.asarray(spec.logit_scale * cosines + spec.logit_bias)


def to_scores(logits: npt.NDArray[np.float64], spec: EmbeddingSpec) -> npt.NDArray[np.float64]:
    """Turn logits into scores, as the model was trained.

    A softmax over the labels (CLIP, arXiv 2103.00020), or a sigmoid of each (SigLIP, arXiv 2303.15343).

    Args:
        logits: (N, M).
        spec: the kind of score.

    Returns:
        (N, M) float64 in 0..1.
    """
    if spec.scores == "sigmoid":
        # tanh form: the plain one overflows for large negative logits.
        return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def rank(row: npt.NDArray[np.float64], top: int | None) -> list[int]:
    """Return the indices of `row` from best to worst, at most `top`; equal scores keep their order."""
    return [int(i) for i in np.argsort(-row, kind="stable")[:top]]
