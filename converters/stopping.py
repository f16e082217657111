"""End long work on a signal as on Ctrl-C, so that what it began is removed."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def stopping_cleanly() -> Iterator[None]:
    """Let SIGTERM, and a terminal that is closed, end the children and remove the work folder as Ctrl-C does."""

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    # Only the main thread may set handlers; elsewhere the application has its own way to stop.
    signals = (signal.SIGTERM, signal.SIGHUP) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, leave) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
