"""Rows of different lengths in two plain arrays that are mapped, not loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.atomic import atomic_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt


class Ragged:
    """Rows of a file that `write` made; mapped, so that several processes share the memory."""

    def __init__(self, folder: Path, name: str) -> None:
        """Open the rows `name` of a folder."""
        self._values = np.load(folder / f"{name}.values.npy", mmap_mode="r")
        self._ends = np.load(folder / f"{name}.ends.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, row: int) -> npt.NDArray[np.int32]:
        start = self._ends[row - 1] if row else 0
        return np.asarray(self._values[start : self._ends[row]])

    def padded(self, rows: Sequence[int], padding: int) -> npt.NDArray[np.int64]:
        """Return int64 (N, L) of some rows, L the longest of them, at least 1; shorter ones end in `padding`."""
        found = [self[int(row)] for row in rows]
        table = np.full((len(found), max((len(row) for row in found), default=1) or 1), padding, np.int64)
        for line, row in zip(table, found, strict=True):
            line[: len(row)] = row
        return table


def write(folder: Path, name: str, rows: Iterable[Sequence[int] | npt.NDArray[np.int32]]) -> None:
    """Write rows of int32; each of the two files appears whole or not at all."""
    ends, parts = [], []
    total = 0
    for row in rows:
        parts.append(np.asarray(row, np.int32))
        total += len(row)
        ends.append(total)
    save(folder / f"{name}.values.npy", np.concatenate([np.empty(0, np.int32), *parts]))
    save(folder / f"{name}.ends.npy", np.array(ends, np.int64))


def save(path: Path, array: npt.NDArray[np.generic]) -> None:
    """Write a ``.npy`` atomically."""
    with atomic_file(path) as stream:
        np.save(stream, array)
