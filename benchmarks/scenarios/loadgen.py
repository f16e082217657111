"""The same work with MLPerf's load generator sending the queries, in this process."""

from __future__ import annotations

import atexit
import ctypes
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.benchmarks.scenarios.crew import TICK, Run
from edgekit.benchmarks.scenarios.loadgen_log import Report, due_times, parse, report
from edgekit.benchmarks.scenarios.loadgen_system import System, make_system
from edgekit.benchmarks.scenarios.protocol import Trace
from edgekit.benchmarks.scenarios.recorder import merge
from edgekit.errors import ExecutionError, InputError, MissingDependencyError

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Plan
    from edgekit.benchmarks.scenarios.crew import OnTick
    from edgekit.benchmarks.scenarios.protocol import Workload

# LoadGen's logger is one for the whole process.
_BUSY = threading.Lock()
_PILOT_SHARE, _PILOT_SECONDS, _PILOT_QUERIES = 0.1, 1.0, 3
# How much faster than in the pilot the system may turn out to be before LoadGen has prepared too few queries.
_HEADROOM = 2.0
# The offline scenario is given a number of samples: how much longer than asked it takes if nothing changes.
_OFFLINE_HEADROOM = 1.2
# LoadGen multiplies the offline scenario's rate by this ("kSlack" of its test_settings_internal.cc).
_OFFLINE_SLACK = 1.1
_NO_BOUND_MS = 1e6
# Seconds that the end of the process waits for LoadGen's next query after a failure.
_PARKING = 30.0
_LEAVING = 0.05


@dataclass(frozen=True)
class Outcome:
    """A run of LoadGen, from both sides.

    Attributes:
        trace: of the very same queries, by this side's clock: from when LoadGen handed a query over; in the server
            scenario from when it was due, as LoadGen's trace tells.
        report: what LoadGen says.
    """

    trace: Trace
    report: Report


def run(plan: Plan, workload: Workload, on_tick: OnTick, *, seed: int = 0) -> Outcome:
    """Let LoadGen run a plan.

    Before it, a few queries are sent by the harness's own loop (a tenth of the time asked for, at most a second): but
    for the server scenario, LoadGen must be told how fast the system is, so that it prepares enough queries.

    Args:
        plan: `latency_bound` of 0 sets no bound for LoadGen.
        workload: what a query does; it should have been warmed.
        on_tick: told the seconds since the begin and the queries so far, by the thread that called this function.
        seed: of LoadGen's choice of samples and of its arrivals.

    Returns:
        Both sides' view of the run.

    Raises:
        InputError: LoadGen has no such scenario: a batch of its single-stream and server scenarios has one sample.
        MissingDependencyError: LoadGen is not installed.
        ExecutionError: LoadGen failed, or has run in this process before and a query failed.
        EdgekitError: a query failed; its own error. LoadGen, which cannot be stopped, is then left waiting for ever,
            and this process cannot use it again.
    """
    loadgen = _import()
    _check(plan)
    settings = _settings(loadgen, plan, workload, seed)
    if not _BUSY.acquire(blocking=False):
        raise ExecutionError("LoadGen is in use in this process, or a run of it has failed; measure in a fresh one")
    shared = Run(len(workload.stages), plan.streams, plan.queries, on_tick)
    system = make_system(loadgen, plan, workload, shared)
    over = threading.Event()
    with tempfile.TemporaryDirectory(prefix="edgekit-loadgen-", ignore_cleanup_errors=True) as folder:

        def body() -> None:
            try:
                _run(loadgen, settings, system, workload.samples, folder)
            except BaseException as error:
                shared.fail(error)
            finally:
                _BUSY.release()
                over.set()

        # A thread of its own, so that the caller can leave a run that has failed, which LoadGen cannot.
        threading.Thread(target=body, name="edgekit-loadgen", daemon=True).start()
        _wait(shared, over, system)
        return _outcome(plan, shared, Path(folder))


def _wait(shared: Run, over: threading.Event, system: System) -> None:
    """Report progress until LoadGen has finished or a query has failed."""
    try:
        while not over.wait(TICK / 1e9) and not shared.stopped.is_set():
            if shared.begin:
                shared.tick(time.perf_counter_ns())
    except BaseException as error:
        shared.fail(error)
    if not over.is_set():
        _leave_behind(system)
    shared.raise_error()


def _leave_behind(system: System) -> None:
    """Let the process end in spite of LoadGen's threads, which go on; ours have ended when this returns."""
    system.close()
    atexit.register(_wait_until_parked, system)
    libc = ctypes.CDLL(None)
    # LoadGen's destructors abort while its threads run. What the C library registers last comes first, and is given the
    # exit status: the process ends there, after Python has ended and flushed its files. Only glibc has it.
    if hasattr(libc, "on_exit"):
        libc.on_exit(libc._exit, None)


def _wait_until_parked(system: System) -> None:
    """Let Python not end before LoadGen's thread is out of it; see `System`."""
    system.parked.wait(_PARKING)
    time.sleep(_LEAVING)  # the thread says so while it is still on its way out


