"""A run while it goes on, on a terminal; silence in a pipe."""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING, Any

from edgekit.benchmarks.report import numbers
from edgekit.benchmarks.report.cells import printable
from edgekit.benchmarks.running.events import Event, Note, Phase, Sample, Tick
from edgekit.errors import MissingDependencyError

if TYPE_CHECKING:
    from typing_extensions import Self

REFRESH = 0.5
"""Least seconds between two drawings: on a small board, drawing must not take the processor from what is measured."""

_SHOWN_KINDS = ("power", "temperature")


class Live:
    """Shows the events of a run: phase, progress, queries a second, percentiles so far, sensors, time left.

    Nothing is written, and nothing is imported, unless the stream is a terminal. Use it as a context manager, and give
    `on_event` to the run.
    """

    def __init__(self, stream: IO[str], title: str = "") -> None:
        """Prepare.

        Args:
            stream: to draw on, such as ``sys.stderr``.
            title: shown above, such as the bundle's name; may be empty.

        Raises:
            MissingDependencyError: the stream is a terminal, and rich is not installed.
        """
        self._title = printable(title)
        self._phase: Phase | None = None
        self._tick: Tick | None = None
        self._samples: dict[str, Sample] = {}
        self._began = self._drawn = 0.0
        self._view = _view(stream) if stream.isatty() else None

    def __enter__(self) -> Self:
        if self._view:
            self._view.start()
            if self._title:
                self._view.console.print(self._title, markup=False, highlight=False)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._view:
            if kind is None:
                self._finish()
            self._view.stop()

    def on_event(self, event: Event) -> None:
        """Take an event; draws at most every `REFRESH` seconds.

        Args:
            event: of the run.
        """
        if not self._view:
            return
        now = time.monotonic()
        if isinstance(event, Phase):
            self._finish()
            self._phase, self._tick, self._began = event, None, now
        elif isinstance(event, Tick):
            self._tick = event
        elif isinstance(event, Sample):
            self._samples[event.name] = event
        elif isinstance(event, Note):
            self._view.console.print(printable(event.text), markup=False, highlight=False)
        if isinstance(event, Phase) or now - self._drawn >= REFRESH:
            self._drawn = now
            self._view.update(_lines(self._phase, self._tick, self._samples, self._view.console.width), refresh=True)

    def _finish(self) -> None:
        """Leave a line of the phase that has ended."""
        if not (self._view and self._phase):
            return
        seconds = time.monotonic() - self._began
        counted = f", {_rate(self._tick)}" if self._tick and self._tick.queries else ""
        line = f"{printable(self._phase.name)}  {numbers.duration(seconds)}{counted}"
        self._phase = None
        self._view.console.print(line, markup=False, highlight=False)


def _view(stream: IO[str]) -> Any:
    try:
        from rich.console import Console
        from rich.live import Live as View
    except ImportError as error:
        raise MissingDependencyError("a live view needs rich: pip install 'edgekit[bench]'") from error
    return View(console=Console(file=stream), auto_refresh=False, transient=True)


def _lines(phase: Phase | None, tick: Tick | None, samples: dict[str, Sample], width: int) -> Any:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    # One column: a bar by itself does not end its line.
    shown = Table.grid()
    if phase:
        total = (tick.total if tick else 0.0) or phase.total
        done = tick.seconds if tick else 0.0
        shown.add_row(Text(_progress(phase.name, done, total), style="bold"))
        if total:
            shown.add_row(ProgressBar(total=total, completed=min(done, total), width=min(60, width)))
    if tick and tick.queries:
        shown.add_row(Text(_rate(tick)))
    told = [f"{printable(s.name)} {numbers.number(s.value)} {s.unit}" for s in samples.values() if _is_shown(s)]
    if told:
        shown.add_row(Text("   ".join(told), style="dim"))
    return shown


def _progress(name: str, done: float, total: float) -> str:
    if not total:
        return printable(name)
    left = f", {numbers.duration(round(total - done))} left" if done < total else ""
    return f"{printable(name)}  {numbers.duration(round(done))} of {numbers.duration(round(total))}{left}"


def _rate(tick: Tick) -> str:
    parts = [f"{tick.queries:,} queries"]
    if tick.seconds > 0:
        parts.append(f"{numbers.number(tick.queries / tick.seconds)} queries/s")
    for name, value in (("p50", tick.p50), ("p99", tick.p99)):
        if value is not None:
            parts.append(f"{name} {numbers.number(value)} ms")
    return ", ".join(parts)


def _is_shown(sample: Sample) -> bool:
    return sample.name.startswith(_SHOWN_KINDS) or sample.unit in ("W", "°C")
