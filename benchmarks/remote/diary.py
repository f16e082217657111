"""What one board's visit tells: events, a log file here, and seconds of each step."""

from __future__ import annotations

import codecs
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgekit.benchmarks.remote.records import RemoteEvent
from edgekit.benchmarks.running import events
from edgekit.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TextIO

    from edgekit.benchmarks.remote.records import Step

# Longest text of a board that is shown on one line.
_MOST = 300


class Diary:
    """Tells and keeps what happens at one board; used by that board's thread alone."""

    def __init__(self, board: str, log: Path, on_event: Callable[[RemoteEvent], None]) -> None:
        """Begin the log file; `close` ends it."""
        self._board, self._tell = board, on_event
        self._stream: TextIO = log.open("w", encoding="utf-8")
        self._begin = time.monotonic()
        # The end of what a look brings may be the middle of a character.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self.step: Step = "connect"
        self.seconds: dict[str, float] = {}
        self.last_line = ""

    def say(self, text: str) -> None:
        """Tell a person something, and keep it."""
        self._write(f"[{time.monotonic() - self._begin:9.2f} s] {self.step}: {text}")
        self._send(RemoteEvent(self._board, self.step, text))

    def sent(self, done: int, total: int) -> None:
        """Tell how far sending is, in bytes."""
        self._send(RemoteEvent(self._board, self.step, "", done, total))

    def printed(self, data: bytes) -> None:
        """Keep what the board's run printed; what it told as events is passed on."""
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        for line in lines:
            plain = "".join(c if c.isprintable() else " " for c in line).rstrip()
            if plain and not self._is_event(plain):
                self._write(f"  {plain}")
                self.last_line = plain.strip()[:_MOST]

    @contextmanager
    def during(self, step: Step) -> Iterator[None]:
        """Time a step."""
        self.step = step
        begin = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.monotonic() - begin

    def close(self) -> None:
        """End the log file."""
        self.printed(b"\n")
        self._stream.close()

    def _is_event(self, line: str) -> bool:
        if not line.startswith('{"event"'):
            return False
        try:
            event = events.from_line(line)
        except BundleError:
            return False
        self._send(RemoteEvent(self._board, self.step, "", bench=event))
        return True

    def _send(self, event: RemoteEvent) -> None:
        try:
            self._tell(event)
        except Exception:
            # The board is still to be cleaned up, and that is told too.
            self._tell = lambda event: None
            raise

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()
