"""A tower whose graph is not what the manifest says never gets to compute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.bundle.manifest import Agreement, TensorSpec, Tolerance, TowerRecord
from edgekit.errors import ExecutionError
from edgekit.runtimes.protocol import Placement, TensorInfo
from edgekit.tower import DeviceTower

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD = TowerRecord(
    "t.onnx",
    (),
    TensorSpec("token_ids", "int32", ("N", "L")),
    TensorSpec("embedding", "float32", ("N", 4)),
    Agreement(1, 0, 1, 1, 1, 1),
    Tolerance(0.9, 0.9),
)
IDS = TensorInfo("token_ids", "int32", (None, None))
OUT = TensorInfo("embedding", "float32", (None, 4))


@dataclass
class FakeSession:
    inputs: tuple[TensorInfo, ...] = (IDS,)
    outputs: tuple[TensorInfo, ...] = (OUT,)
    value: float = 0.5
    dimension: int = 4
    closed: bool = False
    seen: list[Any] = field(default_factory=list)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        (batch,) = inputs.values()
        self.seen.append(batch)
        return {"embedding": np.full((len(batch), self.dimension), self.value, np.float32) + batch[:, :1]}

    def placement(self) -> Placement:
        return Placement(())

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("session", "told"),
    [
        (
            FakeSession(inputs=(TensorInfo("ids", "int32", (None, None)),)),
            "inputs are ids, the manifest says token_ids",
        ),
        (FakeSession(inputs=(IDS, TensorInfo("mask", "int32", (None, None)))), "inputs are token_ids, mask"),
        (FakeSession(inputs=()), "inputs are , the manifest"),
        (FakeSession(inputs=(TensorInfo("token_ids", "int64", (None, None)),)), "token_ids is int64"),
        (FakeSession(inputs=(TensorInfo("token_ids", "int32", ()),)), "another number of dimensions"),
        (
            FakeSession(outputs=(TensorInfo("out", "float32", (None, 4)),)),
            "outputs are out, the manifest says embedding",
        ),
        (FakeSession(outputs=(TensorInfo("embedding", "float16", (None, 4)),)), "embedding is float16"),
    ],
)
def test_a_graph_that_differs_is_refused_and_closed(session: FakeSession, told: str) -> None:
    with pytest.raises(ExecutionError, match=f"b.edge: t.onnx: .*{told}"):
        DeviceTower(session, RECORD, "b.edge: t.onnx")
    assert session.closed


def test_further_outputs_do_no_harm() -> None:
    extra = FakeSession(outputs=(TensorInfo("hidden", "float32", (None, 9)), OUT))
    assert DeviceTower(extra, RECORD, "t").embed(np.zeros((1, 3), np.int32)).shape == (1, 4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_never_returned(value: float) -> None:
    tower = DeviceTower(FakeSession(value=value), RECORD, "t")
    with pytest.raises(ExecutionError, match="t: the embedding holds NaN or infinity; run 'edgekit verify'"):
        tower.embed(np.zeros((1, 3), np.int32))


def test_another_dimension_is_never_returned() -> None:
    tower = DeviceTower(FakeSession(dimension=5), RECORD, "t")
    with pytest.raises(ExecutionError, match=r"shape \(2, 5\), the manifest says \(2, 4\)"):
        tower.embed(np.zeros((2, 3), np.int32))


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (16, [16]), (17, [16, 1]), (40, [16, 16, 8])])
def test_a_free_batch_is_cut_into_parts(count: int, sizes: list[int]) -> None:
    session = FakeSession()
    rows = DeviceTower(session, RECORD, "t").embed(np.arange(count, dtype=np.int32).reshape(-1, 1))
    assert [len(batch) for batch in session.seen] == sizes
    np.testing.assert_array_equal(rows[:, 0], np.arange(count) + 0.5)


@pytest.mark.parametrize(("count", "runs"), [(0, 0), (1, 1), (3, 1), (4, 2), (7, 3)])
def test_a_fixed_batch_is_filled_with_repeats(count: int, runs: int) -> None:
    session = FakeSession(inputs=(TensorInfo("token_ids", "int32", (3, None)),))
    rows = DeviceTower(session, RECORD, "t").embed(np.arange(count, dtype=np.int32).reshape(-1, 1))
    assert [len(batch) for batch in session.seen] == [3] * runs
    np.testing.assert_array_equal(rows[:, 0], np.arange(count) + 0.5)
