"""Records of side-by-side runs: as JSON and back, and nothing that does not belong there."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import bench_extras
from edgekit.benchmarks.results.records import Estimate
from edgekit.benchmarks.versus.records import (
    SCHEMA_VERSION,
    Agreement,
    Comparison,
    Matrix,
    Opened,
    Row,
    Side,
    Versus,
)
from edgekit.bundle.schema import dumps, loads
from edgekit.errors import BundleError

OPENED = Opened("m 1, int8", "ab", "space", "int8", "int8", "onnxruntime 1.32.0", "cpu", 0, 12.5)
SIDE = Side("ours", "edgekit", OPENED, 4, 9.5, Estimate(5.0, 4.9, 5.2, 8), (5.0, 4.9), 101.5)
PEER = Side("theirs", "open-clip", replace(OPENED, space=""), None, 9.5, Estimate(15.0, 14.0, 16.0, 8), (15.0,), None)
FOUND = replace(
    bench_extras.versus(reasons=("other load: much",)),
    subject=SIDE,
    others=(PEER,),
    comparisons=(Comparison("theirs", Estimate(3.0, 2.9, 3.1, 8), Agreement(None, None, 5, "another space")),),
)
ROW = Row("int8", "int8", "litert 2", "cpu", 5, 0.9, 0.99, 1.0, 2.0, 3.0, 4.0, None, "VALID", (), True, "id")
TABLE = Matrix(SCHEMA_VERSION, "2026-01-31T12:00:00Z", "starter", "ab", "photo", "samples", (ROW,))


@pytest.mark.parametrize("record", [FOUND, TABLE], ids=["versus", "matrix"])
def test_as_json_and_back(record: Any) -> None:
    assert loads(type(record), dumps(record), "here") == record


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("verdict",), "PERHAPS", "verdict: expected one of 'VALID', 'INVALID'"),
        (("ended",), "tired", "ended: expected one of 'narrow', 'time'"),
        (("subject", "kind"), "ours", "subject.kind: expected one of"),
        (("subject", "running"), "many", "subject.running"),
        (("comparisons", 0, "ratio", "value"), "fast", r"comparisons\[0\].ratio.value"),
        (("pipeline",), "sound", "pipeline: expected one of"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_does_not_belong_there_is_refused(path: tuple[Any, ...], value: Any, message: str) -> None:
    plain = json.loads(dumps(FOUND))
    target = plain
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    with pytest.raises(BundleError, match=message):
        loads(Versus, json.dumps(plain), "here")


def test_an_unknown_field_is_refused() -> None:
    plain = {**json.loads(dumps(TABLE)), "score": 1}
    with pytest.raises(BundleError, match="unknown field 'score'"):
        loads(Matrix, json.dumps(plain), "here")
