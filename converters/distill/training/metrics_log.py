"""The lines of metrics.jsonl: what a training measured, by step, without doubles whatever ended it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from edgekit.atomic import write_bytes

if TYPE_CHECKING:
    from pathlib import Path


class MetricsLog:
    """Appends a line at a time.

    Args:
        path: of the file.
        step: steps made by the state that the training goes on from; what was written after it is cut off, and so is
            half a line.
        writes: False in all but the first process: nothing is read or written.
    """

    def __init__(self, path: Path, step: int, *, writes: bool) -> None:
        self._path, self._writes = path, writes
        if writes:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = [line for line in _lines(path) if _step(line) <= step] if step else []
            write_bytes(path, b"".join(kept))

    def add(self, line: dict[str, Any]) -> None:
        """Append a line; it has a ``step``."""
        if self._writes:
            with self._path.open("ab") as stream:
                stream.write(json.dumps(line, allow_nan=False).encode() + b"\n")

    def sync(self) -> None:
        """Make the lines survive what a checkpoint survives."""
        if self._writes:
            with self._path.open("ab") as stream:
                os.fsync(stream.fileno())


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a metrics.jsonl, for curves.

    Args:
        path: of the file, which may be growing.

    Returns:
        The whole lines, in order.
    """
    return [json.loads(line) for line in _lines(path)]


def _lines(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    whole = path.read_bytes().split(b"\n")[:-1]
    return [line + b"\n" for line in whole if _is_record(line)]


def _is_record(line: bytes) -> bool:
    try:
        found = json.loads(line)
    except ValueError:
        return False
    return isinstance(found, dict) and isinstance(found.get("step"), int)


def _step(line: bytes) -> int:
    return int(json.loads(line)["step"])
