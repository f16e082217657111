"""LoadGen's logs: what it writes is read, what it does not write is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench_works import trace
from edgekit.benchmarks.scenarios.loadgen import counted_from_due
from edgekit.benchmarks.scenarios.loadgen_log import due_times, parse, report
from edgekit.errors import ExecutionError

VALUES = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
LOG = {
    "loadgen_version": "6.0.17 @ d6147c7eb7",
    "result_validity": "VALID",
    "early_stopping_met": True,
    "early_stopping_result": " * Processed at least 64 queries (260).  * Would discard 13 highest latency queries.",
    "result_query_count": 260,
    "result_qps_with_loadgen_overhead": 863.112,
    "early_stopping_latency_ss": 1_154_066,
    "early_stopping_latency_ms": 0,
    "result_50.00_percentile_latency_ns": 1_134_629,
    "result_90.00_percentile_latency_ns": 1_144_625,
    "result_99.00_percentile_latency_ns": 1_556_611,
    "num_errors": 0,
}


def lines(entries):
    return "\n".join(f":::MLLOG {json.dumps({'key': key, 'value': value, 'time_ms': 1.5})}" for key, value in entries)


@given(st.lists(st.tuples(st.text(), VALUES)))
def test_every_entry_is_kept_in_its_order(entries):
    wanted: dict[str, list[object]] = {}
    for key, value in entries:
        wanted.setdefault(key, []).append(value)
    assert parse(lines(entries)) == wanted


@given(st.text())
def test_any_text_is_read_or_refused_with_its_line(text):
    assert parse(text.replace(":::MLLOG", "")) == {}
    try:
        parse(f":::MLLOG {text}")
    except ExecutionError as error:
        assert "line 1" in str(error)


@pytest.mark.parametrize("bad", ["{", "[1]", '"x"', '{"key": "a"}', '{"value": 1}', '{"key": [], "value": 1}'])
def test_a_marked_line_that_is_no_entry_is_refused(bad):
    with pytest.raises(ExecutionError, match="line 2: is no entry"):
        parse(f"chatter\n:::MLLOG {bad}\n")


def test_the_result_of_single_stream():
    found = report(parse(lines(LOG.items())), "single-stream")
    assert found.percentiles == {"p50": 1.134629, "p90": 1.144625, "p99": 1.556611}
    assert found.early == {"p90": 1.154066, "p99": None}
    assert (found.valid, found.reasons, found.queries, found.early_met) == (True, (), 260, True)
    assert (found.throughput, found.errors) == (863.112, 0)
    assert found.version.startswith("6.0.17")


def test_reasons_are_told_once_and_early_stopping_names_its_own():
    log = {**LOG, "result_validity": "INVALID", "early_stopping_met": False, "early_stopping_result": " * Only 3."}
    entries = [*log.items(), ("result_invalid_reason", ""), *[("result_invalid_reason", "Decrease\n it.")] * 2]
    found = report(parse(lines(entries)), "single-stream")
    assert not found.valid
    assert found.reasons == ("Decrease it.", "Only 3.")


@pytest.mark.parametrize("key", [key for key in LOG if key != "early_stopping_result"])
def test_a_log_without_its_result_is_refused_by_the_key(key):
    with pytest.raises(ExecutionError, match=f"has no {key}"):
        report(parse(lines((k, v) for k, v in LOG.items() if k != key)), "single-stream")


@pytest.mark.parametrize("value", ["many", None, True])
def test_a_number_that_is_none_is_refused(value):
    with pytest.raises(ExecutionError, match=r"result_query_count is .* not a number"):
        report(parse(lines({**LOG, "result_query_count": value}.items())), "single-stream")


def sample(number, ts, late):
    args = {"sample_seq": number, "query_seq": number, "sample_idx": 4, "issue_start_ns": late, "complete_ns": 9}
    entry = {"name": "Sample", "cat": "default", "ph": "b", "pid": 1, "id": number, "ts": ts, "args": args}
    return json.dumps(entry, separators=(",", ":")) + ",\n"


@given(st.dictionaries(st.integers(0, 10**9), st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 10**9))))
def test_the_trace_tells_when_queries_were_due(wanted):
    text = ['{"traceEvents":[\n', '{"name":"IssueQuery","ts":1},\n']
    for number, (due, late) in wanted.items():
        text += [sample(number, due / 1000, late), '{"name":"Sample","cat":"default", "ph":"e", "ts":7},\n']
    found = due_times(text)
    assert found.keys() == wanted.keys()
    for number, (due, late) in wanted.items():
        assert found[number] == (pytest.approx(due, abs=1), late)


@pytest.mark.parametrize(
    "line", ['{"name":"Sample"', '{"name":"Sample","ph":"b"}', '{"name":"Sample","ph":"b","args":3}']
)
def test_a_sample_that_cannot_be_read_is_refused(line):
    with pytest.raises(ExecutionError, match="line 1: is no sample"):
        due_times([line])


def test_latencies_are_moved_to_when_queries_were_due():
    """Queries of 2 ms, due at 0, 10 and 20 ms on a clock of its own, handed over 1, 3 and 1 ms late."""
    answered = trace([2, 2, 2], gaps=[0, 10, 6], begin=5_000_000)
    late = np.array([1, 3, 1]) * 1_000_000
    theirs = answered.issued + 77_000_000 - late
    theirs[1] -= 40_000  # and this one took 40 µs from LoadGen's clock to ours
    due = {number: (int(theirs[number]), int(late[number])) for number in range(3)}
    moved = counted_from_due(answered, due)
    assert moved.issued[0] == 0
    assert (moved.ended - moved.issued).tolist() == [3_000_000, 5_040_000, 3_000_000]
    assert moved.begin == answered.begin - 1_000_000
    assert moved.begin + moved.ended[-1] == answered.begin + answered.ended[-1] == moved.end


@pytest.mark.parametrize("due", [{}, {0: (0, 0)}, {0: (0, 0), 2: (1, 1)}])
def test_a_trace_of_other_queries_is_refused(due):
    with pytest.raises(ExecutionError, match="trace has"):
        counted_from_due(trace([1, 1]), due)
