"""The harness's own clock against one outside: another process, which times the whole measured part by a raw clock."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.results.records import Pipeline
    from edgekit.benchmarks.scenarios.protocol import Workload

_PROGRAM = "from edgekit.benchmarks.scenarios.outside_timer import child; import sys; child(*sys.argv[1:])"
_BEGIN = "begin"


@dataclass(frozen=True)
class Outside:
    """One single-stream run, timed twice.

    Attributes:
        queries: in it.
        inside: mean latency of a query by the harness, in milliseconds.
        outside: the other process's time from begin to end over the queries, in milliseconds; it includes what the
            loop adds and a line through a pipe.
    """

    queries: int
    inside: float
    outside: float

    @property
    def difference(self) -> float:
        """How much more the outside clock shows, as a share of it."""
        return (self.outside - self.inside) / self.outside


def compare(bundle: str, pipeline: Pipeline, seconds: float) -> Outside:
    """Run a child process that measures, and time it.

    Args:
        bundle: name or path.
        pipeline: what a query does.
        seconds: least length of the measured part.

    Returns:
        Both clocks' times.

    Raises:
        ExecutionError: the child failed; the message has its last words.
    """
    command = [sys.executable, "-c", _PROGRAM, bundle, pipeline, str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        if process.stdout is None or process.stderr is None:
            raise ExecutionError("the child process has no pipes")
        first = process.stdout.readline()
        begin = _raw_clock()
        process.stdout.readline()
        end = _raw_clock()
        last = process.stdout.readline()
        words = process.stderr.read()
    if first.strip() != _BEGIN or process.returncode:
        last_words = words.strip().rpartition("\n")[2]
        raise ExecutionError(f"the measuring process ended with {process.returncode}: {last_words}")
    found = json.loads(last)
    return Outside(found["queries"], found["inside"], (end - begin) / 1e6 / found["queries"])


def child(bundle: str, pipeline: Pipeline, seconds: str) -> None:
    """Measure in this process; say when it begins and, with what was found, when it has ended.

    Args:
        bundle: name or path.
        pipeline: what a query does.
        seconds: least length of the measured part.
    """
    from edgekit.benchmarks.results.records import Plan
    from edgekit.benchmarks.scenarios.run import measure
    from edgekit.benchmarks.workloads.create import create
    from edgekit.benchmarks.workloads.inputs import gather
    from edgekit.loading import load

    plan = Plan("single-stream", pipeline, "edgekit", 1, 0, (), 1, 0.0, 0.0, float(seconds), 1, False, 0, 0, "")
    with load(bundle) as clip:
        work = create(clip, pipeline, gather(), 1)
        for index in range(min(10, work.samples)):
            work.query([index])
        trace = measure(plan, _Announced(work), _ignore)
        _say("end")
        inside = float((trace.ended - trace.issued).mean()) / 1e6
        _say(json.dumps({"queries": len(trace.ended), "inside": inside}))


class _Announced:
    """The same work; its first query says that the measured part has begun."""

    def __init__(self, work: Workload) -> None:
        self.samples, self.stages = work.samples, work.stages
        self._first, self._query = True, work.query

    def query(self, indices: Sequence[int]) -> tuple[int, ...]:
        if self._first:
            self._first = False
            _say(_BEGIN)
        return self._query(indices)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _raw_clock() -> int:
    """Return nanoseconds of a clock that nothing steers, where the system has one."""
    clock = getattr(time, "CLOCK_MONOTONIC_RAW", None)
    return time.monotonic_ns() if clock is None else time.clock_gettime_ns(clock)


def _ignore(seconds: float, queries: int) -> None:
    """Show nothing."""
