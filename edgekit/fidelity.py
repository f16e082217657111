"""Agreement of embeddings with a float reference: the one definition, used by converters and on devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.bundle.manifest import Agreement

if TYPE_CHECKING:
    import numpy.typing as npt


def agreement(actual: npt.NDArray[np.floating], reference: npt.NDArray[np.floating]) -> Agreement:
    """Compare embeddings with their reference, row by row.

    Embeddings of one model share a large mean, which hides errors from the plain cosine; so the cosine is also taken
    after the reference's mean row is subtracted from both (with a single row there is nothing to centre, and the plain
    cosine is repeated).

    Args:
        actual: (N, D), N at least 1.
        reference: (N, D), finite.

    Returns:
        The figures; every one is NaN when `actual` holds a NaN or an infinity.

    Raises:
        ValueError: the shapes differ or there are no rows.
    """
    if actual.shape != reference.shape or actual.ndim != 2 or not len(actual):
        raise ValueError(f"cannot compare embeddings of shape {actual.shape} with {reference.shape}")
    n = len(actual)
    if not np.isfinite(actual).all():
        nan = float("nan")
        return Agreement(n, nan, nan, nan, nan, nan)
    a, b = actual.astype(np.float64), reference.astype(np.float64)
    mean = b.mean(axis=0) if n > 1 else np.zeros(b.shape[1])
    plain, centred = _cosines(a, b), _cosines(a - mean, b - mean)
    return Agreement(
        n=n,
        max_error=float(np.abs(a - b).max()),
        cosine_min=float(plain.min()),
        cosine_mean=float(plain.mean()),
        centred_min=float(centred.min()),
        centred_mean=float(centred.mean()),
    )


def _cosines(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    # Two equal rows of zeros agree; a zero against anything else does not.
    equal = (a == b).all(axis=1)
    cosines = (a * b).sum(axis=1) / np.where(lengths > 0, lengths, 1)
    return np.where(equal, 1.0, np.clip(cosines, -1, 1))
