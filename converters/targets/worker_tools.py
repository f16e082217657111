"""What workers inside toolchains share, got by ``job.sibling("worker_tools")``: arrays of files, and the one figure.

This file is read where edgekit is not installed: it imports nothing of edgekit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    import numpy.typing as npt


def load(path: str | Path) -> npt.NDArray[Any]:
    """Read an array from a file.

    Args:
        path: a ``.npy`` file.

    Returns:
        The array.
    """
    found: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    return found


def save(path: str | Path, array: npt.ArrayLike) -> None:
    """Write an array to a ``.npy`` file, in C order.

    Args:
        path: of the file.
        array: any.
    """
    np.save(path, np.ascontiguousarray(array), allow_pickle=False)


def centred(rows: npt.NDArray[Any], reference: npt.NDArray[Any]) -> float:
    """Return the mean centred cosine, as `edgekit.fidelity.agreement` defines it, of rows of any length.

    Args:
        rows: (n, D) float, as a chip computes them.
        reference: (n, D) float32 unit rows of the float model.

    Returns:
        The mean; -1, the least that there is, where a row holds NaN or infinity, or agrees with nothing.
    """
    unit = rows.astype(np.float64)
    # A single row has nothing to be centred by.
    mean = reference.mean(axis=0) if len(reference) > 1 else np.zeros(reference.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        lengths = np.linalg.norm(unit, axis=1, keepdims=True)
        a, b = unit / np.where(lengths > 0, lengths, 1) - mean, reference - mean
        found = float(((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).mean())
    return found if np.isfinite(found) else -1.0
