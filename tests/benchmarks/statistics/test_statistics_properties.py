"""Properties that every run's figures have, whatever its times are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_works import trace
from edgekit.benchmarks.results.energy_records import Series
from edgekit.benchmarks.scenarios.protocol import Trace
from edgekit.benchmarks.statistics import summary
from edgekit.bundle.schema import dumps, loads

LATENCIES = st.lists(st.floats(0.01, 1e4), min_size=2, max_size=80)
GAPS = st.floats(0, 100)


@st.composite
def traces(draw):
    """Queries that overlap as those of several streams do."""
    count = draw(st.integers(2, 60))
    issued = np.sort(draw(st.lists(st.integers(0, 10**10), min_size=count, max_size=count)))
    took = np.array(draw(st.lists(st.integers(2, 10**9), min_size=count, max_size=count)))
    shares = np.array(draw(st.lists(st.floats(0, 1), min_size=count, max_size=count)))
    first = (took * shares).astype(np.int64)
    ended = issued + took
    begin = draw(st.integers(0, 10**15))
    return Trace(begin, begin + int(ended.max()), issued, ended, np.stack([first, took - first], axis=1), 1)


@settings(deadline=None, max_examples=40)
@given(traces(), st.randoms())
def test_the_order_of_queries_does_not_matter_to_their_distribution(run, random):
    order = list(range(len(run.issued)))
    random.shuffle(order)
    other = replace(run, issued=run.issued[order], ended=run.ended[order], stages=run.stages[order])
    assert summary.latency(run) == summary.latency(other)
    assert summary.throughput(run) == summary.throughput(other)
    assert summary.stages(run, ("a", "b")) == pytest.approx(summary.stages(other, ("a", "b")))


@settings(deadline=None, max_examples=40)
@given(traces())
def test_shares_of_all_stages_are_the_whole(run):
    found = summary.stages(run, ("a", "b"))
    assert found["a"].share + found["b"].share == pytest.approx(1)
    for stage in found.values():
        assert 0 <= stage.share <= 1
        assert stage.p50 <= stage.p90 <= stage.p99


@settings(deadline=None, max_examples=40)
@given(traces())
def test_minutes_hold_every_query_once(run):
    found = summary.minutes(run, None)
    assert sum(minute.queries for minute in found) == len(run.issued)
    assert sum(minute.seconds for minute in found) == pytest.approx((run.end - run.begin) / 1e9)
    latencies = summary.latencies(run)
    for minute in found:
        assert minute.p50 <= minute.p99 <= latencies[-1]


@settings(deadline=None, max_examples=40)
@given(LATENCIES, st.floats(0.5, 4))
def test_slower_work_is_slower_everywhere(latencies, factor):
    one, other = summary.latency(trace(latencies)), summary.latency(trace([factor * value for value in latencies]))
    for name in ("p50", "p90", "p99"):
        first, second = getattr(one, name), getattr(other, name)
        assert second.value == pytest.approx(factor * first.value, rel=1e-4, abs=1e-5)
        assert second.high == pytest.approx(factor * first.high, rel=1e-4, abs=1e-5)
    assert other.mean == pytest.approx(factor * one.mean, rel=1e-4, abs=1e-5)


@settings(deadline=None, max_examples=40)
@given(LATENCIES, st.integers(1, 64))
def test_a_larger_batch_gives_more_samples_and_the_same_latency(latencies, batch):
    one, other = trace(latencies), trace(latencies, batch=batch)
    assert summary.throughput(other).value == pytest.approx(batch * summary.throughput(one).value)
    assert summary.latency(other) == summary.latency(one)


@settings(deadline=None, max_examples=40)
@given(LATENCIES)
def test_the_same_run_gives_the_same_figures(latencies):
    run = trace(latencies)
    assert summary.throughput(run) == summary.throughput(run)
    assert summary.drift(run, None) == summary.drift(run, None)


@settings(deadline=None, max_examples=40)
@given(LATENCIES)
def test_early_stopping_lies_above_its_percentile(latencies):
    found = summary.latency(trace(latencies * 40))
    for name, early in found.early.items():
        assert early is None or early >= getattr(found, name).value


@settings(deadline=None, max_examples=40)
@given(traces())
def test_every_record_survives_its_file(run):
    rss = Series("resident memory", "memory", "MiB", "process", (0.0, 1.0), (10.0, 11.0))
    records = [
        summary.latency(run),
        summary.throughput(run),
        summary.drift(run, rss),
        *summary.minutes(run, rss),
        *summary.stages(run, ("a", "b")).values(),
    ]
    for record in records:
        assert loads(type(record), dumps(record), "record") == record


@settings(deadline=None, max_examples=40)
@given(st.lists(GAPS, min_size=3, max_size=40))
def test_waiting_between_queries_is_in_the_throughput_and_not_in_the_latency(gaps):
    run = trace([5.0] * len(gaps), gaps)
    assert summary.latency(run).greatest == pytest.approx(5)
    assert summary.throughput(run).value == pytest.approx(1000 * len(gaps) / (5 * len(gaps) + sum(gaps)), rel=1e-3)
