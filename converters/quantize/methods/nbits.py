"""Weights in blocks of 4 or 8 bits, as ONNX Runtime's MatMulNBits and GatherBlockQuantized read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_SHRINK = (0.95, 0.9, 0.85, 0.8)  # parts of a block's range that are tried beside the whole
_AT_A_TIME = 2**17  # numbers: half a MB stays in a processor's cache


@dataclass(frozen=True)
class Blocks:
    """A matrix in blocks along its rows: ``value = (code - zero) * scale``.

    Attributes:
        codes: uint8 (rows, blocks, block), each in ``0 .. 2**bits - 1``; columns that are not there hold zeros' codes.
        scales: float32 (rows, blocks).
        zeros: uint8 (rows, blocks).
        bits: 4 or 8.
    """

    codes: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float32]
    zeros: npt.NDArray[np.uint8]
    bits: int

    def decoded(self, columns: int) -> npt.NDArray[np.float32]:
        """Return the matrix, float32 (rows, columns)."""
        values = (self.codes.astype(np.float32) - self.zeros[..., None]) * self.scales[..., None]
        return values.reshape(len(values), -1)[:, :columns]


def quantize(matrix: npt.NDArray[np.float32], bits: int, block: int) -> Blocks:
    """Quantize each block of a row with its own scale and zero point.

    The range of a block is its extremes, or, with 4 bits, the one of five shrunk ranges that leaves the smallest sum of
    squared errors.

    Args:
        matrix: float32 (rows, columns), finite.
        bits: 4 or 8.
        block: numbers that share a scale; a power of two, 16 at least.

    Returns:
        The codes; 0 is held exactly.
    """
    rows, columns = matrix.shape
    count = -(-columns // block)
    step = max(1, _AT_A_TIME // (count * block))
    parts = []
    for start in range(0, rows, step):
        padded = np.zeros((min(step, rows - start), count * block), np.float32)
        padded[:, :columns] = matrix[start : start + step]
        parts.append(_best(padded.reshape(-1, count, block), bits))
    return Blocks(
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.scales for part in parts]),
        np.concatenate([part.zeros for part in parts]),
        bits,
    )


def _best(values: npt.NDArray[np.float32], bits: int) -> Blocks:
    low = np.minimum(values.min(axis=2), 0)
    high = np.maximum(values.max(axis=2), 0)
    best = _encode(values, low, high, bits)
    if bits == 8:
        return best
    least = _loss(values, best)
    for part in _SHRINK:
        tried = _encode(values, low * np.float32(part), high * np.float32(part), bits)
        loss = _loss(values, tried)
        better = loss < least
        best.codes[better] = tried.codes[better]
        best.scales[better] = tried.scales[better]
        best.zeros[better] = tried.zeros[better]
        least[better] = loss[better]
    return best


def packed(codes: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """Pack codes along the last axis, two of 4 bits in a byte, the first in the low half; an odd end holds 0."""
    if bits == 8:
        return codes
    even = codes if codes.shape[-1] % 2 == 0 else np.concatenate([codes, np.zeros_like(codes[..., :1])], axis=-1)
    joined: npt.NDArray[np.uint8] = np.bitwise_or(even[..., 0::2], np.left_shift(even[..., 1::2], np.uint8(4)))
    return joined


def _encode(
    values: npt.NDArray[np.float32], low: npt.NDArray[np.float32], high: npt.NDArray[np.float32], bits: int
) -> Blocks:
    top = 2**bits - 1
    scales = ((high - low) / top).astype(np.float32)
    scales = np.where(scales > np.finfo(np.float32).tiny, scales, np.float32(1))
    zeros = np.clip(np.rint(-low / scales), 0, top)
    codes = np.clip(np.rint(values / scales[..., None]) + zeros[..., None], 0, top)
    return Blocks(codes.astype(np.uint8), scales, zeros.astype(np.uint8), bits)


def _loss(values: npt.NDArray[np.float32], code: Blocks) -> npt.NDArray[np.float32]:
    errors = (code.codes.astype(np.float32) - code.zeros[..., None]) * code.scales[..., None] - values
    loss: npt.NDArray[np.float32] = np.square(errors, out=errors).sum(axis=2)
    return loss
