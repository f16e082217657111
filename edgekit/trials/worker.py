"""The child process that tries one candidate: whatever an engine does to it, the parent only reads how it ended.

Standard input carries a `Request` and then `Again`s, one JSON object a line; each is answered on what was standard
output when the process began. Everything that Python or an engine prints goes to standard error, the parent's log.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from edgekit import golden
from edgekit.bundle import schema
from edgekit.bundle.reader import open_bundle
from edgekit.errors import EdgekitError, GoldenError
from edgekit.judging import Choice, judge, open_towers
from edgekit.runtimes import registry
from edgekit.runtimes.protocol import SessionSettings
from edgekit.trials.records import Again, Request, Result, Round

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.golden import TowerName
    from edgekit.tower import DeviceTower

    Inputs = dict[TowerName, npt.NDArray[np.generic]]

_MEGA = 1_000_000
_FIRST_SECONDS, _LEAST_RUNS = 0.2, 3


def main(path: str) -> None:
    """Try a candidate of the bundle at `path`; answer the parent until it closes standard input."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    request = schema.loads(Request, sys.stdin.buffer.readline(), "request")
    _guard(request)
    towers: dict[TowerName, DeviceTower] = {}
    try:
        result, inputs = _judged(path, request, towers)
    except MemoryError:
        limit = f"; it may allocate {request.memory} MB" if request.memory else ""
        result, inputs = _refusal(f"out of memory{limit}"), {}
    _send(answers, result)
    signal.alarm(0)
    for line in sys.stdin.buffer if not result.reason else ():
        signal.alarm(request.seconds)
        seconds = schema.loads(Again, line, "request").seconds
        _send(answers, Round(_times(towers, inputs, seconds)))
        signal.alarm(0)


def _judged(path: str, request: Request, towers: dict[TowerName, DeviceTower]) -> tuple[Result, Inputs]:
    """Open, check and time the candidate; the towers stay open in `towers`."""
    bundle = open_bundle(path)
    bundle.trust(request.trusted)
    variant = next(v for v in bundle.manifest.variants if v.id == request.variant)
    choice = Choice(variant, registry.get(request.runtime), "", request.device)
    choice.runtime.available()  # imports the engine, which is not part of opening a model
    names = cast("tuple[TowerName, ...]", request.towers)
    start = time.perf_counter()
    try:
        settings = SessionSettings(threads=request.threads, options=request.options, allow_cpu=request.allow_cpu)
        towers.update(open_towers(bundle, choice, names, settings))
        load = 1000 * (time.perf_counter() - start)
        _, checks = judge(bundle, choice, towers, timed=False)
    except EdgekitError as error:
        return _refusal(str(error), wrong=isinstance(error, GoldenError)), {}
    inputs = {name: _rows(golden.inputs(bundle, name), request.batch) for name in names}
    times = _times(towers, inputs, _FIRST_SECONDS)
    return Result("", False, checks, load, times, _peak()), inputs


def _refusal(reason: str, *, wrong: bool = False) -> Result:
    return Result(reason, wrong, (), 0.0, {}, None)


def _rows(inputs: npt.NDArray[np.generic], batch: int) -> npt.NDArray[np.generic]:
    return np.resize(inputs, (batch, *inputs.shape[1:]))


def _times(towers: dict[TowerName, DeviceTower], inputs: Inputs, seconds: float) -> dict[str, float]:
    """Return each tower's median milliseconds, over at least three inferences after one that is not counted."""
    found = {}
    for name, tower in towers.items():
        tower.embed(inputs[name])
        times: list[float] = []
        end = time.perf_counter() + seconds / len(towers)
        while len(times) < _LEAST_RUNS or time.perf_counter() < end:
            start = time.perf_counter()
            tower.embed(inputs[name])
            times.append(time.perf_counter() - start)
        found[str(name)] = 1000 * statistics.median(times)
    return found


def _guard(request: Request) -> None:
    """See to it that this process harms nobody: no core dump, the first to go when memory is short, mortal."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if request.memory:
        limit = request.memory * _MEGA
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    # Should the parent be killed, this ends an engine that hangs: the signal's default needs no Python to run.
    signal.alarm(request.seconds)


def _peak() -> float | None:
    # Not getrusage: its figure begins with what the parent had when it started this process.
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return None if kilobytes is None else int(kilobytes) * 1024 / _MEGA


def _send(answers: BinaryIO, record: Result | Round) -> None:
    # A refusal may name a file whose name is not UTF-8.
    answers.write(json.dumps(schema.to_plain(record), ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    answers.flush()
