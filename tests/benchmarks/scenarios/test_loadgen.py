"""LoadGen drives the same work: its own percentiles against those of the very same queries as our callback saw them.

Nothing here depends on a quiet machine: both sides measure the same queries.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bench_works import Work, plan, quiet
from edgekit.benchmarks.scenarios import loadgen
from edgekit.benchmarks.scenarios.run import measure
from edgekit.benchmarks.statistics import early_stopping, summary
from edgekit.errors import InputError, MissingDependencyError

pytest.importorskip("mlperf_loadgen", reason="the extra loadgen has no wheel here")

CLOSE = 0.02
HELPERS = str(Path(__file__).parents[2] / "helpers")


class Varied:
    """Spends 4 to 13 ms on a sample, by its number; deterministic and known."""

    samples, stages = 10, ("work",)

    def __init__(self) -> None:
        self.seen: list[int] = []

    def query(self, indices):
        begin = time.perf_counter_ns()
        self.seen.extend(indices)
        time.sleep(sum(0.004 + 0.001 * index for index in indices))
        return (time.perf_counter_ns() - begin,)


def run(**changes):
    """Run LoadGen, up to three times: a thread that loses its processor between both clocks' readings parts them."""
    for _ in range(3):
        outcome = loadgen.run(plan(generator="loadgen", **changes), Varied(), quiet)
        if all(ours == pytest.approx(theirs, rel=CLOSE) for ours, theirs in both(outcome)):
            break
    return outcome


def both(outcome):
    ours = summary.latency(outcome.trace)
    return [(getattr(ours, name).value, value) for name, value in outcome.report.percentiles.items()]


@pytest.fixture(scope="module")
def single():
    return run(queries=150, seconds=0.5)


@pytest.fixture(scope="module", params=[1, 3])
def multi(request):
    return run(scenario="multi-stream", streams=request.param, batch=2, queries=70)


@pytest.fixture(scope="module")
def server():
    return run(scenario="server", target_qps=80.0, streams=2, queries=120, latency_bound=500.0, seconds=0.5)


@pytest.fixture(scope="module", params=[1, 2])
def offline(request):
    return run(scenario="offline", batch=4, streams=request.param, queries=20, seconds=0.3)


def agree(outcome):
    assert list(outcome.report.percentiles) == ["p50", "p90", "p99"]
    for ours, theirs in both(outcome):
        assert ours == pytest.approx(theirs, rel=CLOSE)
    assert outcome.report.queries == len(outcome.trace.ended)


def test_single_stream_agrees_on_the_same_queries(single):
    agree(single)
    assert single.report.valid
    assert len(single.trace.ended) >= 150


def test_multi_stream_agrees_on_the_same_queries(multi):
    agree(multi)
    assert multi.trace.batch in (2, 6)
    assert multi.report.early == {"p99": None}
    assert not multi.report.early_met
    assert any("662" in reason for reason in multi.report.reasons)


def test_server_agrees_on_the_same_queries_counted_from_when_they_were_due(server):
    agree(server)
    gaps = np.diff(server.trace.issued)
    assert (gaps >= 0).all()
    assert gaps.std() / gaps.mean() > 0.6  # arrivals are LoadGen's Poisson process, not its clockwork
    assert (server.trace.ended - server.trace.issued >= server.trace.stages[:, 0]).all()


def test_offline_agrees_on_the_throughput(offline):
    assert offline.report.throughput == pytest.approx(summary.throughput(offline.trace).value, rel=CLOSE)
    assert len(offline.trace.ended) >= 20
    assert offline.report.percentiles == {}


def test_our_early_stopping_is_loadgens(single):
    """Given the same latencies ours would give the same value: LoadGen's lies where ours says, by rank and by value."""
    ordered = summary.latencies(single.trace)
    ours = early_stopping.estimate(ordered, 0.9)
    assert single.report.early["p90"] == pytest.approx(ours, rel=CLOSE)
    assert single.report.early["p99"] is None
    assert early_stopping.estimate(ordered, 0.99) is None


def test_stages_are_the_works(single):
    assert (single.trace.stages[:, 0] >= 4_000_000).all()
    assert (single.trace.stages[:, 0] <= single.trace.ended - single.trace.issued).all()


def test_every_sample_takes_part():
    work = Varied()
    loadgen.run(plan(generator="loadgen", queries=80), work, quiet)
    assert set(work.seen) == set(range(10))


def test_the_generator_of_the_plan_decides(monkeypatch):
    told = []
    trace = measure(
        plan(generator="loadgen", queries=30, seconds=0.6), Varied(), lambda seconds, queries: told.append(queries)
    )
    assert len(trace.ended) >= 30
    assert trace.ended[-1] >= 0.6e9
    assert 1 <= len(told) <= 4
    assert told == sorted(told)


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
    with pytest.raises(MissingDependencyError, match=r"edgekit\[loadgen\]"):
        measure(plan(generator="loadgen"), Work(), quiet)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch": 2}, "one sample a query"),
        ({"scenario": "server", "target_qps": 5.0, "batch": 2}, "one sample a query"),
        ({"streams": 2}, "one client, not 2"),
    ],
)
def test_what_loadgen_cannot_do_is_refused(changes, said):
    with pytest.raises(InputError, match=said):
        measure(plan(generator="loadgen", **changes), Work(), quiet)


FAILING = """
import sys, time
from bench_works import Work, plan, quiet
from edgekit.benchmarks.scenarios import loadgen
from edgekit.errors import ExecutionError

def seconds(number):
    if number == 12:
        raise ExecutionError("query thirteen")
    return 0.002

asked = plan(generator="loadgen", seconds=120.0, queries=10, **CHANGES)
loadgen._PILOT_SECONDS = 0.005
begin = time.monotonic()
try:
    loadgen.run(asked, Work(seconds), quiet)
except ExecutionError as error:
    print("raised", error)
try:
    loadgen.run(asked, Work(), quiet)
except ExecutionError as error:
    print("then", error)
sys.exit(7)
"""

OVERLOADED = """
from bench_works import Work, plan, quiet
from edgekit.benchmarks.scenarios import loadgen, server
from edgekit.errors import ExecutionError

server.LATEST = 0.2
try:
    asked = plan(generator="loadgen", scenario="server", target_qps=500.0, queries=5000)
    loadgen.run(asked, Work(lambda number: 0.02), quiet)
except ExecutionError as error:
    print("raised", error)
"""


def in_a_process(program, folder):
    script = folder / "program.py"
    script.write_text(program)
    environment = {"PYTHONPATH": HELPERS, "PATH": ""}
    return subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=90, env=environment)


def test_a_rate_far_above_what_the_system_can_do_ends_with_an_error(tmp_path):
    done = in_a_process(OVERLOADED, tmp_path)
    assert "raised the system cannot keep up with 500 queries a second" in done.stdout, done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scenario": "multi-stream", "streams": 2},
        {"scenario": "server", "target_qps": 200.0},
        {"scenario": "offline"},
        {"scenario": "offline", "streams": 2},
    ],
)
def test_an_error_of_a_query_comes_out_at_once_and_the_process_ends_in_order(changes, tmp_path):
    """LoadGen cannot be stopped; it is left, two minutes before its time, by a process that still ends as it should."""
    done = in_a_process(FAILING.replace("CHANGES", repr(changes)), tmp_path)
    assert "raised query thirteen" in done.stdout, done.stderr
    assert "then LoadGen is in use" in done.stdout
    assert done.returncode == 7
    assert "terminate" not in done.stderr
