from __future__ import annotations

import numpy as np
from onnx import TensorProto, numpy_helper

from edgekit.converters.compress import half_weights


def test_large_weights_become_float16_and_small_ones_stay(random_text_model, types):
    assert half_weights.apply(random_text_model) == 2
    assert types(random_text_model) == {
        "bias": TensorProto.FLOAT,
        "table.stored": TensorProto.FLOAT16,
        "weight.stored": TensorProto.FLOAT16,
    }


def test_the_tower_gives_nearly_the_same_embeddings(random_text_model, run, ids):
    before = run(random_text_model, ids)
    half_weights.apply(random_text_model)
    after = run(random_text_model, ids)
    assert not np.array_equal(before, after)
    assert np.abs(before - after).max() < 1e-3


def test_a_convolution_is_stored_in_half(image_model, run, pixels, types):
    before = run(image_model, pixels)
    assert half_weights.apply(image_model) == 1
    assert types(image_model) == {"weight.stored": TensorProto.FLOAT16}
    assert np.abs(run(image_model, pixels) - before).max() < 1e-3


def test_values_are_the_nearest_float16(random_text_model):
    weight = next(numpy_helper.to_array(t) for t in random_text_model.graph.initializer if t.name == "weight")
    half_weights.apply(random_text_model)
    stored = next(numpy_helper.to_array(t) for t in random_text_model.graph.initializer if t.name == "weight.stored")
    assert np.array_equal(stored, weight.astype(np.float16))


def test_a_tensor_beyond_the_range_stays_float32(text_model, run, ids, types):
    random = np.random.default_rng(0)
    table = random.normal(size=(200, 48)).astype(np.float32)
    table[3, 5] = 70_000.0
    model = text_model(table, random.normal(size=(48, 32)).astype(np.float32), np.zeros(32, np.float32))
    before = run(model, ids)
    assert half_weights.apply(model) == 1
    assert types(model)["table"] == TensorProto.FLOAT
    assert np.isfinite(run(model, ids)).all()
    assert np.abs(run(model, ids) - before).max() < 1e-3


def test_applying_it_twice_changes_nothing_more(random_text_model):
    half_weights.apply(random_text_model)
    once = random_text_model.SerializeToString()
    assert half_weights.apply(random_text_model) == 0
    assert random_text_model.SerializeToString() == once
