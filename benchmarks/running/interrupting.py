"""Ctrl-C while a run measures: the first one ends the measured part and keeps it, the second one ends all."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from edgekit.benchmarks.results.records import Result


class RunInterruptedError(KeyboardInterrupt):
    """A run was interrupted after it had measured something.

    It is a `KeyboardInterrupt`, so that whoever does not look for it ends as ever.

    Args:
        result: of the part that was measured. INVALID, with ``interrupted…`` as its first reason, unless only what is
            found out beside a run is missing.
    """

    def __init__(self, result: Result) -> None:
        super().__init__(result.reasons[0] if result.reasons else "")
        self.result = result


class Interrupts:
    """What Ctrl-C does at the moment.

    Attributes:
        ask: called by the first Ctrl-C when something has been measured that can be kept; None while nothing has.
        asked: whether it was called.
    """

    ask: Callable[[], None] | None
    asked: bool

    def __init__(self) -> None:
        self.ask = None
        self.asked = False

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Take one Ctrl-C.

        Args:
            number: of the signal.
            frame: that it came upon.

        Raises:
            KeyboardInterrupt: nothing can be kept, or it is the second one.
        """
        if self.asked or self.ask is None:
            raise KeyboardInterrupt
        self.asked = True
        self.ask()


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Let Ctrl-C be heard by `Interrupts` within the block.

    Outside the main thread signals cannot be caught; a program that ignores Ctrl-C, or has its own way with it, keeps
    that. Then nothing is changed.

    Yields:
        What Ctrl-C does; set its `ask`, which a signal's handler calls.
    """
    found = Interrupts()
    mine = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if mine else None
    if before is not signal.default_int_handler:
        yield found
        return
    signal.signal(signal.SIGINT, found.hear)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)
