"""What is sent to a board: files, known by their SHA-256, so that one that is there whole is not sent again."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCK = 1 << 20
# The largest tree of inputs: more is a mistake, such as a home folder.
_MOST_FILES = 100_000


@dataclass(frozen=True)
class Payload:
    """One file to send.

    Attributes:
        path: here.
        digest: SHA-256, 64 lower-case hexadecimal digits.
        size: bytes.
        name: in the run's folder on the board.
        folder: whether it is a tar archive of a folder, to be unpacked as `name`.
    """

    path: Path
    digest: str
    size: int
    name: str
    folder: bool = False


def of_file(path: Path, name: str, folder: bool = False) -> Payload:
    """Describe a file.

    Args:
        path: of an ordinary file.
        name: in the run's folder on the board.
        folder: whether it is an archive of a folder.

    Returns:
        Its digest and size.

    Raises:
        InputError: it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return Payload(path, digest.hexdigest(), size, name, folder)


def of_arguments(arguments: Sequence[str | Path], scratch: Path) -> tuple[tuple[str, ...], tuple[Payload, ...]]:
    """Replace files and folders among a command's arguments by their places on the board.

    Args:
        arguments: texts, and the paths of files or folders here.
        scratch: folder here for archives.

    Returns:
        The arguments, in which ``inputs/NUMBER/NAME``, below the run's folder, stands for each path; and what to send.

    Raises:
        InputError: a path is neither file nor folder, or an argument holds a character that no argument can hold.
    """
    words: list[str] = []
    sent: list[Payload] = []
    for argument in arguments:
        text = str(argument)
        if not text.isprintable():
            raise InputError(f"{text[:60]!a}: an argument for a board holds a character that cannot be printed")
        if isinstance(argument, Path):
            name = f"inputs/{len(sent)}/{plain_name(argument)}"
            sent.append(of_path(argument, name, scratch / f"{len(sent)}.tar"))
            text = name
        words.append(text)
    return tuple(words), tuple(sent)


def of_path(path: Path, name: str, archive: Path) -> Payload:
    """Describe a file, or a folder as an archive.

    Args:
        path: of it.
        name: in the run's folder on the board.
        archive: file here that is written where `path` is a folder; the same content gives the same bytes.

    Returns:
        Its digest and size.

    Raises:
        InputError: it is neither, holds no file or too many, or cannot be read.
    """
    if path.is_file():
        return of_file(path, name)
    if not path.is_dir():
        raise InputError(f"{path}: is neither file nor folder, and cannot be sent to a board")
    found = sorted(entry for entry in path.rglob("*") if entry.is_file())
    if not found or len(found) > _MOST_FILES:
        raise InputError(f"{path}: holds {len(found) or 'no'} files; 1 to {_MOST_FILES} can be sent to a board")
    try:
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT, dereference=True) as tar:
            for entry in found:
                tar.add(entry, str(entry.relative_to(path)), recursive=False, filter=_anonymous)
    except OSError as error:
        # A file may become shorter while it is read.
        raise InputError(f"{path}: cannot be packed to be sent: {error.strerror or error}") from error
    return of_file(archive, name, folder=True)


def plain_name(path: Path) -> str:
    """Return a file's name, which may tell its format, without what a shell or a file system could take amiss."""
    name = "".join(c for c in path.name if c.isascii() and (c.isalnum() or c in "._-"))
    return name[-64:].lstrip(".-") or "x"


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same content gives the same archive, whoever sends it and when."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
