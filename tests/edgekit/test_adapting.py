"""Towers that take or return something else than the contract give what a contract tower gives."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.adapting import PROJECTION, contract_shape, input_adapter, unit_rows
from edgekit.bundle.manifest import Agreement, ImageSpec, TensorSpec, Tolerance, TowerRecord
from edgekit.errors import ExecutionError
from edgekit.runtimes.protocol import Placement, TensorInfo
from edgekit.tower import DeviceTower

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGE = ImageSpec(2, 4, "squash", 0, "bicubic", (0, 0, 0), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 2, 4, 3), dtype=np.uint8)
SCALED = (PIXELS / 255 - np.array(IMAGE.mean)) / np.array(IMAGE.std)


def test_the_contract_needs_nothing() -> None:
    assert input_adapter(TensorSpec("pixels", "uint8", ("N", 2, 4, 3)), IMAGE) is None
    assert input_adapter(TensorSpec("token_ids", "int32", (1, 7)), None) is None


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("first", [False, True])
def test_floats_are_scaled(dtype: str, first: bool) -> None:
    shape = (1, 3, 2, 4) if first else (1, 2, 4, 3)
    adapt = input_adapter(TensorSpec("pixels", dtype, shape), IMAGE)
    assert adapt is not None
    found = adapt(PIXELS)
    wanted = SCALED.transpose(0, 3, 1, 2) if first else SCALED
    assert found.dtype == dtype
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, wanted, rtol=2e-3 if dtype == "float16" else 1e-5, atol=1e-3)


def test_bytes_with_channels_first_are_only_moved() -> None:
    adapt = input_adapter(TensorSpec("pixels", "uint8", (1, 3, 2, 4)), IMAGE)
    assert adapt is not None
    np.testing.assert_array_equal(adapt(PIXELS), PIXELS.transpose(0, 3, 1, 2))


def test_an_image_of_three_columns_is_not_taken_for_channels_first() -> None:
    assert input_adapter(TensorSpec("pixels", "uint8", (1, 3, 3, 3)), IMAGE) is None
    assert contract_shape(TensorSpec("pixels", "uint8", (1, 3, 3, 3))) == (1, 3, 3, 3)
    assert contract_shape(TensorSpec("pixels", "uint8", (1, 3, 8, 9))) == (1, 8, 9, 3)
    assert contract_shape(TensorSpec("token_ids", "int32", (1, 7))) == (1, 7)


def test_ids_change_their_type() -> None:
    adapt = input_adapter(TensorSpec("token_ids", "int64", (1, 3)), None)
    assert adapt is not None
    found = adapt(np.array([[1, 2, 3]], np.int32))
    assert found.dtype == np.int64
    assert found.tolist() == [[1, 2, 3]]


@settings(max_examples=40, deadline=None)
@given(st.integers(-30, 30), st.integers(0, 1000))
def test_unit_rows_have_length_one_at_any_scale(exponent: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(3, 5)) * 10.0**exponent
    found = unit_rows(rows.astype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found, rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-5)


def test_zeros_stay_and_what_is_not_finite_is_seen() -> None:
    found = unit_rows(np.array([[0, 0], [3, 4], [np.nan, 1], [np.inf, 1]], np.float32))
    assert found[0].tolist() == [0, 0]
    assert found[1] == pytest.approx([0.6, 0.8])
    assert np.isnan(found[2:]).any(axis=1).all()


class Chip:
    """A session that takes floats with channels first and returns rows of any length."""

    inputs = (TensorInfo("pixels", "float32", (1, 3, 2, 4)),)
    outputs = (TensorInfo(PROJECTION, "float32", (1, 3)),)
    value = 10.0

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        (batch,) = inputs.values()
        assert batch.dtype == np.float32
        assert batch.shape == (1, 3, 2, 4)
        return {PROJECTION: (self.value * batch.mean(axis=(2, 3))).astype(np.float32)}

    def placement(self) -> Placement:
        return Placement(())

    def close(self) -> None:
        pass


def _record(name: str = PROJECTION) -> TowerRecord:
    given = TensorSpec("pixels", "float32", (1, 3, 2, 4))
    taken = TensorSpec(name, "float32", (1, 3))
    return TowerRecord("image.chip", (), given, taken, Agreement(1, 0, 1, 1, 1, 1), Tolerance(0.9, 0.9))


def test_a_tower_does_the_rest_outside() -> None:
    rows = DeviceTower(Chip(), _record(), "b.edge: image.chip", IMAGE).embed(PIXELS)
    wanted = SCALED.mean(axis=(1, 2))
    np.testing.assert_allclose(rows, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-5)


def test_an_embedding_is_left_as_it_is() -> None:
    class Contract(Chip):
        outputs = (TensorInfo("embedding", "float32", (1, 3)),)

        def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
            return {"embedding": super().run(inputs)[PROJECTION]}

    rows = DeviceTower(Contract(), replace(_record("embedding")), "t", IMAGE).embed(PIXELS)
    np.testing.assert_allclose(rows, 10 * SCALED.mean(axis=(1, 2)), rtol=1e-4)


def test_what_is_not_finite_is_refused_before_it_is_normalized() -> None:
    class Broken(Chip):
        value = float("nan")

    with pytest.raises(ExecutionError, match="NaN or infinity"):
        DeviceTower(Broken(), _record(), "t", IMAGE).embed(PIXELS)
