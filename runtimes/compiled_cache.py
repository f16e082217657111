"""Keep what an engine compiled on this device, and use it again only for the very same key.

Engines do not check this themselves: Qualcomm's loads a context binary that was compiled for another chip, or in which
bytes were changed, without a word.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import locations
from edgekit.atomic import write_bytes
from edgekit.errors import InputError
from edgekit.runtimes import compiled_entry
from edgekit.runtimes.compiled_entry import MANIFEST, Entry, Key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgekit.runtimes.protocol import Placement

LIMIT = "EDGEKIT_COMPILED_LIMIT"
"""Environment variable: megabytes (10^6 bytes) that all entries may take together; 0 keeps nothing."""
EARLIER, AGAIN = "compiled at an earlier load", "; it was compiled again"
"""What a note says where an entry is used, and how one ends that says why it is not."""
_DEFAULT_MB = 2000
_MB = 1_000_000
_LOCK, _WORK = ".lock", ".work-"


@dataclass(frozen=True)
class Found:
    """What there is for a key.

    Attributes:
        entry: to use; None where there is none.
        note: why what was there is not used; empty where nothing was, or it is used.
    """

    entry: Entry | None
    note: str


def home() -> Path:
    """Return the folder of all entries; it may not exist yet."""
    return locations.cache_dir() / "compiled"


def find(key: Key) -> Found:
    """Look a key up; an entry whose files changed since is removed.

    Args:
        key: of what is to be opened.

    Returns:
        The entry, or why there is none. An entry of the same model, device and options that another version made is
        named in the note, and stays until `keep` replaces it.
    """
    folder = home() / key.name
    if folder.is_dir():
        problem = ""
        try:
            entry = compiled_entry.read(folder)
            problem = compiled_entry.damage(entry) or ("" if entry.key == key else key.differences(entry.key))
        except ValueError as error:
            problem = str(error)
        if not problem:
            with suppress(OSError):
                os.utime(folder / MANIFEST)  # the least recently used one goes first
            return Found(entry, "")
        _remove(folder)
        return Found(None, f"the compiled model kept for {key.device} is damaged: {problem}{AGAIN}")
    older = next((entry for entry in entries() if _supersedes(key, entry.key)), None)
    if older is None:
        return Found(None, "")
    changed = key.differences(older.key)
    return Found(None, f"the compiled model kept for {key.device} is out of date: {changed}{AGAIN}")


def keep(key: Key, make: Callable[[Path], Placement | None]) -> str:
    """Let an engine compile into a folder, and keep that.

    Processes that compile the same key at once do so side by side, and the first to finish is kept. Whatever ends a
    process meanwhile leaves nothing that would be used.

    Args:
        key: of what is compiled.
        make: given an empty folder, writes the engine's files there and returns which node runs where, or None when
            there is nothing to keep. Its errors pass through.

    Returns:
        Why it could not be kept; empty when it was, or when there was nothing to keep.
    """
    with _work_folder() as (work, problem):
        if work is None:
            return problem
        placement = make(work)
        if placement is None:
            return ""
        try:
            write_bytes(work / MANIFEST, compiled_entry.describe(key, work, placement).encode())
            work.replace(home() / key.name)
        except (OSError, InputError) as error:
            # Another process was first when the target is there and is not empty.
            return "" if (home() / key.name / MANIFEST).exists() else f"the compiled model could not be kept: {error}"
    for entry in entries():
        if _supersedes(key, entry.key):
            _remove(entry.folder)
    _shrink(home() / key.name)
    return ""


def entries() -> tuple[Entry, ...]:
    """Return every whole entry, the least recently used first."""
    found = []
    with suppress(OSError):
        for folder in home().iterdir():
            with suppress(ValueError, OSError):
                if not folder.name.startswith("."):
                    found.append(((folder / MANIFEST).stat().st_mtime_ns, compiled_entry.read(folder)))
    return tuple(entry for _, entry in sorted(found, key=lambda pair: (pair[0], pair[1].folder.name)))


def remove(entry: Entry) -> None:
    """Remove an entry."""
    _remove(entry.folder)


def clear() -> int:
    """Remove every entry, whole or not; return the bytes that were freed."""
    freed = sum(entry.size for entry in entries())
    _remove_abandoned()
    with suppress(OSError):
        for folder in home().iterdir():
            if not folder.name.startswith("."):
                _remove(folder)
    return freed


def limit_bytes() -> int:
    """Return what all entries may take together.

    Returns:
        Bytes; 0 keeps nothing.

    Raises:
        InputError: the environment variable is no number of megabytes.
    """
    given = os.environ.get(LIMIT, "").strip()
    if given and not given.isdecimal():
        raise InputError(f"{LIMIT} is {given!r}; give megabytes, such as {_DEFAULT_MB}, or 0 to keep nothing")
    return int(given or _DEFAULT_MB) * _MB


def _supersedes(key: Key, other: Key) -> bool:
    """Whether a key stands for the same model, device and options under other versions."""
    same = (key.artifact, key.device, key.options) == (other.artifact, other.device, other.options)
    return same and key != other


@contextmanager
def _work_folder() -> Iterator[tuple[Path | None, str]]:
    """Make a folder that goes away with the block, unless it was renamed; a lock in it says that its maker lives."""
    folder = home() / f"{_WORK}{secrets.token_hex(8)}"
    if not limit_bytes():
        yield None, ""
        return
    try:
        folder.mkdir(parents=True)
        lock = (folder.parent / f"{folder.name}{_LOCK}").open("w")
    except OSError as error:
        yield None, f"the compiled model could not be kept: {folder.parent}: {error.strerror}"
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _remove_abandoned()
        yield folder, ""
    finally:
        _remove(folder)
        with suppress(OSError):
            Path(lock.name).unlink()
        lock.close()


def _remove_abandoned() -> None:
    """Remove work folders whose makers died."""
    for path in home().glob(f"{_WORK}*{_LOCK}"):
        with suppress(OSError), path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path.with_name(path.name.removesuffix(_LOCK)))
            path.unlink()


def _shrink(newest: Path) -> None:
    found = entries()
    total = sum(entry.size for entry in found)
    for entry in found:
        if total <= limit_bytes() or entry.folder == newest:
            continue
        total -= entry.size
        _remove(entry.folder)


def _remove(folder: Path) -> None:
    # The manifest first: what is left of an interrupted removal is no entry.
    with suppress(OSError):
        (folder / MANIFEST).unlink()
    shutil.rmtree(folder, ignore_errors=True)
