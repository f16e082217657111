from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, numpy_helper

from edgekit.converters.compress import int8_weights

_VALUES = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)),
    elements=st.floats(-1e6, 1e6, width=32),
)


@settings(max_examples=100, deadline=None)
@given(_VALUES, st.integers(0, 1))
def test_no_value_is_off_by_more_than_half_a_step(value, axis):
    code = int8_weights.quantize(value, axis)
    assert code.data.dtype == np.int8
    assert code.data.min() >= -127
    assert code.scale.dtype == np.float32
    assert code.scale.shape == tuple(size if i == axis else 1 for i, size in enumerate(value.shape))
    error = np.abs(code.data.astype(np.float64) * code.scale - value)
    assert (error <= code.scale * 0.5001 + 1e-30).all()


@settings(max_examples=50, deadline=None)
@given(_VALUES, st.integers(0, 1))
def test_the_sign_does_not_matter(value, axis):
    assert np.array_equal(int8_weights.quantize(-value, axis).data, -int8_weights.quantize(value, axis).data)


def test_a_channel_of_zeros_stays_zero():
    code = int8_weights.quantize(np.zeros((4, 5), np.float32), 0)
    assert not code.data.any()
    assert np.isfinite(code.scale).all()


def test_the_largest_magnitude_of_a_channel_uses_the_whole_range():
    value = np.array([[0.1, -0.5], [100.0, 1.0]], np.float32)
    assert int8_weights.quantize(value, 0).data.tolist() == [[25, -127], [127, 1]]


def test_large_weights_become_int8(random_text_model, types):
    assert int8_weights.apply(random_text_model) == 2
    found = types(random_text_model)
    assert found == {
        "bias": TensorProto.FLOAT,
        "table.stored": TensorProto.INT8,
        "table.scale": TensorProto.FLOAT,
        "weight.stored": TensorProto.INT8,
        "weight.scale": TensorProto.FLOAT,
    }


def test_the_tower_keeps_its_embeddings(random_text_model, run, ids):
    before = run(random_text_model, ids)
    int8_weights.apply(random_text_model)
    cosines = (run(random_text_model, ids) * before).sum(1)
    assert cosines.min() > 0.999
    assert cosines.min() < 1 - 1e-7  # it is not the float tower


def test_each_channel_of_a_convolution_has_its_own_scale(image_model, run, pixels):
    before = run(image_model, pixels)
    assert int8_weights.apply(image_model) == 1
    scale = next(numpy_helper.to_array(t) for t in image_model.graph.initializer if t.name == "weight.scale")
    assert scale.shape == (64, 1, 1, 1)
    assert ((run(image_model, pixels) * before).sum(1) > 0.999).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_scales_run_along_the_axis_that_loses_less(text_model, axis):
    random = np.random.default_rng(0)
    scales = np.geomspace(0.001, 1, 64)
    weight = random.normal(size=(64, 64)) * (scales[:, None] if axis == 0 else scales)
    model = text_model(np.ones((64, 64), np.float32), weight.astype(np.float32), np.zeros(64, np.float32))
    int8_weights.apply(model)
    found = next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == "weight.scale")
    assert found.shape == ((64, 1) if axis == 0 else (1, 64))


def test_a_table_is_scaled_by_rows_even_where_columns_would_lose_less(text_model):
    random = np.random.default_rng(0)
    table = (random.normal(size=(64, 64)) * np.geomspace(0.001, 1, 64)).astype(np.float32)
    model = text_model(table, np.eye(64, dtype=np.float32), np.zeros(64, np.float32))
    int8_weights.apply(model)
    found = next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == "table.scale")
    assert found.shape == (64, 1)


def test_a_long_vector_stays_float32(text_model, types):
    model = text_model(np.ones((4, 2), np.float32), np.ones((2, 2000), np.float32), np.ones(2000, np.float32))
    assert int8_weights.apply(model) == 1
    assert types(model)["bias"] == TensorProto.FLOAT
