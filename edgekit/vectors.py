"""Write embeddings to an ``.npz`` of any size in bounded memory, and read them back by space.

The file is an ordinary NumPy archive: ``embeddings`` float32 (N, D) unit rows, ``names`` (N,) text, ``kinds`` (N,)
``image`` or ``text``, and ``space``, the id of the embedding space.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from edgekit.atomic import atomic_file
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt
    from typing_extensions import Self

    from edgekit.golden import TowerName

_CHUNK = 1 << 20
_KIND_WIDTH = len("image")


class VectorWriter:
    """Collects rows on disk beside the output and writes the archive at the end; nothing is left on an error."""

    def __init__(self, path: Path, dimension: int, space: str) -> None:
        """Prepare to write.

        Args:
            path: the archive.
            dimension: length D of a row.
            space: id of the embedding space.

        Raises:
            InputError: nothing can be written into the path's folder.
        """
        self._path, self._dimension, self._space = path, dimension, space
        self._rows, self._names, self._kinds = (_beside(path) for _ in range(3))
        self._width = 1
        self.count = 0

    def add(self, kind: TowerName, names: Sequence[str], rows: npt.NDArray[np.float32]) -> None:
        """Add rows with their names."""
        self._rows.write(np.ascontiguousarray(rows, "<f4").tobytes())
        for name in names:
            encoded = name.encode("utf-8", "surrogateescape")
            self._names.write(len(encoded).to_bytes(4, "little") + encoded)
            self._width = max(self._width, len(name))
            self._kinds.write(np.array(kind, f"<U{_KIND_WIDTH}").tobytes())
        self.count += len(names)

    def finish(self) -> None:
        """Write the archive; it appears whole or not at all."""
        with atomic_file(self._path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, "embeddings", "<f4", (self.count, self._dimension), _chunks(self._rows))
            _add(archive, "names", f"<U{self._width}", (self.count,), self._padded_names())
            _add(archive, "kinds", f"<U{_KIND_WIDTH}", (self.count,), _chunks(self._kinds))
            space = np.array(self._space)
            _add(archive, "space", space.dtype.str, (), iter([space.tobytes()]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self._rows, self._names, self._kinds):
            stream.close()

    def _padded_names(self) -> Iterator[bytes]:
        self._names.seek(0)
        while length := self._names.read(4):
            name = self._names.read(int.from_bytes(length, "little")).decode("utf-8", "surrogateescape")
            yield np.array(name, f"<U{self._width}").tobytes()


def _beside(path: Path) -> BinaryIO:
    try:
        return tempfile.TemporaryFile(dir=path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot write into {path.parent}: {error.strerror}") from error


def _add(archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...], data: Iterator[bytes]) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        member.write(header.getvalue())
        for chunk in data:
            member.write(chunk)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    stream.seek(0)
    while chunk := stream.read(_CHUNK):
        yield chunk
