"""Operators and types of numbers, read without the `onnx` package and compared with what it says."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import onnx_models
from edgekit.errors import ExecutionError
from edgekit.runtimes import onnx_facts


def model(dtype, nodes=(), shape=(1, 4)):
    weight = numpy_helper.from_array(np.ones(4, dtype), "w")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"]), *nodes],
        "g",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize(("dtype", "half"), [(np.float32, False), (np.float16, True), (np.int8, False)])
def test_types_of_stored_numbers(dtype, half: bool) -> None:
    found = onnx_facts.read(model(dtype).SerializeToString(), "m")
    assert found.half == half
    assert found.stored == {helper.np_dtype_to_tensor_dtype(np.dtype(dtype))}
    assert not found.quantized


def test_pairs_make_a_model_quantized() -> None:
    pair = helper.make_node("DequantizeLinear", ["w", "s"], ["d"])
    assert onnx_facts.read(model(np.int8, [pair]).SerializeToString(), "m").quantized


def test_subgraphs_count() -> None:
    inner = helper.make_graph([helper.make_node("Erf", ["x"], ["z"])], "then", [], [])
    node = helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)
    found = onnx_facts.read(model(np.float32, [node]).SerializeToString(), "m")
    assert {"If", "Erf", "Mul"} <= found.operators


def test_as_the_onnx_package_says() -> None:
    data = onnx_models.two_inputs()
    loaded = onnx.load_from_string(data)
    found = onnx_facts.read(data, "m")
    assert found.operators == {node.op_type for node in loaded.graph.node}
    assert found.stored == {tensor.data_type for tensor in loaded.graph.initializer}


@pytest.mark.parametrize(("shape", "static"), [((1, 4), True), (("n", 4), False), ((1, None), False), ((), True)])
def test_whether_every_input_has_one_shape(shape, static: bool) -> None:
    assert onnx_facts.read(model(np.float32, shape=shape).SerializeToString(), "m").static == static


def test_a_free_dimension_of_a_weight_does_not_count() -> None:
    made = model(np.float32)
    made.graph.output[0].type.tensor_type.shape.dim.add().dim_param = "n"
    assert onnx_facts.read(made.SerializeToString(), "m").static


@given(st.binary(max_size=200))
def test_bytes_that_are_no_model_are_an_error_or_hold_nothing(data: bytes) -> None:
    try:
        onnx_facts.read(data, "m")
    except ExecutionError as error:
        assert str(error).startswith("m: not a well-formed ONNX model")
