"""Averages over a picture become convolutions that mean the same; others are left."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.targets.averages import spell_averages_out

SHAPE = (1, 6, 5, 4)


def _model(op, out, *, axes=None, as_input=False, keepdims=1, opset=17):
    inputs = ["x", "axes"] if as_input else ["x"]
    given = {} if op == "GlobalAveragePool" else {"keepdims": keepdims}
    if axes is not None and not as_input:
        given["axes"] = axes
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["a"], ["x"], "before"),
            helper.make_node(op, inputs, ["m"], "mean", **given),
            helper.make_node("Neg", ["m"], ["y"], "after"),
        ],
        "averages",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(np.asarray(axes, np.int64), "axes")] if as_input else [],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made)


def _run(model):
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"a": values})[0]


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        ({"op": "GlobalAveragePool", "out": (1, 6, 1, 1)}, ["Relu", "Conv", "Neg"]),
        ({"op": "ReduceMean", "out": (1, 6, 1, 1), "axes": [2, 3]}, ["Relu", "Conv", "Neg"]),
        ({"op": "ReduceMean", "out": (1, 6, 1, 1), "axes": [-1, -2]}, ["Relu", "Conv", "Neg"]),
        ({"op": "ReduceMean", "out": (1, 6), "axes": [2, 3], "keepdims": 0}, ["Relu", "Conv", "Reshape", "Neg"]),
        (
            {"op": "ReduceMean", "out": (1, 6), "axes": [2, 3], "keepdims": 0, "as_input": True, "opset": 18},
            ["Relu", "Conv", "Reshape", "Neg"],
        ),
    ],
)
def test_an_average_over_the_picture_is_a_convolution(given, kinds) -> None:
    model = _model(**given)
    wanted = _run(model)
    assert spell_averages_out(model) == 1
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == kinds
    np.testing.assert_allclose(_run(model), wanted, atol=1e-6)
    assert "axes" not in {tensor.name for tensor in model.graph.initializer}
    assert spell_averages_out(model) == 0


@pytest.mark.parametrize(
    "given",
    [
        {"op": "ReduceMean", "out": (1, 1, 5, 4), "axes": [1]},
        {"op": "ReduceMean", "out": (1, 6, 5, 1), "axes": [3]},
        {"op": "ReduceMean", "out": (1, 1, 1, 1)},
    ],
)
def test_other_averages_are_left(given) -> None:
    model = _model(**given)
    assert spell_averages_out(model) == 0
    assert "ReduceMean" in [node.op_type for node in model.graph.node]


def test_weights_are_equal_and_sum_to_one() -> None:
    model = _model("GlobalAveragePool", (1, 6, 1, 1))
    spell_averages_out(model)
    (weights,) = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    assert weights.shape == (6, 1, 5, 4)
    np.testing.assert_allclose(weights.sum(axis=(1, 2, 3)), 1, rtol=1e-6)
    assert np.ptp(weights) == 0


def test_a_shape_that_is_not_known_is_left() -> None:
    """The weights of the convolution follow from it."""
    model = _model("GlobalAveragePool", (1, 6, 1, 1))
    del model.graph.value_info[:]
    wanted = _run(model)
    assert spell_averages_out(model) == 0
    np.testing.assert_array_equal(_run(model), wanted)


@given(st.tuples(*[st.integers(1, 5)] * 3), st.sampled_from([(2, 3), (3, 2), (-2, 3)]), st.booleans())
@settings(deadline=None, max_examples=20)
def test_any_picture_is_averaged_channel_by_channel(size, axes, keepdims) -> None:
    channels = size[0]
    inside = (1, *size)
    nodes = [
        helper.make_node("Relu", ["a"], ["x"]),
        helper.make_node("ReduceMean", ["x"], ["y"], axes=list(axes), keepdims=int(keepdims)),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, inside)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, channels, 1, 1) if keepdims else (1, channels))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    assert spell_averages_out(model) == 1
    onnx.checker.check_model(model, full_check=True)
    values = np.random.default_rng(0).normal(size=inside).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = np.maximum(values, 0).mean(axis=(2, 3), keepdims=keepdims)
    np.testing.assert_allclose(session.run(None, {"a": values})[0], wanted, atol=1e-6)


def test_two_averages_of_one_picture_do_not_share_names() -> None:
    nodes = [
        helper.make_node("Relu", ["a"], ["x"]),
        helper.make_node("GlobalAveragePool", ["x"], ["m"]),
        helper.make_node("ReduceMean", ["x"], ["n"], axes=[2, 3], keepdims=1),
        helper.make_node("Sub", ["m", "n"], ["y"]),
    ]
    infos = [("a", SHAPE), ("y", (1, 6, 1, 1))]
    given_, taken = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in infos)
    graph = helper.make_graph(nodes, "g", [given_], [taken])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    assert spell_averages_out(model) == 2
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_allclose(_run(model), 0, atol=1e-7)
