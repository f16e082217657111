"""Files that appear whole or not at all: temporary file beside the target, fsync, rename."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

# A file's name may have 255 bytes; the temporary one shows this many characters of it.
_SHOWN = 32


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes `path` when the block ends without an error.

    Whatever interrupts the block (a full disk, Ctrl-C, an exception) leaves `path` as it was and removes the
    temporary file.

    Args:
        path: the file to create or replace; its folder must exist. A symbolic link is replaced, not followed.

    Yields:
        A binary file, readable and writable.

    Raises:
        InputError: the folder does not exist or cannot be written to, or `path` is a folder, a device or a pipe.
    """
    _check_target(path)
    temporary = path.parent / f".{path.name[:_SHOWN]}.{secrets.token_hex(8)}.tmp"
    try:
        # 0o666 less the umask: the mode that an ordinary open() would have given.
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        raise InputError(f"{path}: cannot write into {path.parent}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically; see `atomic_file`."""
    with atomic_file(path) as stream:
        stream.write(data)


def _check_target(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r}: cannot be written: {getattr(error, 'strerror', error)}") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: is a folder; give the name of a file to write")
    # Renaming over /dev/null would replace it by a file, for every program on the machine.
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: is no ordinary file; give the name of a file to write")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; create it first")


def _sync_folder(folder: Path) -> None:
    # The file is whole and in its place. Some file systems do not sync folders, and some folders may be written to but
    # not read; then a power cut may bring the old file back, which is whole too.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
