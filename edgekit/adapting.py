"""What a chip's tower takes and returns, where that is not the contract: the SDK does the rest outside the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from edgekit.bundle.manifest import ImageSpec, TensorSpec

    Adapter = Callable[[npt.NDArray[np.generic]], npt.NDArray[np.generic]]

PROJECTION = "projection"
"""Name of an output whose rows have any length; `unit_rows` brings them to one. `embedding` has unit rows already."""

_CHANNELS, _LEVELS = 3, 255.0


def input_adapter(spec: TensorSpec, image: ImageSpec | None) -> Adapter | None:
    """Return what turns a contract batch into a tower's input, as the input's specification says.

    A floating type takes pixels that are scaled, ``(pixel / 255 - mean) / std``; an integer type takes them as they
    are. A shape (N, 3, H, W) takes channels first. Token ids are converted to another integer type.

    Args:
        spec: of the tower's input.
        image: preprocessing, for its mean and its standard deviation; None for a text tower.

    Returns:
        The function, whose result is contiguous; None where the input is the contract's, uint8 (N, H, W, 3) or int32
        (N, L).

    Raises:
        ExecutionError: the input's type is none of NumPy's.
    """
    try:
        dtype = np.dtype(spec.dtype)
    except TypeError as error:
        raise ExecutionError(
            f"{spec.name} has the type {spec.dtype!r}, which is none of NumPy's; convert it again"
        ) from error
    if image is None:
        return None if dtype == np.int32 else lambda ids: ids.astype(dtype)
    first = len(spec.shape) == 4 and spec.shape[1] == _CHANNELS and spec.shape[3] != _CHANNELS
    scaled = dtype.kind == "f"
    if dtype == np.uint8 and not first:
        return None
    mean, std = (np.asarray(values, np.float32) for values in (image.mean, image.std))

    def adapt(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        values: npt.NDArray[np.generic] = pixels
        if scaled:
            values = ((pixels.astype(np.float32) / _LEVELS - mean) / std).astype(dtype)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2) if first else values)

    return adapt


def contract_shape(spec: TensorSpec) -> tuple[int | str, ...]:
    """Return the shape of the contract batch that an input's shape stands for: channels last."""
    shape = spec.shape
    if len(shape) == 4 and shape[1] == _CHANNELS and shape[3] != _CHANNELS:
        return (shape[0], shape[2], shape[3], shape[1])
    return shape


def unit_rows(rows: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Bring rows to length one.

    Args:
        rows: (N, D).

    Returns:
        (N, D) float32; a row of zeros stays one, and one with NaN or infinity keeps NaN.
    """
    exact = rows.astype(np.float64)
    # The largest value first: the square of a small or large one may not exist in any float.
    with np.errstate(invalid="ignore"):
        largest = np.abs(exact).max(axis=1, keepdims=True)
        exact = exact / np.where(largest > 0, largest, 1)
        lengths = np.linalg.norm(exact, axis=1, keepdims=True)
        unit: npt.NDArray[np.float32] = (exact / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit
