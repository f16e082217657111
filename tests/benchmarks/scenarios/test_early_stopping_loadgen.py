"""Our early stopping against LoadGen's own, query for query: it says how many it discards, and that is exact."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bench_works import Work, plan, quiet
from edgekit.benchmarks.scenarios import loadgen
from edgekit.benchmarks.scenarios.loadgen_log import parse
from edgekit.benchmarks.statistics import early_stopping

pytest.importorskip("mlperf_loadgen", reason="the extra loadgen has no wheel here")


@pytest.fixture
def logged(monkeypatch):
    """The values of the last run's log."""
    kept = {}

    def keep(text):
        kept.clear()
        kept.update(parse(text))
        return kept

    monkeypatch.setattr(loadgen, "parse", keep)
    return kept


def rank(value, n):
    """How many values lie above the estimate, the estimate itself included."""
    return None if value is None else n - int(value)


@pytest.mark.parametrize("queries", [64, 65, 100, 150, 400, 661, 662, 1000, 3000])
def test_single_stream_discards_as_many(queries, logged):
    loadgen.run(plan(generator="loadgen", queries=queries), Work(), quiet)
    text, n = logged["early_stopping_result"][-1], logged["result_query_count"][-1]
    assert n >= queries
    discarded = int(re.search(r"discard (\d+) highest", text).group(1))
    assert rank(early_stopping.estimate(np.arange(float(n)), 0.9), n) == discarded + 1
    assert int(re.search(r"at least (\d+) queries \(", text).group(1)) == early_stopping.needed(0.9)
    has_p99 = "Not enough queries processed for 99.0th" not in text
    assert has_p99 == (early_stopping.estimate(np.arange(float(n)), 0.99) is not None) == (n >= 662)


@pytest.mark.parametrize("queries", [700, 2000, 4000])
def test_multi_stream_discards_as_many(queries, logged):
    loadgen.run(plan(generator="loadgen", scenario="multi-stream", batch=2, queries=queries), Work(), quiet)
    text, n = logged["early_stopping_result"][-1], logged["result_query_count"][-1]
    discarded = int(re.search(r"discard (\d+) highest", text).group(1))
    assert rank(early_stopping.estimate(np.arange(float(n)), 0.99), n) == discarded + 1
    assert int(re.search(r"at least (\d+) queries \(", text).group(1)) == early_stopping.needed(0.99)


@pytest.mark.parametrize(("scenario", "needed"), [("single-stream", 64), ("multi-stream", 662)])
def test_too_few_queries_are_too_few_for_both(scenario, needed, logged):
    outcome = loadgen.run(plan(generator="loadgen", scenario=scenario, queries=20), Work(), quiet)
    n = logged["result_query_count"][-1]
    if n < needed:  # LoadGen may send some more than it must
        assert f"at least {needed} queries" in " ".join(outcome.report.reasons)
        assert not outcome.report.early_met


@pytest.mark.parametrize("queries", [300, 1500])
def test_server_passes_or_fails_with_us(queries, logged):
    asked = plan(
        generator="loadgen", scenario="server", queries=queries, target_qps=3000.0, latency_bound=2.0, streams=2
    )
    outcome = loadgen.run(asked, Work(), quiet)
    over, n = logged["result_overlatency_query_count"][-1], logged["result_query_count"][-1]
    assert outcome.report.early_met == early_stopping.passes(n, over, 0.99)
