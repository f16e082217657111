"""Tell whether a bundle's files are still those whose digests were checked at an earlier load.

Hashing a large bundle takes seconds on a small processor. A file's inode, size and times change with every write; the
time of the last status change (ctime) cannot be set by a program, so a file whose state is the same is the same file,
short of a failing disk. ``load(check="always")`` and ``edgekit verify`` hash all the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.bundle.reader import Bundle

# File systems stamp times from a coarse clock: a file written just now could be written again unseen.
SETTLED_NS = 2_000_000_000


def states(bundle: Bundle) -> dict[str, str]:
    """Return the state of each checked member's file; those in memory or written just now are left out."""
    found = {path: _state(bundle, path) for path in sorted(bundle.checked)}
    return {path: state for path, state in found.items() if state}


def unchanged(bundle: Bundle, known: Mapping[str, str]) -> frozenset[str]:
    """Return the members whose file is in the state `known` since an earlier load."""
    listed = {record.path for record in bundle.manifest.files}
    return frozenset(path for path, state in known.items() if path in listed and _state(bundle, path) == state)


def _state(bundle: Bundle, path: str) -> str:
    location = bundle.location(path)
    if location is None:
        return ""
    try:
        status = location[0].stat()
    except OSError:
        return ""
    if not time.time_ns() - status.st_ctime_ns >= SETTLED_NS:
        return ""
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"
