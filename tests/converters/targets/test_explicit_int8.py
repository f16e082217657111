"""Pairs of QuantizeLinear and DequantizeLinear, where TensorRT wants them and with the scales that it takes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.quantize.methods.records import Range
from edgekit.converters.targets import explicit_int8, rounding
from edgekit.errors import InputError

RANDOM = np.random.default_rng(4)
WEIGHTS = {
    "w": RANDOM.normal(size=(6, 5)).astype(np.float32) * np.array([1, 1, 8, 1, 1], np.float32),
    "t": RANDOM.normal(size=(3, 5)).astype(np.float32),
    "bias": RANDOM.normal(size=3).astype(np.float32),
}


@pytest.fixture(name="model")
def _model():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "first"),
        helper.make_node("MatMul", ["x", "w"], ["again"], "second"),
        helper.make_node("Add", ["a", "again"], ["sum"], "sum"),
        helper.make_node("Gemm", ["sum", "t", "bias"], ["y"], "last", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(value, name) for name, value in WEIGHTS.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


RANGES = {"x": Range(-2.0, 4.0), "sum": Range(-30.0, 20.0)}


def stored(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_products_with_stored_weights_are_found(model) -> None:
    assert explicit_int8.products(model) == ("a", "again", "y")
    assert explicit_int8.tensors(model, ("a", "again", "y")) == ("x", "sum")
    helper.make_node("MatMul", ["x", "x"], ["z"])
    model.graph.node.append(helper.make_node("MatMul", ["a", "again"], ["computed"], "attention"))
    assert "computed" not in explicit_int8.products(model)


@pytest.mark.parametrize("kept_as_int8", [False, True])
def test_the_result_is_near_and_the_graph_valid(model, kept_as_int8: bool) -> None:
    x = RANDOM.uniform(-2, 2, (8, 6)).astype(np.float32)
    largest = float(np.abs(2 * x @ WEIGHTS["w"]).max())
    ranges = {"x": Range(-2.0, 2.0), "sum": Range(-largest, largest)}
    made = explicit_int8.apply(model, ("a", "again", "y"), ranges, stored=kept_as_int8)
    onnx.checker.check_model(made, full_check=True)
    exact, found = (rounding.run(one, x) for one in (model, made))
    assert np.abs(exact - found).max() < 0.05 * np.abs(exact).max()
    assert (exact != found).any()


def test_both_ways_to_store_weights_compute_the_same(model) -> None:
    x = RANDOM.uniform(-2, 2, (4, 6)).astype(np.float32)
    pair, codes = (explicit_int8.apply(model, ("a", "y"), RANGES, stored=kept) for kept in (False, True))
    np.testing.assert_array_equal(rounding.run(pair, x), rounding.run(codes, x))
    assert stored(codes)["t.int8"].dtype == np.int8
    assert "t" not in stored(codes)
    assert stored(pair)["t"].dtype == np.float32


def test_scales_are_symmetric_one_a_tensor_and_one_a_channel(model) -> None:
    constants = stored(explicit_int8.apply(model, ("a", "again", "y"), RANGES, stored=True))
    assert constants["x.scale"] == pytest.approx(4 / 127)
    assert constants["sum.scale"] == pytest.approx(30 / 127)
    np.testing.assert_allclose(constants["w.scale"], np.abs(WEIGHTS["w"]).max(0) / 127, rtol=1e-6)
    np.testing.assert_allclose(constants["t.scale"], np.abs(WEIGHTS["t"]).max(1) / 127, rtol=1e-6)
    assert not any(values.any() for name, values in constants.items() if name.endswith(".zero"))
    np.testing.assert_array_equal(constants["bias"], WEIGHTS["bias"])


def test_one_pair_serves_all_who_read(model) -> None:
    made = explicit_int8.apply(model, ("a", "again"), RANGES, stored=False)
    quantized = [node.input[0] for node in made.graph.node if node.op_type == "QuantizeLinear"]
    assert sorted(quantized) == ["w", "x"]
    # Neither a sum nor a result is quantized, nor the node that was left out.
    last = made.graph.node[-1]
    assert list(last.input) == ["sum", "t", "bias"]


def test_nothing_is_changed_in_the_graph_given(model) -> None:
    before = model.SerializeToString(deterministic=True)
    explicit_int8.apply(model, ("a",), RANGES, stored=True)
    assert model.SerializeToString(deterministic=True) == before


def test_a_tensor_of_zeros_has_a_scale(model) -> None:
    constants = stored(explicit_int8.apply(model, ("a",), {"x": Range(0.0, 0.0)}, stored=False))
    assert constants["x.scale"] == 1


@pytest.mark.parametrize(("ranges", "told"), [({}, "'x' is missing"), ({"x": Range(0, np.inf)}, "'x' is not finite")])
def test_ranges_that_cannot_be_used_are_named(model, ranges, told: str) -> None:
    with pytest.raises(InputError, match=told):
        explicit_int8.apply(model, ("a",), ranges, stored=True)


@pytest.mark.parametrize("kept_as_int8", [False, True])
def test_one_tensor_read_along_both_axes_has_scales_for_each(kept_as_int8: bool) -> None:
    """Tied weights: exporters store equal matrices once, whichever way a product reads them."""
    weights = RANDOM.normal(size=(4, 4)).astype(np.float32) * np.array([[1], [9], [1], [1]], np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], "forth"),
        helper.make_node("Gemm", ["a", "w"], ["y"], "back", transB=1),
    ]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], [numpy_helper.from_array(weights, "w")])
    tied = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = RANDOM.uniform(-1, 1, (6, 4)).astype(np.float32)
    largest = float(np.abs(x @ weights).max())
    ranges = {"x": Range(-1.0, 1.0), "a": Range(-largest, largest)}
    made = explicit_int8.apply(tied, ("a", "y"), ranges, stored=kept_as_int8)
    onnx.checker.check_model(made, full_check=True)
    scales = [values for name, values in stored(made).items() if name.endswith(".scale") and values.ndim]
    np.testing.assert_allclose(scales[0], np.abs(weights).max(0) / 127, rtol=1e-6)
    np.testing.assert_allclose(scales[1], np.abs(weights).max(1) / 127, rtol=1e-6)
    exact = x @ weights @ weights.T
    assert np.abs(rounding.run(made, x) - exact).max() < 0.03 * np.abs(exact).max()


def coded(values: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    """Symmetric int8 and back, by the formula of ONNX's QuantizeLinear: halves go to the even number."""
    return np.clip(np.rint(values / np.float32(scale)), -128, 127).astype(np.float32) * np.float32(scale)


