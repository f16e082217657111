"""Reading meters from a process of its own, so that sampling shares no interpreter with what is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from edgekit.benchmarks.meters.protocol import Channel
from edgekit.benchmarks.meters.samples import Key, Rate
from edgekit.benchmarks.meters.sampling import INTERVAL
from edgekit.benchmarks.results.energy_records import Series
from edgekit.bundle import schema
from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

_WORKER = "edgekit.benchmarks.meters.sampling_worker"


class ProcessSampler:
    """What `Sampler` does, in another process; series, cost and rates are known after the ``with`` block.

    Both processes read one clock: `time.perf_counter_ns` is the system's monotonic clock on Linux, the same in every
    process.

    Args:
        specs: of the meters, as `registry.create` takes them. ``other-load`` counts this process as its own.
        interval: seconds between two readings, as in `Sampler`.
        root: folder that holds ``sys``, ``proc`` and ``dev``; None for the running system's.
    """

    def __init__(self, specs: Sequence[str], interval: float = INTERVAL, root: Path | None = None) -> None:
        own = [f"other-load={os.getpid()}" if spec == "other-load" else spec for spec in specs]
        self._arguments = [str(interval), str(root or Path("/")), *own]
        self._process: subprocess.Popen[str] | None = None
        self._complaints: IO[str] | None = None
        self._answer: dict[str, Any] = {}

    @property
    def channels(self) -> dict[Key, Channel]:
        """What was read, by (meter, series name)."""
        return {
            (each["meter"], each["series"]): schema.loads(Channel, json.dumps(each["channel"]), _WORKER)
            for each in self._found("channels")
        }

    @property
    def cpu_seconds(self) -> float:
        """CPU time that the process took, in seconds: its start, the reading of meters, and commands they started."""
        return float(self._found("cpu"))

    @property
    def rates(self) -> dict[str, Rate]:
        """How each polled meter was really sampled, by its name."""
        found = self._found("rates").items()
        return {name: schema.loads(Rate, json.dumps(rate), _WORKER) for name, rate in found}

    def series(self, begin_ns: int) -> tuple[Series, ...]:
        """Return what was read; see `Sampler.series`.

        Args:
            begin_ns: `time.perf_counter_ns` at the begin of the measured part, in this process.

        Returns:
            One series a channel.
        """
        return tuple(
            Series(
                each["name"],
                each["kind"],
                each["unit"],
                each["meter"],
                tuple((time - begin_ns) / 1e9 for time in each["times"]),
                tuple(each["values"]),
            )
            for each in self._found("series")
        )

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", _WORKER, *self._arguments]
        pipe = subprocess.PIPE
        # A pipe that nobody reads until the end would stop a meter that warns at each reading.
        self._complaints = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._complaints, text=True)
        if self._process.stdout is None or self._process.stdout.readline() != "ready\n":
            raise ExecutionError(f"the sampling process did not start: {self._last_words()}")
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process is None:
            return
        # The end of its input tells it to stop, as the end of this process would.
        said = process.communicate()[0]
        complaint = self._last_line()
        if process.returncode:
            raise ExecutionError(f"the sampling process failed: {complaint}")
        self._answer = json.loads(said)

    def _found(self, name: str) -> Any:
        if not self._answer:
            raise ExecutionError("the sampling process tells what it read at its end: leave the with block first")
        return self._answer[name]

    def _last_words(self) -> str:
        if self._process is None:
            return ""
        self._process.kill()
        self._process.communicate()
        return self._last_line()

    def _last_line(self) -> str:
        """What the process said last; its complaints are closed."""
        if self._complaints is None:
            return ""
        with self._complaints as stream:
            stream.seek(0)
            lines = [line for line in stream.read().splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"
