"""The measured part minute by minute."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_works import trace
from edgekit.benchmarks.results.energy_records import Series
from edgekit.benchmarks.statistics.intervals import minutes
from edgekit.errors import InputError


def rss(times, values):
    return Series("resident memory", "memory", "MiB", "process", tuple(times), tuple(values))


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 90_000), min_size=1, max_size=60))
def test_every_query_is_in_one_interval_and_they_cover_the_run(latencies):
    run = trace(latencies)
    found = minutes(run, None)
    assert sum(minute.queries for minute in found) == len(latencies)
    assert found[0].start == 0
    ends = [minute.start + minute.seconds for minute in found]
    assert ends[:-1] == pytest.approx([minute.start for minute in found[1:]])
    assert ends[-1] == pytest.approx((run.end - run.begin) / 1e9)
    assert all(minute.seconds > 0 for minute in found)


@pytest.mark.parametrize(
    ("seconds", "lengths"),
    [
        (6, [1] * 6),
        (60, [10] * 6),
        (64, [10] * 5 + [14]),
        (66, [10] * 6 + [6]),
        (600, [60] * 10),
        (620, [60] * 9 + [80]),
    ],
)
def test_how_long_intervals_are(seconds, lengths):
    found = minutes(trace([100] * (10 * seconds)), None)
    assert [minute.seconds for minute in found] == pytest.approx(lengths)
    assert [minute.queries for minute in found] == [10 * length for length in lengths]


def test_percentiles_are_those_of_the_queries_that_ended_in_the_interval():
    found = minutes(trace([100] * 100 + [200] * 100), None)  # 10 s, then 20 s; intervals of 5 s
    assert [minute.p50 for minute in found] == pytest.approx([100, 100, 200, 200, 200, 200])
    assert [minute.p99 for minute in found] == pytest.approx([100, 100, 200, 200, 200, 200])


def test_an_interval_in_which_no_query_ended_says_so():
    found = minutes(trace([100, 5800, 100]), None)
    assert [minute.queries for minute in found] == [1, 0, 0, 0, 0, 2]
    assert found[1].p50 == found[1].p99 == 0.0


def test_memory_is_the_last_sample_in_the_interval():
    found = minutes(trace([100] * 60), rss([-1, 0.5, 1.5, 3.2], [10, 20, 30, 40]))
    assert [minute.rss for minute in found] == [20, 30, 30, 40, 40, 40]


@pytest.mark.parametrize("series", [None, rss([], []), rss([99.0], [5.0])])
def test_memory_that_was_not_sampled_is_zero(series):
    assert {minute.rss for minute in minutes(trace([100] * 60), series)} == {0.0}


def test_no_query_is_refused():
    with pytest.raises(InputError, match="no query"):
        minutes(trace([]), None)


def test_a_day_has_a_minute_each():
    found = minutes(trace(np.full(86_400, 1000.0)), None)
    assert len(found) == 1440
    assert {minute.queries for minute in found} == {60}
