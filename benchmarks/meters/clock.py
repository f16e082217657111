"""The clock of the day beside the one that samples are stamped by."""

from __future__ import annotations

import time


def wall_seconds(perf_ns: int) -> float:
    """Return the seconds since 1970 of a moment of this run of the system.

    Args:
        perf_ns: `time.perf_counter_ns` at that moment.

    Returns:
        By this machine's clock as it is set now; good to a microsecond.
    """
    return (_ahead() + perf_ns) / 1e9


def perf_ns(seconds: float) -> int:
    """Return `time.perf_counter_ns` at a moment given in seconds since 1970."""
    return round(seconds * 1e9) - _ahead()


def _ahead() -> int:
    before = time.perf_counter_ns()
    wall = time.time_ns()
    return wall - (before + time.perf_counter_ns()) // 2