@given(st.integers(0, 10_000), st.sampled_from([1, 2, 4]), st.booleans())
@settings(deadline=None, max_examples=12)
def test_a_convolution_computes_what_the_formula_says(seed: int, groups: int, kept_as_int8: bool) -> None:
    random = np.random.default_rng(seed)
    weights = (random.normal(size=(4, 4 // groups, 1, 1)) * random.uniform(0.1, 9, (4, 1, 1, 1))).astype(np.float32)
    bias = random.normal(size=4).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], "c", group=groups)
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 2, 2]) for name in "xy"]
    constants = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")]
    graph = helper.make_graph([node], "g", infos[:1], infos[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = random.uniform(-3, 5, (2, 4, 2, 2)).astype(np.float32)
    # The range was measured on other inputs: what lies beyond it is cut off.
    made = explicit_int8.apply(model, ("y",), {"x": Range(-3.0, 4.0)}, stored=kept_as_int8)
    taken = coded(np.clip(x, -4 * 128 / 127, 4), 4 / 127)
    held = coded(weights, np.abs(weights).max(axis=(1, 2, 3), keepdims=True) / 127)
    each = np.split(taken, groups, axis=1)
    parts = np.split(held[:, :, 0, 0], groups)
    wanted = np.concatenate([np.einsum("nchw,oc->nohw", a, b) for a, b in zip(each, parts, strict=True)], axis=1)
    np.testing.assert_allclose(rounding.run(made, x), wanted + bias[:, None, None], rtol=1e-4, atol=1e-3)


def test_products_that_have_no_int8_form_are_left_out(model) -> None:
    """Rows that are turned first, weights of more than two axes, and weights that are computed."""
    deep = numpy_helper.from_array(np.ones((2, 5, 3), np.float32), "deep")
    model.graph.initializer.append(deep)
    model.graph.node.extend(
        [
            helper.make_node("Gemm", ["sum", "t", "bias"], ["turned"], "turned", transA=1),
            helper.make_node("MatMul", ["sum", "deep"], ["stack"], "stack"),
            helper.make_node("Gemm", ["sum", "a"], ["both"], "both"),
        ]
    )
    assert explicit_int8.products(model) == ("a", "again", "y")
