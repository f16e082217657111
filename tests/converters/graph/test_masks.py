from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph import masks

FLOAT32_MIN = float(np.finfo(np.float32).min)


def model_with(constant, op="Add", name="mask"):
    """x (2, 2) goes through one binary operator with the constant."""
    value = numpy_helper.from_array(np.asarray(constant), name)
    node = helper.make_node(op, ["x", name], ["y"], name="combine")
    x = helper.make_tensor_value_info("x", value.data_type, [2, 2])
    y = helper.make_tensor_value_info("y", value.data_type, [2, 2])
    graph = helper.make_graph([node], "g", [x], [y], [value])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def stored(model):
    return numpy_helper.to_array(model.graph.initializer[0])


@pytest.mark.parametrize("low", [-np.inf, FLOAT32_MIN, -1e9, -10000.5])
def test_a_triangular_mask_becomes_finite(low):
    model = model_with(np.array([[0, low], [0, 0]], np.float32))
    assert masks.finite_masks(model) == 1
    np.testing.assert_array_equal(stored(model), np.array([[0, masks.MASKED], [0, 0]], np.float32))


def test_name_type_and_shape_stay():
    model = model_with(np.full((1, 1, 2, 2), -np.inf, np.float64))
    masks.finite_masks(model)
    tensor = model.graph.initializer[0]
    assert (tensor.name, tensor.data_type, list(tensor.dims)) == ("mask", TensorProto.DOUBLE, [1, 1, 2, 2])


def test_a_scalar_filling_becomes_finite():
    model = model_with(np.array(-np.inf, np.float32))
    assert masks.finite_masks(model) == 1
    assert stored(model) == masks.MASKED


def test_float16_is_covered():
    model = model_with(np.array([[0, -65504], [0, 0]], np.float16))
    assert masks.finite_masks(model) == 1
    assert stored(model).min() == np.float16(masks.MASKED)


@pytest.mark.parametrize(
    "weights",
    [
        np.array([[1.5, -20000.0], [0, 0]], np.float32),
        np.array([[-5000.0, -20000.0], [0, 0]], np.float32),
        np.array([[0, masks.MASKED], [0, 0]], np.float32),
        np.zeros((2, 2), np.float32),
        np.zeros((0,), np.float32),
    ],
)
def test_other_values_are_left_alone(weights):
    model = model_with(weights)
    assert masks.finite_masks(model) == 0
    np.testing.assert_array_equal(stored(model), weights)


def test_integers_are_left_alone():
    model = model_with(np.array([[0, -(2**31)], [0, 0]], np.int32))
    assert masks.finite_masks(model) == 0
    assert stored(model).min() == -(2**31)


@pytest.mark.parametrize("op", ["Max", "Min"])
def test_a_bound_is_no_mask(op):
    model = model_with(np.array(FLOAT32_MIN, np.float32), op)
    assert masks.finite_masks(model) == 0
    assert stored(model) == np.float32(FLOAT32_MIN)


def test_one_reader_as_a_bound_protects_the_constant():
    model = model_with(np.array(-np.inf, np.float32))
    model.graph.node.append(helper.make_node("Max", ["x", "mask"], ["z"]))
    assert masks.finite_masks(model) == 0


def test_the_value_of_a_constant_of_shape_node_is_covered():
    model = model_with(np.array(1.0, np.float32))
    value = helper.make_tensor("value", TensorProto.FLOAT, [1], [-np.inf])
    node = helper.make_node("ConstantOfShape", ["shape"], ["filled"], value=value)
    model.graph.node.insert(0, node)
    assert masks.finite_masks(model) == 1
    attribute = model.graph.node[0].attribute[0].t
    assert numpy_helper.to_array(attribute)[0] == masks.MASKED


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-50, 50, width=32), min_size=4, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4).filter(lambda m: not (m[0] and m[1]) and not (m[2] and m[3])),
)
def test_softmax_stays_the_same(logits, masked):
    mask = np.where(np.array(masked).reshape(2, 2), -np.inf, 0).astype(np.float32)
    model = model_with(mask)
    model.graph.node[0].output[0] = "sum"
    model.graph.node.append(helper.make_node("Softmax", ["sum"], ["y"], axis=-1))
    x = np.array(logits, np.float32).reshape(2, 2)
    before = run(model, x)
    masks.finite_masks(model)
    np.testing.assert_array_equal(run(model, x), before)


def run(model, x):
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]
