"""Progress on a terminal, silence in a pipe."""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class Stages:
    """Names the stages of a long job, one line each with its time, when the stream is a terminal."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._current = ""
        self._start = 0.0

    def next(self, name: str) -> None:
        """Begin the stage `name`, ending the one before."""
        self._finish()
        self._current, self._start = name, time.monotonic()
        self._write(f"{name} …")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._finish()
        elif self._current:
            self._write("\n")

    def _finish(self) -> None:
        if self._current:
            self._write(f"\r{self._current}  {time.monotonic() - self._start:.1f} s\n")

    def _write(self, text: str) -> None:
        if self._shown:
            self._stream.write(text)
            self._stream.flush()
