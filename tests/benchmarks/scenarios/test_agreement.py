"""The command that holds the own loop against LoadGen, and the clock outside; figures are for a quiet machine."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from bench_works import Work, plan
from edgekit.benchmarks.scenarios import agreement as module
from edgekit.benchmarks.scenarios.agreement import agreement, interleave
from edgekit.benchmarks.scenarios.outside_timer import Outside, compare
from edgekit.errors import ExecutionError

pytest.importorskip("mlperf_loadgen", reason="the extra loadgen has no wheel here")


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ["p50", "p90", "p99", "throughput"]),
        ({"scenario": "multi-stream", "streams": 2}, ["p50", "p90", "p99"]),
        ({"scenario": "server", "target_qps": 200.0}, ["p50", "p90", "p99"]),
        ({"scenario": "offline", "batch": 2}, ["throughput"]),
    ],
)
def test_both_do_the_same_work_in_turns(changes, names):
    work = Work(lambda number: 0.002)
    rows = interleave(plan(queries=30, **changes), work, 2)
    assert [row.name for row in rows] == names
    for row in rows:
        assert row.ratio.n == 2
        assert row.own > 0
        if row.name in ("p50", "throughput"):  # of few queries, p99 is one: a busy machine can part its two clocks
            assert row.same_queries == pytest.approx(row.loadgen, rel=0.05)
        assert row.agrees == (abs(row.ratio.median - 1) <= 0.02)
    assert len(work.calls) >= 4 * 30


def test_the_turns_change_from_round_to_round(monkeypatch):
    order = []
    own, theirs = module.measure, module.loadgen.run
    monkeypatch.setattr(module, "measure", lambda *a, **k: order.append("own") or own(*a, **k))
    monkeypatch.setattr(module.loadgen, "run", lambda *a, **k: order.append("loadgen") or theirs(*a, **k))
    interleave(plan(queries=5), Work(lambda number: 0.001), 3)
    assert order == ["loadgen", "own", "own", "loadgen", "loadgen", "own"]


def test_the_command_prints_both_and_the_difference(tiny_bundle):
    arguments = [str(tiny_bundle), "--seconds", "0.2", "--rounds", "2", "--queries", "20", "--no-outside"]
    done = CliRunner().invoke(agreement, arguments, catch_exceptions=False)
    assert done.exit_code in (0, 1)
    for word in ("single-stream", "own loop", "LoadGen", "p50", "p90", "p99", "throughput"):
        assert word in done.output
    assert done.exit_code == int("differs" in done.output)


def test_the_command_prints_json(tiny_bundle):
    arguments = [
        str(tiny_bundle),
        "--pipeline",
        "text",
        "--seconds",
        "0.1",
        "--rounds",
        "1",
        "--queries",
        "10",
        "--json",
    ]
    done = CliRunner().invoke(agreement, [*arguments, "--threads", "1"], catch_exceptions=False)
    found = json.loads(done.output)
    assert {row["name"] for row in found["rows"]} == {"p50", "p90", "p99", "throughput"}
    # The outside clock sees the whole part; a line through a pipe and the loop are all that it can see more.
    assert found["outside"]["queries"] >= 1
    assert found["outside"]["outside"] > 0.5 * found["outside"]["inside"] > 0


def test_the_difference_is_a_share_of_the_outside_time():
    assert Outside(10, 9.9, 10.0).difference == pytest.approx(0.01)


def test_a_child_that_fails_tells_why(tmp_path):
    with pytest.raises(ExecutionError, match=r"ended with 1: .*missing\.edge"):
        compare(str(tmp_path / "missing.edge"), "image", 0.1)
