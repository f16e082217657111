from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.converters.distill.training.metrics_log import MetricsLog, read_metrics


def written(path, steps):
    log = MetricsLog(path, 0, writes=True)
    for step in steps:
        log.add({"step": step, "losses": {"feature": 0.5}})
    log.sync()
    return log


def test_lines_are_appended(tmp_path):
    path = tmp_path / "metrics.jsonl"
    written(path, [1, 2, 2, 3])
    assert [line["step"] for line in read_metrics(path)] == [1, 2, 2, 3]
    assert json.loads(path.read_text().splitlines()[0])["losses"] == {"feature": 0.5}


def test_a_new_training_begins_a_new_file(tmp_path):
    written(tmp_path / "metrics.jsonl", [1, 2])
    MetricsLog(tmp_path / "metrics.jsonl", 0, writes=True)
    assert read_metrics(tmp_path / "metrics.jsonl") == []


@given(cut=st.integers(0, 400), step=st.integers(1, 12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_going_on_leaves_no_half_and_no_double_line(tmp_path, cut, step):
    path = tmp_path / "metrics.jsonl"
    written(path, range(1, 10))
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    log = MetricsLog(path, step, writes=True)
    kept = [line["step"] for line in read_metrics(path)]
    assert kept == [number for number in range(1, whole[:cut].count(b"\n") + 1) if number <= step]
    log.add({"step": step + 1})
    assert [line["step"] for line in read_metrics(path)] == [*kept, step + 1]


def test_other_processes_leave_the_file_alone(tmp_path):
    path = tmp_path / "metrics.jsonl"
    written(path, [1, 2])
    log = MetricsLog(path, 1, writes=False)
    log.add({"step": 2})
    log.sync()
    assert len(read_metrics(path)) == 2


def test_not_a_number_is_no_line(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", 0, writes=True)
    with pytest.raises(ValueError, match="JSON compliant"):
        log.add({"step": 1, "losses": {"feature": float("nan")}})
