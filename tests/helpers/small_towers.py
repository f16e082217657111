"""Small float towers with the structure of real ones: transformers, with norms before or after, and convolutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

VOCABULARY, WIDTH, HEADS, SIDE, DIMENSION = 64, 32, 4, 16, 24


class Graph:
    """Nodes and constants under readable names."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def op(self, name: str, op: str, *inputs: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [f"{name}.out"], name=name, **attributes))
        return f"{name}.out"

    def const(self, name: str, value: object, dtype: type = np.float32) -> str:
        self.tensors.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weight(self, name: str, *shape: int, scale: float | None = None) -> str:
        fan = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
        return self.const(name, self.random.normal(size=shape) * (scale or fan**-0.5))

    def linear(self, name: str, source: str, given: int, taken: int, *, gemm: bool = False) -> str:
        bias = self.weight(f"{name}.bias", taken, scale=0.1)
        if gemm:
            return self.op(name, "Gemm", source, self.weight(f"{name}.weight", taken, given), bias, transB=1)
        product = self.op(name, "MatMul", source, self.weight(f"{name}.weight", given, taken))
        return self.op(f"{name}.add", "Add", bias, product)

    def norm(self, name: str, source: str, width: int = WIDTH) -> str:
        scale = self.const(f"{name}.scale", 1 + 0.1 * self.random.normal(size=width))
        return self.op(name, "LayerNormalization", source, scale, self.weight(f"{name}.bias", width, scale=0.1))

    def attention(self, name: str, source: str) -> str:
        def heads(part: str, perm: list[int]) -> str:
            whole = self.linear(f"{name}.{part}", source, WIDTH, WIDTH)
            split = self.op(f"{name}.{part}.split", "Reshape", whole, f"{name}.shape")
            return self.op(f"{name}.{part}.turn", "Transpose", split, perm=perm)

        self.const(f"{name}.shape", [0, 0, HEADS, WIDTH // HEADS], np.int64)
        query, key, value = heads("q", [0, 2, 1, 3]), heads("k", [0, 2, 3, 1]), heads("v", [0, 2, 1, 3])
        logits = self.op(f"{name}.logits", "MatMul", query, key)
        weights = self.op(f"{name}.softmax", "Softmax", logits, axis=-1)
        mixed = self.op(f"{name}.mix", "MatMul", weights, value)
        turned = self.op(f"{name}.back", "Transpose", mixed, perm=[0, 2, 1, 3])
        joined = self.op(f"{name}.join", "Reshape", turned, self.const(f"{name}.flat", [0, 0, WIDTH], np.int64))
        return self.linear(f"{name}.out", joined, WIDTH, WIDTH)

    def mlp(self, name: str, source: str) -> str:
        hidden = self.linear(f"{name}.up", source, WIDTH, 4 * WIDTH)
        halves = self.op(f"{name}.scaled", "Div", hidden, self.const(f"{name}.root", 2**0.5))
        erf = self.op(f"{name}.erf", "Erf", halves)
        shifted = self.op(f"{name}.shifted", "Add", erf, self.const(f"{name}.one", 1.0))
        product = self.op(f"{name}.product", "Mul", hidden, shifted)
        gelu = self.op(f"{name}.gelu", "Mul", product, self.const(f"{name}.half", 0.5))
        return self.linear(f"{name}.down", gelu, 4 * WIDTH, WIDTH)

    def unit(self, source: str) -> None:
        length = self.op("length", "ReduceL2", source, axes=[1], keepdims=1)
        divisor = self.op("divisor", "Max", length, self.const("least", 1e-12))
        self.nodes.append(helper.make_node("Div", [source, divisor], ["embedding"], name="unit"))

    def model(self, given: onnx.ValueInfoProto) -> onnx.ModelProto:
        taken = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", DIMENSION])
        graph = helper.make_graph(self.nodes, "tower", [given], [taken], self.tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def transformer(*, post_norm: bool = False, blocks: int = 2, outliers: float = 1.0, seed: int = 0) -> onnx.ModelProto:
    """Ids (N, L) to unit rows (N, 24); `outliers` scales a few channels of each normalization before a product."""
    g = Graph(seed)
    x = g.op("tokens", "Gather", g.weight("table", VOCABULARY, WIDTH, scale=1.0), "token_ids", axis=0)
    for i in range(blocks):
        for part, layer in (("attention", g.attention), ("mlp", g.mlp)):
            name = f"layer{i}.{part}"
            if post_norm:
                x = g.norm(f"{name}.norm", g.op(f"{name}.residual", "Add", x, layer(name, x)))
            else:
                x = g.op(f"{name}.residual", "Add", x, layer(name, g.norm(f"{name}.norm", x)))
    pooled = g.op("pool", "ReduceMean", g.norm("last.norm", x), axes=[1], keepdims=0)
    g.unit(g.op("project", "MatMul", pooled, g.weight("projection", WIDTH, DIMENSION)))
    for tensor in g.tensors:
        if tensor.name.endswith("norm.scale") and outliers != 1.0:
            value = numpy_helper.to_array(tensor).copy()
            value[:2] *= outliers
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    return g.model(helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["N", "L"]))


def convnet(*, seed: int = 1) -> onnx.ModelProto:
    """Pixels (N, 16, 16, 3) to unit rows: a stem, a straight part and two residual blocks, each padded by a node."""
    g = Graph(seed)
    x = g.op("cast", "Cast", "pixels", to=TensorProto.FLOAT)
    x = g.op("scale", "Mul", x, g.const("scale.by", 1 / 128))
    x = g.op("planes", "Transpose", x, perm=[0, 3, 1, 2])

    def conv(name: str, source: str, given: int, taken: int, size: int, **attributes: object) -> str:
        weight = g.weight(f"{name}.weight", taken, given, size, size)
        return g.op(name, "Conv", source, weight, g.weight(f"{name}.bias", taken, scale=0.2), **attributes)

    x = g.op("stem.relu", "Relu", conv("stem", x, 3, 8, 3, pads=[1] * 4, strides=[2, 2]))
    g.const("zero", 0.0)
    g.const("six", 6.0)
    x = g.op("widen.clip", "Clip", conv("widen", x, 8, 16, 1), "zero", "six")
    for i in range(2):
        name = f"block{i}"
        y = g.op(f"{name}.pad", "Pad", x, g.const(f"{name}.pads", [0, 0, 1, 1, 0, 0, 1, 1], np.int64), "zero")
        y = g.op(f"{name}.clip", "Clip", conv(f"{name}.depth", y, 1, 16, 3, group=16), "zero", "six")
        x = g.op(f"{name}.residual", "Add", x, conv(f"{name}.point", y, 16, 16, 1))
    x = g.op("pool", "GlobalAveragePool", x)
    x = g.op("flat", "Flatten", x)
    g.unit(g.linear("head", x, 16, DIMENSION, gemm=True))
    return g.model(helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIDE, SIDE, 3]))


