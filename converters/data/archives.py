"""Unpack what package managers deliver, writing nothing outside the folder that was named."""

from __future__ import annotations

import gzip
import shutil
import stat
import subprocess
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from edgekit.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CHUNK = 1 << 20
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    RuntimeError,
)


def unpack(archive: Path, folder: Path, wanted: tuple[str, ...]) -> None:
    """Unpack the wanted files of a package.

    Every member's name is checked, of the unwanted ones too: an archive that tries to leave its folder is refused
    whole. Modes, owners and times are not restored.

    Args:
        archive: a ``.tgz`` of npm, a ``.deb``, or a ``.whl``.
        folder: where to; files appear below it under their paths in the archive.
        wanted: prefixes of these paths.

    Raises:
        FetchError: the archive is damaged or of another kind, holds a link, a device or a path outside itself, names a
            file twice or a folder as a file, or holds nothing that is wanted.
    """
    try:
        _write(_members(archive), archive, folder, wanted)
    except _DAMAGED as error:
        raise FetchError(f"{archive.name}: is damaged or no such archive ({error})") from error
    for prefix in wanted:
        # The last part may be the beginning of a file's name.
        where = folder / prefix
        if not where.exists() and not any(where.parent.glob(f"{where.name}*")):
            raise FetchError(f"{archive.name}: holds nothing below {prefix}; the package has changed its layout")


def _write(
    members: Iterable[tuple[str, IO[bytes] | None]], archive: Path, folder: Path, wanted: tuple[str, ...]
) -> None:
    for name, content in members:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
            raise FetchError(f"{archive.name}: the member {name!r} lies outside the archive; it is not unpacked")
        if content is None or not str(path).startswith(wanted):
            continue
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as out:
                shutil.copyfileobj(content, out)
        except (FileExistsError, NotADirectoryError) as error:
            how = "twice" if target.is_file() else "as a file and as a folder"
            raise FetchError(f"{archive.name}: holds {name!r} {how}; it is not unpacked") from error


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yield each member's path, and its content where it is a file; a folder has none."""
    if archive.suffix == ".whl":
        yield from _zip(archive)
    elif archive.suffix == ".deb":
        # The data member of a .deb may be compressed in ways that Python does not know.
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(archive)],  # noqa: S607  # wherever the system keeps it
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as child:
            try:
                with tarfile.open(fileobj=child.stdout, mode="r|") as tar:
                    yield from _tar(tar, archive)
            finally:
                child.kill()  # harmless after its end, and otherwise it would wait for a reader
    else:
        with gzip.open(archive) as stream:
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                yield from _tar(tar, archive)
            # The check sum is at the end, which no member reaches.
            while stream.read(_CHUNK):
                pass


def _tar(tar: tarfile.TarFile, archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    for member in tar:
        if not member.isfile() and not member.isdir():
            raise FetchError(f"{archive.name}: the member {member.name!r} is a link or a device; it is not unpacked")
        yield member.name, tar.extractfile(member)


def _zip(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise FetchError(f"{archive.name}: the member {info.filename!r} is a link; it is not unpacked")
            if info.is_dir():
                yield info.filename, None
                continue
            with file.open(info) as content:
                yield info.filename, content
