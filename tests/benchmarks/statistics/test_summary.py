"""From a trace to the records of a result."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_works import trace
from edgekit.benchmarks.statistics import summary
from edgekit.bundle.schema import dumps
from edgekit.errors import InputError


def test_a_run_is_described_in_milliseconds():
    found = summary.latency(trace(range(1, 1001)))
    assert (found.n, found.least, found.greatest, found.mean) == (1000, 1.0, 1000.0, 500.5)
    assert (found.p50.value, found.p90.value, found.p99.value) == (501.0, 901.0, 991.0)
    assert found.p50.low < 501 < found.p50.high
    assert found.p99.high > 991
    assert found.early["p90"] > 901
    assert found.early["p99"] > 991
    assert sum(count for _, count in found.histogram) == 1000


def test_latency_counts_from_the_arrival_and_not_from_the_end_before():
    assert summary.latency(trace([10] * 5, gaps=[100] * 5)).greatest == 10.0


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 1e5), min_size=1, max_size=100))
def test_every_run_can_be_written_as_json(latencies):
    found = summary.latency(trace(latencies))
    assert found.least <= found.p50.low <= found.p50.value <= found.p90.value <= found.p99.value <= found.greatest
    assert "NaN" not in dumps(found)


def test_too_few_queries_have_no_early_stopping_estimate():
    assert summary.latency(trace([1] * 63)).early == {"p90": None, "p99": None}
    found = summary.latency(trace([1] * 661)).early
    assert found["p90"] == 1.0
    assert found["p99"] is None
    assert summary.latency(trace([1] * 662)).early["p99"] == 1.0


def test_stages_are_described_with_their_share():
    run = trace([10] * 100, stages=1)
    parts = np.tile(np.array([[2_000_000, 7_000_000]]), (100, 1))
    parts[50:] += 1
    found = summary.stages(type(run)(run.begin, run.end, run.issued, run.ended, parts, 1), ("decode", "inference"))
    assert list(found) == ["decode", "inference"]
    assert found["decode"].p50 == pytest.approx(2)
    assert found["inference"].p99 == pytest.approx(7)
    assert found["decode"].share == pytest.approx(0.2)
    assert found["inference"].share == pytest.approx(0.7)


def test_latencies_are_ascending_milliseconds():
    assert summary.latencies(trace([3, 1, 2])).tolist() == [1.0, 2.0, 3.0]


def test_no_query_is_refused():
    with pytest.raises(InputError, match="no query"):
        summary.latency(trace([]))


@pytest.mark.parametrize(("latencies", "names"), [([], ("a",)), ([1.0], ("a", "b"))])
def test_parts_that_are_not_there_are_refused(latencies, names):
    with pytest.raises(InputError, match="parts"):
        summary.stages(trace(latencies), names)
