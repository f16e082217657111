"""Bounds on a child that runs a tool which may hang, and its memory."""

from __future__ import annotations

import resource
import signal
import sys

_KIB_PER_UNIT = 1 if sys.platform != "darwin" else 1 / 1024


def die_after(seconds: int) -> None:
    """End this process by SIGALRM after a time, even inside native code that never returns to Python."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)


def peak_bytes() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 * _KIB_PER_UNIT)
