"""The way into an engine: who may be inside at once, and a closing that waits for them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Callable


class Gate:
    """Entered by each inference of a session in a ``with`` block."""

    def __init__(self, name: str, *, alone: bool) -> None:
        """Make an open gate; `name` is the artifact's, for messages. With `alone` the others queue."""
        self._name, self._alone = name, alone
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """True from the moment that closing began."""
        return self._closed

    def __enter__(self) -> None:
        """Go in.

        Raises:
            ExecutionError: the gate is closed, or was closed while this caller queued.
        """
        with self._changed:
            if self._alone:
                self._changed.wait_for(lambda: not self._inside or self._closed)
            if self._closed:
                raise ExecutionError(f"{self._name}: the session is closed")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        """Go out."""
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def close(self, free: Callable[[], None]) -> None:
        """Let nobody in any more, wait for those inside, then free the engine; closing twice is harmless.

        Args:
            free: called once.
        """
        with self._changed:
            # First, so that callers who never pause cannot keep the session open for ever.
            already, self._closed = self._closed, True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._inside)
            if not already:
                free()
