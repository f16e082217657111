"""The emulated chip: each step in 8 bits or float, against the same arithmetic in NumPy."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import tiny_masters
from edgekit.converters.quantize.methods import calibration
from edgekit.converters.quantize.methods.records import Range
from edgekit.converters.targets import emulated, fused, static
from edgekit.errors import InputError

RANDOM = np.random.default_rng(8)
W, V = (RANDOM.normal(size=(6, 6)).astype(np.float32) for _ in range(2))
RANGES = {"a": Range(0.0, 6.0), "y": Range(-9.0, 12.0)}


@pytest.fixture(name="model", scope="module")
def _model():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Relu", ["p"], ["a"]),
        helper.make_node("Gemm", ["a", "v"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 6])],
        [helper.make_tensor_value_info("y", 1, [1, 6])],
        [numpy_helper.from_array(W, "w"), numpy_helper.from_array(V, "v")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(made, kept, x):
    onnx.checker.check_model(made.model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(made.model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {name: one.exact if kept[one.step] else one.rounded for name, one in made.weights.items()}
    return session.run(None, {**feeds, session.get_inputs()[0].name: x, emulated.KEPT: np.array(kept)})[0]


def held(value, low, high, *, symmetric):
    """Round by the definition of ONNX's QuantizeLinear."""
    if symmetric:
        scale = np.float32(2 * max(-low, high) / 255)
        return np.clip(np.rint(value / scale), -128, 127).astype(np.float32) * scale
    scale = np.float32((high - low) / 255)
    zero = np.rint(-low / scale)
    return (np.clip(np.rint(value / scale) + zero, 0, 255) - zero).astype(np.float32) * scale


def rounded(weight, axis):
    scale = np.abs(weight).max(axis=axis, keepdims=True) / 127
    return np.rint(weight / scale) * scale


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_it_computes_what_was_asked_for(model, symmetric: bool, first: bool, second: bool) -> None:
    steps = fused.steps(model)
    assert emulated.tensors(steps) == ("a", "y")
    made = emulated.switchable(model, steps, RANGES, symmetric=symmetric)
    x = RANDOM.normal(size=(1, 6)).astype(np.float32)
    a = np.maximum(x @ (W if first else rounded(W, 0)), 0)
    # Float reaches the second step where both are in float alone: a step of 8 bits reads 8 bits.
    a = a if first and second else held(a, 0, 6, symmetric=symmetric)
    y = a @ (V if second else rounded(V, 1)).T
    y = y if second else held(y, -9, 12, symmetric=symmetric)
    np.testing.assert_allclose(run(made, [first, second], x), y, atol=2e-5)


def test_the_graph_given_is_left_as_it_was(model) -> None:
    before = model.SerializeToString()
    emulated.switchable(model, fused.steps(model), RANGES, symmetric=False)
    assert model.SerializeToString() == before


@pytest.mark.parametrize(
    ("ranges", "words"),
    [({"a": RANGES["a"]}, "range of 'y' is missing"), ({**RANGES, "y": Range(-np.inf, 1.0)}, "calibrate on finite")],
)
def test_a_range_that_is_none_is_refused(model, ranges, words: str) -> None:
    with pytest.raises(InputError, match=words):
        emulated.switchable(model, fused.steps(model), ranges, symmetric=False)


@given(st.floats(-5, 5, width=32), st.floats(-5, 5, width=32), st.booleans())
@settings(max_examples=25, deadline=None)
def test_no_value_inside_the_range_is_off_by_more_than_half_a_step(one: float, other: float, symmetric: bool) -> None:
    low, high = min(one, other, 0.0), max(one, other, 0.0)
    graph = helper.make_graph(
        [helper.make_node("Exp", ["x"], ["e"]), helper.make_node("Log", ["e"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 9])],
        [helper.make_tensor_value_info("y", 1, [1, 9])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made = emulated.switchable(model, fused.steps(model), {"y": Range(low, high)}, symmetric=symmetric)
    x = np.linspace(low, high, 9, dtype=np.float32)[None]
    step = 2 * max(-low, high) / 255 if symmetric else (high - low) / 255
    # The smallest ranges have a scale of one; the exponential rounds as well.
    limit = step / 2 if step > 1e-37 else 0.5
    assert np.abs(run(made, [False], x) - x).max() <= limit * 1.01 + 1e-5


@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_real_towers_are_exact_in_float_and_near_in_8_bits(tmp_path, tower: str, symmetric: bool) -> None:
    master = tiny_masters.save(tmp_path / "tower.onnx", tower)
    rows = tiny_masters.samples(tower)
    static.fold(master, tmp_path / "static.onnx", (1, *rows.shape[1:]))
    model = onnx.load(tmp_path / "static.onnx")
    steps = fused.steps(model)
    ranges = calibration.measure(
        tmp_path / "static.onnx", [row[None] for row in rows], emulated.tensors(steps), "minmax"
    )
    made = emulated.switchable(model, steps, ranges, symmetric=symmetric)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    exact = session.run(None, {session.get_inputs()[0].name: rows[:1]})[0]
    np.testing.assert_allclose(run(made, [True] * len(steps), rows[:1]), exact, atol=2e-6)
    coarse = run(made, [False] * len(steps), rows[:1])
    assert 0.9 < (coarse * exact).sum() / np.linalg.norm(coarse) / np.linalg.norm(exact) < 0.999999
