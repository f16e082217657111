"""What LoadGen says of a run: the ``:::MLLOG`` lines of its detail log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MARK = ":::MLLOG "
_SAMPLE = '{"name":"Sample"'
_PERCENTILES = {"p50": "50.00", "p90": "90.00", "p99": "99.00"}
# By scenario: the key of the early-stopping estimate of each percentile. LoadGen names them by the scenario that they
# are for: single-stream is judged by p90, multi-stream by p99.
_EARLY: Mapping[str, Mapping[str, str]] = {
    "single-stream": {"p90": "early_stopping_latency_ss", "p99": "early_stopping_latency_ms"},
    "multi-stream": {"p99": "early_stopping_latency_ms"},
}
_RATES = {
    "single-stream": "result_qps_with_loadgen_overhead",
    "server": "result_completed_samples_per_sec",
    "offline": "result_samples_per_second",
}


@dataclass(frozen=True)
class Report:
    """LoadGen's own result.

    Attributes:
        version: of LoadGen.
        valid: its verdict.
        reasons: why not, in its words; empty when valid.
        queries: that it sent; 1 for offline, which holds all samples.
        percentiles: milliseconds by ``p50``, ``p90``, ``p99``; of queries (multi-stream: of whole ones); empty for
            offline, whose latencies count from the begin of the run.
        early: milliseconds by percentile that its early stopping estimates; None where there were too few queries;
            empty where it makes none.
        early_met: whether early stopping was satisfied.
        throughput: samples a second; None for multi-stream, which has none.
        errors: that it logged.
    """

    version: str
    valid: bool
    reasons: tuple[str, ...]
    queries: int
    percentiles: dict[str, float]
    early: dict[str, float | None]
    early_met: bool
    throughput: float | None
    errors: int


def parse(text: str) -> dict[str, list[object]]:
    """Read the lines of a detail log.

    Args:
        text: of ``mlperf_log_detail.txt``; lines without the mark are passed over.

    Returns:
        The values of each key, in the order of the log.

    Raises:
        ExecutionError: a marked line is not JSON with a key and a value; the message has its number.
    """
    found: dict[str, list[object]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.startswith(_MARK):
            continue
        try:
            entry = json.loads(line[len(_MARK) :])
            found.setdefault(entry["key"], []).append(entry["value"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ExecutionError(
                f"mlperf_log_detail.txt: line {number}: is no entry of LoadGen's log: {error}"
            ) from error
    return found


def report(values: Mapping[str, Sequence[object]], scenario: str) -> Report:
    """Pick a run's result out of its log.

    Args:
        values: as `parse` gives them.
        scenario: MLPerf's name, such as ``single-stream``.

    Returns:
        The result.

    Raises:
        ExecutionError: the log ends before the result, or has a value of another type.
    """
    per_query = "_per_query" if scenario == "multi-stream" else ""
    percentiles = {}
    if scenario != "offline":
        for name, shown in _PERCENTILES.items():
            percentiles[name] = _number(values, f"result_{shown}_percentile{per_query}_latency_ns") / 1e6
    rate = _RATES.get(scenario)
    return Report(
        version=str(_last(values, "loadgen_version")),
        valid=_last(values, "result_validity") == "VALID",
        reasons=_reasons(values),
        queries=int(_number(values, "result_query_count")),
        percentiles=percentiles,
        early={name: _number(values, key) / 1e6 or None for name, key in _EARLY.get(scenario, {}).items()},
        early_met=_last(values, "early_stopping_met") is True,
        throughput=_number(values, rate) if rate is not None else None,
        errors=int(_number(values, "num_errors")),
    )


def _reasons(values: Mapping[str, Sequence[object]]) -> tuple[str, ...]:
    """Return why the run is not valid; LoadGen leaves the reason empty where early stopping is to blame."""
    given = list(values.get("result_invalid_reason", ()))
    if _last(values, "early_stopping_met") is not True:
        given += values.get("early_stopping_result", ())
    return tuple(dict.fromkeys(found for reason in given if (found := " ".join(str(reason).replace("*", "").split()))))


def due_times(lines: Iterable[str]) -> dict[int, tuple[int, int]]:
    """Read from LoadGen's trace when each query of the server scenario was due.

    Args:
        lines: of ``mlperf_log_trace.json``.

    Returns:
        By number of the query: when it was due, in nanoseconds since the trace began, and by how many nanoseconds
        later it was issued.

    Raises:
        ExecutionError: a sample's line is not what LoadGen writes; the message has its number.
    """
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.startswith(_SAMPLE):
            continue
        try:
            entry = json.loads(line.rstrip().rstrip(","))
            if entry["ph"] == "b":
                late = int(entry["args"]["issue_start_ns"])
                found[int(entry["args"]["query_seq"])] = round(1000 * entry["ts"]), late
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ExecutionError(f"mlperf_log_trace.json: line {number}: is no sample of the trace: {error}") from error
    return found


def _last(values: Mapping[str, Sequence[object]], key: str) -> object:
    if not values.get(key):
        raise ExecutionError(f"mlperf_log_detail.txt: has no {key}; LoadGen did not finish the run")
    return values[key][-1]


def _number(values: Mapping[str, Sequence[object]], key: str) -> float:
    value = _last(values, key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExecutionError(f"mlperf_log_detail.txt: {key} is {value!r}, not a number")
    return float(value)
