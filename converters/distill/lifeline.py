"""What a worker watches: the process that started it, and a wish to stop.

A worker that outlives its parent would go on writing where the next run begins. A wish to stop is a file, so that it
reaches the workers of ``torchrun`` too, which are nobody's direct children here.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_EVERY = 0.3
ENDED = 3
"""Exit code of a worker that has lost its parent."""


def end_with_parent() -> None:
    """End this process, at once and whatever it does, soon after its parent has ended."""
    parent = os.getppid()
    _start("lifeline", lambda: _watch_parent(parent))


def stop_on(file: Path) -> None:
    """Send this process SIGTERM once, soon after `file` has appeared; what that does is up to its handler."""
    _start("stop", lambda: _watch_file(file))


def _start(name: str, watch: Callable[[], None]) -> None:
    threading.Thread(target=watch, daemon=True, name=name).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_EVERY)
    os._exit(ENDED)


def _watch_file(file: Path) -> None:
    while not file.exists():
        time.sleep(_EVERY)
    os.kill(os.getpid(), signal.SIGTERM)