def _run(loadgen: Any, settings: Any, system: System, samples: int, folder: str) -> None:
    """Run the test; its logs go to `folder`."""
    log = loadgen.LogSettings()
    log.log_output.outdir = folder
    log.log_output.copy_summary_to_stdout = False
    # LoadGen's default. Elsewhere the trace says nothing that is not known; here it has when queries were due.
    log.enable_trace = settings.scenario == loadgen.TestScenario.Server
    sut = loadgen.ConstructSUT(system.issue, system.flush)
    qsl = loadgen.ConstructQSL(samples, samples, _ignore, _ignore)
    try:
        # Its last argument would otherwise be a file of the current folder that changes the test.
        loadgen.StartTestWithLogSettings(sut, qsl, settings, log, str(Path(folder) / "no-audit.config"))
    finally:
        system.close()
        loadgen.DestroyQSL(qsl)
        loadgen.DestroySUT(sut)


def _outcome(plan: Plan, shared: Run, folder: Path) -> Outcome:
    detail = folder / "mlperf_log_detail.txt"
    if not detail.is_file() or not sum(recorder.count for recorder in shared.recorders):
        raise ExecutionError(f"LoadGen sent no query, or left no log in {folder}; it says more on standard error")
    size = plan.batch * (plan.streams if plan.scenario == "multi-stream" else 1)
    trace = merge(shared.recorders, shared.begin, size)
    if plan.scenario == "server":
        with (folder / "mlperf_log_trace.json").open(encoding="utf-8") as lines:
            trace = counted_from_due(trace, due_times(lines))
    return Outcome(trace, report(parse(detail.read_text(encoding="utf-8")), plan.scenario))


def counted_from_due(trace: Trace, due: dict[int, tuple[int, int]]) -> Trace:
    """Let latencies count from when queries were due instead of from when LoadGen handed them over.

    The two clocks' distance is taken from the query that was handed over fastest.

    Args:
        trace: in the order in which queries were handed over.
        due: by number of the query: nanoseconds on LoadGen's clock, and by how many later it was issued.

    Returns:
        The same queries.

    Raises:
        ExecutionError: LoadGen's trace has not the same queries.
    """
    if sorted(due) != list(range(len(trace.issued))):
        raise ExecutionError(f"LoadGen's trace has {len(due)} queries, {len(trace.issued)} were answered")
    theirs = np.array([due[number] for number in range(len(due))], np.int64)
    distance = int((trace.issued - theirs.sum(axis=1)).min())
    begin = int(theirs[0, 0]) + distance
    arrived = theirs[:, 0] + distance - begin
    return Trace(trace.begin + begin, trace.end, arrived, trace.ended - begin, trace.stages, trace.batch)


def _settings(loadgen: Any, plan: Plan, workload: Workload, seed: int) -> Any:
    settings = loadgen.TestSettings()
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.min_duration_ms = max(1, round(plan.seconds * 1000))
    settings.min_query_count = plan.queries
    settings.qsl_rng_seed = settings.sample_index_rng_seed = settings.schedule_rng_seed = seed
    scenarios = loadgen.TestScenario
    if plan.scenario == "server":
        settings.scenario = scenarios.Server
        settings.server_target_qps = plan.target_qps
        settings.server_target_latency_ns = round((plan.latency_bound or _NO_BOUND_MS) * 1e6)
        return settings
    pilot = _pilot(plan, workload, seed)
    least = max(1, int((pilot.ended - pilot.issued).min() / _HEADROOM))
    if plan.scenario == "single-stream":
        settings.scenario = scenarios.SingleStream
        settings.single_stream_expected_latency_ns = least
    elif plan.scenario == "multi-stream":
        settings.scenario = scenarios.MultiStream
        settings.multi_stream_expected_latency_ns = least
        settings.multi_stream_samples_per_query = plan.streams * plan.batch
    else:
        settings.scenario = scenarios.Offline
        rate = len(pilot.ended) * pilot.batch / ((pilot.end - pilot.begin) / 1e9)
        wanted = max(plan.queries * plan.batch, rate * plan.seconds * _OFFLINE_HEADROOM)
        # Whole batches, by the count; LoadGen's own product of rate and time must stay below it.
        settings.min_query_count = -(-int(wanted) // plan.batch) * plan.batch
        settings.offline_expected_qps = wanted / (2 * _OFFLINE_SLACK * max(plan.seconds, 0.001))
    return settings


def _pilot(plan: Plan, workload: Workload, seed: int) -> Trace:
    from edgekit.benchmarks.scenarios.run import measure

    seconds = min(_PILOT_SECONDS, plan.seconds * _PILOT_SHARE)
    own = replace(plan, generator="edgekit", seconds=seconds, queries=_PILOT_QUERIES)
    return measure(own, workload, _no_tick, seed=seed)


def _check(plan: Plan) -> None:
    if plan.scenario in ("single-stream", "server") and plan.batch != 1:
        raise InputError(
            f"LoadGen's {plan.scenario} scenario sends one sample a query, not {plan.batch}; take --batch 1, the "
            "scenario multi-stream, or --generator edgekit"
        )
    if plan.scenario == "single-stream" and plan.streams != 1:
        raise InputError(f"single-stream has one client, not {plan.streams}; take the scenario multi-stream")


def _import() -> Any:
    try:
        import mlperf_loadgen
    except ImportError as error:
        raise MissingDependencyError(
            "LoadGen needs the package mlcommons-loadgen: pip install 'edgekit[loadgen]' (where there is no "
            "wheel, a C++ compiler builds it), or take --generator edgekit"
        ) from error
    return mlperf_loadgen


def _ignore(samples: list[int]) -> None:
    """Load nothing: samples are in memory already."""


def _no_tick(seconds: float, queries: int) -> None:
    """Show nothing."""
