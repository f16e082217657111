"""Ask a training that runs in other processes to stop after a checkpoint: by a file, which every process can see."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgekit.converters.distill import work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def asking_to_stop(folder: Path) -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a wish to stop; the second ends the program at once.

    Args:
        folder: the work folder; the file `work.STOP` in it is the wish.

    Yields:
        A function that says whether it was asked.
    """
    stop = folder / work.STOP
    stop.unlink(missing_ok=True)
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        stop.touch()

    # Only the main thread may set handlers; elsewhere the application has its own way to stop.
    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, ask) for number in signals}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.unlink(missing_ok=True)
