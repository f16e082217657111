from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

Model = Callable[..., onnx.ModelProto]


def _value(name: str, kind: int, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


@pytest.fixture
def text_model() -> Model:
    """A tower with a table, a projection and a bias: ids (N, L) to unit rows (N, 32)."""

    def build(table: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
        nodes = [
            helper.make_node("Gather", ["table", "token_ids"], ["rows"], axis=0),
            helper.make_node("MatMul", ["rows", "weight"], ["projected"]),
            helper.make_node("Add", ["projected", "bias"], ["hidden"]),
            helper.make_node("ReduceMean", ["hidden"], ["pooled"], axes=[1], keepdims=0),
            helper.make_node("LpNormalization", ["pooled"], ["embedding"], axis=1, p=2),
        ]
        weights = {"table": table, "weight": weight, "bias": bias}
        graph = helper.make_graph(
            nodes,
            "text",
            [_value("token_ids", TensorProto.INT32, ["N", "L"])],
            [_value("embedding", TensorProto.FLOAT, ["N", weight.shape[1]])],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    return build


@pytest.fixture
def random_text_model(text_model: Model) -> onnx.ModelProto:
    random = np.random.default_rng(0)
    return text_model(
        random.normal(size=(200, 48)).astype(np.float32),
        random.normal(size=(48, 32)).astype(np.float32),
        random.normal(size=32).astype(np.float32),
    )


@pytest.fixture
def image_model() -> onnx.ModelProto:
    """A tower with a convolution, whose scale differs much from channel to channel: pixels to unit rows (N, 64)."""
    random = np.random.default_rng(1)
    weight = random.normal(size=(64, 3, 3, 3)) * np.geomspace(0.01, 10, 64)[:, None, None, None]
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weight"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("LpNormalization", ["flat"], ["embedding"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        nodes,
        "image",
        [_value("pixels", TensorProto.UINT8, ["N", 8, 8, 3])],
        [_value("embedding", TensorProto.FLOAT, ["N", 64])],
        [numpy_helper.from_array(weight.astype(np.float32), "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def run() -> Callable[[onnx.ModelProto, np.ndarray], np.ndarray]:
    def _run(model: onnx.ModelProto, batch: np.ndarray) -> np.ndarray:
        onnx.checker.check_model(model)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: batch})[0]

    return _run


@pytest.fixture
def ids() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 200, (5, 7), dtype=np.int32)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def types() -> Callable[[onnx.ModelProto], dict[str, int]]:
    return lambda model: {tensor.name: tensor.data_type for tensor in model.graph.initializer}
