"""Averages over a picture become convolutions that mean the same; others are left."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
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
