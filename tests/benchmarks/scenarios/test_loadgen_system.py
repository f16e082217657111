"""How LoadGen's queries are answered, seen from the work: samples, parts, threads, records."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from bench_works import Work, plan, quiet
from edgekit.benchmarks.scenarios import loadgen
from edgekit.errors import EdgekitError

pytest.importorskip("mlperf_loadgen", reason="the extra loadgen has no wheel here")


def run(work, **changes):
    return loadgen.run(plan(generator="loadgen", **changes), work, quiet)


def measured(work, outcome):
    """The calls of the measured part: those of the pilot came before it."""
    begun = np.array(work.begun)
    return [call for call, when in zip(work.calls, begun, strict=True) if when >= outcome.trace.begin]


def alive():
    return [
        thread.name for thread in threading.enumerate() if thread.name.startswith(("edgekit-stream", "edgekit-load"))
    ]


def test_single_stream_is_one_sample_at_a_time():
    work = Work()
    outcome = run(work, queries=40)
    calls = measured(work, outcome)
    assert {len(call) for call in calls} == {1}
    assert len(calls) == len(outcome.trace.ended) == outcome.report.queries
    assert work.most_at_once == 1


@pytest.mark.parametrize(("streams", "batch"), [(1, 4), (3, 2)])
def test_a_multi_stream_query_has_a_batch_for_each_stream(streams, batch):
    work = Work(lambda number: 0.002)
    outcome = run(work, scenario="multi-stream", streams=streams, batch=batch, queries=15)
    calls = measured(work, outcome)
    assert {len(call) for call in calls} == {batch}
    assert len(calls) == streams * len(outcome.trace.ended)
    assert outcome.trace.batch == streams * batch
    assert work.most_at_once == streams


def test_a_multi_stream_query_ends_with_its_slowest_part():
    work = Work(lambda number: 0.02 if number % 2 else 0.0)
    outcome = run(work, scenario="multi-stream", streams=2, queries=10)
    assert ((outcome.trace.ended - outcome.trace.issued) >= 0.02e9).all()


@pytest.mark.parametrize("streams", [1, 2])
def test_offline_is_cut_into_batches_that_each_count_from_their_begin(streams):
    work = Work(lambda number: 0.002)
    outcome = run(work, scenario="offline", streams=streams, batch=5, queries=30)
    calls = measured(work, outcome)
    assert {len(call) for call in calls} == {5}
    assert len(calls) == len(outcome.trace.ended) >= 30
    # They were all there at the begin; what counts is how long one took.
    assert np.median(outcome.trace.ended - outcome.trace.issued) < outcome.trace.ended[-1] / 4
    assert work.most_at_once == streams


def test_server_queries_are_answered_by_as_many_threads():
    work = Work(lambda number: 0.01)
    outcome = run(work, scenario="server", target_qps=250.0, streams=4, queries=60)
    assert len(work.calls) == len(outcome.trace.ended) == 60  # there is no pilot
    assert 2 <= len(work.threads) <= 4
    assert threading.get_ident() not in work.threads


@pytest.mark.parametrize("changes", [{}, {"scenario": "multi-stream", "batch": 2}])
def test_the_least_length_is_kept(changes):
    outcome = run(Work(lambda number: 0.004), queries=5, seconds=0.4, **changes)
    assert outcome.trace.ended[-1] >= 0.4e9
    assert not any("expected latency" in reason for reason in outcome.report.reasons)


def test_offline_has_as_many_samples_as_the_least_length_needs_or_says_so():
    """LoadGen is given a number; if the work has become faster since the pilot, it finds the run too short itself."""
    outcome = run(Work(lambda number: 0.004), queries=5, seconds=0.4, scenario="offline", batch=2)
    long_enough = outcome.trace.ended[-1] >= 0.4e9
    assert long_enough or any("Increase expected QPS" in reason for reason in outcome.report.reasons)
    assert outcome.report.valid or not long_enough


def test_the_seed_chooses_samples():
    first, again, other = Work(samples=50), Work(samples=50), Work(samples=50)
    outcomes = [
        loadgen.run(plan(generator="loadgen", queries=40), work, quiet, seed=seed)
        for work, seed in ((first, 1), (again, 1), (other, 2))
    ]
    calls = [measured(work, outcome)[:40] for work, outcome in zip((first, again, other), outcomes, strict=True)]
    assert calls[0] == calls[1] != calls[2]


def test_no_thread_and_no_file_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for changes in ({}, {"scenario": "offline", "streams": 2}, {"scenario": "server", "target_qps": 500.0}):
        run(Work(), queries=10, **changes)
    assert list(tmp_path.iterdir()) == []
    assert alive() == []


def test_a_file_that_would_change_the_test_is_not_looked_at(tmp_path, monkeypatch):
    """LoadGen reads ``audit.config`` in the current folder by default."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "audit.config").write_text("*.SingleStream.min_query_count = 7000\n*.*.mode = 1\n")
    assert len(run(Work(), queries=20).trace.ended) < 7000


def test_an_error_before_loadgen_begins_leaves_it_usable():
    def broken(number: int) -> float:
        raise EdgekitError("in the pilot")

    with pytest.raises(EdgekitError, match="in the pilot"):
        run(Work(broken))
    assert len(run(Work(), queries=10).trace.ended) >= 10