def gemm_tower(*, seed: int = 2) -> onnx.ModelProto:
    """Pixels (N, 16, 16, 3) to unit rows (N, 24), with nothing but Gemm."""
    g = Graph(seed)
    x = g.op("cast", "Cast", "pixels", to=TensorProto.FLOAT)
    x = g.op("scale", "Mul", x, g.const("scale.by", 1 / 128))
    x = g.op("flat", "Flatten", x)
    x = g.op("first.relu", "Relu", g.linear("first", x, SIDE * SIDE * 3, WIDTH, gemm=True))
    x = g.op("second.relu", "Relu", g.linear("second", x, WIDTH, WIDTH, gemm=True))
    g.unit(g.linear("third", x, WIDTH, DIMENSION, gemm=True))
    return g.model(helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIDE, SIDE, 3]))


def ids(rows: int = 8, length: int = 6, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, VOCABULARY, (rows, length), dtype=np.int32)


def pixels(rows: int = 8, seed: int = 4) -> np.ndarray:
    """Smooth pictures, so that their embeddings differ."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (rows, 4, 4, 3))
    return np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2).astype(np.uint8)


def run(model: onnx.ModelProto | Path, batch: np.ndarray, *, optimize: bool = True) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: batch})[0]


def cosines(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Centred cosines, row by row."""
    mean = expected.mean(axis=0)
    a, b = found - mean, expected - mean
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
