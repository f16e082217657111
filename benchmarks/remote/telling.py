"""A run that was started from elsewhere tells its events as lines of JSON, which the one who started it reads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TextIO

from edgekit.benchmarks.running.events import Note, Phase, Tick, to_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.benchmarks.running.events import Event

VARIABLE = "EDGEKIT_BENCH_EVENTS"
"""Environment variable that is set where a run is to tell its events on standard error."""
# Each line is written to the board's disk and read over the link.
_SECONDS = 1.0


def teller(stream: TextIO) -> Callable[[Event], None]:
    """Return what writes events as lines.

    Args:
        stream: to write to.

    Returns:
        What to call with each event: every phase and note is written, of ticks one a second, and no sample.
    """
    last = [-_SECONDS]

    def tell(event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, Tick) and now - last[0] >= _SECONDS:
            last[0] = now
        elif not isinstance(event, Phase | Note):
            return
        stream.write(f"{to_line(event)}\n")
        stream.flush()

    return tell
