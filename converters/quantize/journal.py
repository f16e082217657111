"""A file of results, one JSON object a line, that survives whatever ends the process which writes it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.bundle import schema
from edgekit.errors import BundleError, InputError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """What became of one task.

    Attributes:
        key: of the task.
        note: what the task was, for a person.
        failed: why it gave nothing, such as ``was ended by SIGSEGV``; empty when it did.
        seconds: wall time of the task.
        peak: largest memory of the process so far, in bytes.
        size: of the tower's files, in bytes; 0 where none was built.
        times: seconds of each timed inference; empty where nothing was timed.
        float_times: seconds of the float tower, taken in turns with `times`.
    """

    key: str
    note: str
    failed: str = ""
    seconds: float = 0.0
    peak: int = 0
    size: int = 0
    times: tuple[float, ...] = ()
    float_times: tuple[float, ...] = ()


def append(path: Path, entry: Entry) -> None:
    """Add an entry; when this returns it is on the disk.

    Args:
        path: the journal; created where it is missing. A line that a crash left torn is ended first.
        entry: to add.

    Raises:
        OSError: the disk is full or failed.
    """
    line = json.dumps(schema.to_plain(entry), ensure_ascii=True, allow_nan=False)
    with path.open("ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> dict[str, Entry]:
    """Return the entries by key, the last of each; lines that a crash left torn are passed over.

    Args:
        path: the journal; a missing one has no entries.

    Returns:
        Entries in the order of their first appearance.

    Raises:
        InputError: a whole line is not an entry: the file is no journal, or that of another edgekit.
    """
    if not path.exists():
        return {}
    found: dict[str, Entry] = {}
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip() or not _is_json(line):
            continue
        try:
            entry = schema.loads(Entry, line, f"{path}: line {number}")
        except BundleError as error:
            raise InputError(f"{error}; start a new search in another folder") from error
        found[entry.key] = entry
    return found


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
