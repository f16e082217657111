"""Records of limits: what they add up, and that they pass through JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmarks.limits.records import NodeTime, Operation, PartTime, Peak, Peaks, Profile, Work
from edgekit.bundle.schema import dumps, loads
from edgekit.errors import BundleError

PEAKS = Peaks(2, {"fp32": Peak(180.5, 0.01, 9, "256x256x256", "ort")}, {}, {"fp16": "no kernel"}, None, False, "2026")
PROFILE = Profile(
    bundle="starter",
    variant="int8",
    runtime="onnxruntime 1.32.0",
    tower="image",
    threads=1,
    runs=20,
    batch=1,
    ms=10.0,
    overhead=1.0,
    parts=(PartTime("mlp", 1, 9.0, 0.9),),
    blocks=(),
    ops=(PartTime("MatMul", 1, 9.0, 0.9),),
    nodes=(NodeTime("n", "MatMul", "mlp", "layer.0", "cpu", 9.0, 0.9),),
)


@pytest.mark.parametrize("record", [PEAKS, PROFILE], ids=["peaks", "profile"])
def test_as_json_and_back(record: Any) -> None:
    assert loads(type(record), dumps(record), "here") == record


def test_a_part_that_is_none_is_refused() -> None:
    text = dumps(PROFILE).replace('"part": "mlp"', '"part": "elbow"')
    with pytest.raises(BundleError, match=r"nodes\[0\].part: expected one of"):
        loads(Profile, text, "here")


def test_an_unfinished_measurement_is_refused() -> None:
    with pytest.raises(BundleError, match="the field 'other_load' is missing"):
        loads(Peaks, dumps(PEAKS).replace('"other_load": null,', ""), "here")


@given(st.lists(st.tuples(st.sampled_from(["fp32", "u8s8", "nbits4"]), st.floats(0, 1e12)), max_size=9))
def test_kinds_add_up_and_the_most_comes_first(amounts: list[tuple[Any, float]]) -> None:
    work = Work(tuple(Operation("n", "MatMul", kind, flops) for kind, flops in amounts), 3.0, 4.0, 99.0, {})
    assert sum(work.kinds.values()) == pytest.approx(work.flops)
    assert list(work.kinds.values()) == sorted(work.kinds.values(), reverse=True)
    assert set(work.kinds) == {kind for kind, _ in amounts}
    assert work.least_bytes == 7.0  # what passes between nodes may stay in the caches
