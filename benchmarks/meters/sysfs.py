"""Small files of a kernel interface: one value each, which may vanish or refuse at any moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# The most that Linux can be built for (CONFIG_NR_CPUS of x86).
_MOST_PROCESSORS = 8192


def text(path: Path) -> str | None:
    """Return the text of a file without surrounding space and zero bytes; None when it cannot be read."""
    try:
        # Device-tree strings end with a zero byte.
        return path.read_bytes().decode(errors="replace").strip("\0 \n\t\r")
    except (OSError, ValueError):
        return None


def number(path: Path) -> float | None:
    """Return the decimal number that a file holds; None when it cannot be read or holds something else."""
    found = text(path)
    try:
        return None if found is None else float(int(found))
    except (ValueError, OverflowError):
        return None


def entries(folder: Path, pattern: str) -> tuple[Path, ...]:
    """Return what matches `pattern` in `folder`, ordered as people count (``hwmon2`` before ``hwmon10``)."""
    try:
        return tuple(sorted(folder.glob(pattern), key=lambda path: (len(path.name), path.name)))
    except OSError:
        return ()


def listed(spec: str) -> tuple[int, ...]:
    """Return the processors of a kernel list such as ``0-3,6``; empty for what is no list."""
    found: list[int] = []
    try:
        for part in spec.replace(",", " ").split():
            first, _, last = part.partition("-")
            if int(last or first) >= _MOST_PROCESSORS:
                return ()
            found += range(int(first), int(last or first) + 1)
    except ValueError:
        return ()
    return tuple(found)
