"""Small TensorFlow Lite models made by hand, with the schema that `ai-edge-litert` carries.

They lie in tests/fixtures/litert as well, where the other engine's tests find them; `HAND_MADE` names each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from litert_files import CHANNEL_SCALES, CHANNEL_WEIGHTS, MATRIX, TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "uint8": schema.TensorType.UINT8,
    "int8": schema.TensorType.INT8,
    "int32": schema.TensorType.INT32,
    "bool": schema.TensorType.BOOL,
}


class Graph:
    """A graph under construction; tensors are known by their numbers, in the order they are added."""

    def __init__(self) -> None:
        self._graph = schema.SubGraphT()
        self._graph.name = b"main"
        self._graph.tensors, self._graph.operators = [], []
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.subgraphs = [self._graph]
        # By convention the first buffer is empty; tensors without values refer to it.
        self._model.buffers = [schema.BufferT()]
        self._model.operatorCodes = []

    def tensor(self, name: str, shape: Sequence[int | None], dtype: str = "float32", scale: float = 0.0) -> int:
        """Add a tensor without values; a free dimension is None; `scale` makes it quantized, about zero."""
        tensor = schema.TensorT()
        tensor.name = name.encode()
        tensor.shape = [1 if size is None else size for size in shape]
        if None in shape:
            tensor.shapeSignature = [-1 if size is None else size for size in shape]
        tensor.type = _TYPES[dtype]
        if scale:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [0]
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def constant(
        self, name: str, values: npt.NDArray[np.generic], scales: Sequence[float] = (), dimension: int = 0
    ) -> int:
        """Add a tensor with values; `scales` quantizes it along a dimension."""
        number = self.tensor(name, values.shape, values.dtype.name)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        self._graph.tensors[number].buffer = len(self._model.buffers) - 1
        if scales:
            quantization = schema.QuantizationParametersT()
            quantization.scale, quantization.zeroPoint = list(scales), [0] * len(scales)
            quantization.quantizedDimension = dimension
            self._graph.tensors[number].quantization = quantization
        return number

    def op(self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: object = None) -> None:
        """Add an operator, such as ``ADD``, in its first version."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        self._model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self._model.operatorCodes) - 1
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self._graph.operators.append(operator)

    def model(
        self, inputs: Mapping[str, int], outputs: Mapping[str, int], signatures: Sequence[str] = ("run",)
    ) -> bytes:
        """Return the file; each signature gives `inputs` and `outputs` their names."""
        self._graph.inputs, self._graph.outputs = list(inputs.values()), list(outputs.values())
        self._model.signatureDefs = [self._signature(key, inputs, outputs) for key in signatures] or None
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def _signature(self, key: str, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> schema.SignatureDefT:
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = key.encode(), 0
        signature.inputs, signature.outputs = _named(inputs), _named(outputs)
        return signature


def _named(tensors: Mapping[str, int]) -> list[schema.TensorMapT]:
    maps = []
    for name, number in tensors.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), number
        maps.append(entry)
    return maps


def two_inputs(batch: int | None = None, length: int | None = None) -> bytes:
    """``sum`` = flattened pixels @ MATRIX + the sum of the TABLE's rows for ids; ``first`` = its first column."""
    graph = Graph()
    pixels = graph.tensor("run_args_0:0", (batch, 4, 4, 3), "uint8")
    ids = graph.tensor("run_args_1:0", (batch, length), "int32")
    floats = graph.tensor("floats", (batch, 4, 4, 3))
    graph.op("CAST", [pixels], [floats])
    flat = graph.tensor("flat", (batch, 48))
    graph.op("RESHAPE", [floats, graph.constant("flat shape", np.array([-1, 48], np.int32))], [flat])
    product = graph.tensor("product", (batch, 3))
    matrix = graph.constant("matrix", np.ascontiguousarray(MATRIX.T))
    graph.op("FULLY_CONNECTED", [flat, matrix, -1], [product], schema.FullyConnectedOptionsT())
    rows = graph.tensor("rows", (batch, length, 3))
    graph.op("GATHER", [graph.constant("table", TABLE), ids], [rows], schema.GatherOptionsT())
    words = graph.tensor("words", (batch, 3))
    graph.op("SUM", [rows, graph.constant("axis", np.array([1], np.int32))], [words], schema.ReducerOptionsT())
    total = graph.tensor("StatefulPartitionedCall:1", (batch, 3))
    graph.op("ADD", [product, words], [total], schema.AddOptionsT())
    first = graph.tensor("StatefulPartitionedCall:0", (batch, 1))
    begin, size = (graph.constant(n, np.array(v, np.int32)) for n, v in (("begin", [0, 0]), ("size", [-1, 1])))
    graph.op("SLICE", [total, begin, size], [first], schema.SliceOptionsT())
    return graph.model({"pixels": pixels, "ids": ids}, {"sum": total, "first": first})


def adds(batch: int | None = 2) -> bytes:
    """``y`` = x + [1, 2, 3] + x: the tests' delegate takes both nodes, and only it sees what lies between them."""
    graph = Graph()
    x, middle, y = (graph.tensor(name, (batch, 3)) for name in ("x", "middle", "y"))
    graph.op("ADD", [x, graph.constant("bias", np.array([1, 2, 3], np.float32))], [middle], schema.AddOptionsT())
    graph.op("ADD", [middle, x], [y], schema.AddOptionsT())
    return graph.model({"x": x}, {"y": y}, ())


def mixed(batch: int | None = 2) -> bytes:
    """``y`` = ((x + x) ** 2 + x) ** 2: the tests' delegate takes the additions only, in two parts."""
    graph = Graph()
    x, a, b, c, y = (graph.tensor(name, (batch, 3)) for name in ("x", "a", "b", "c", "y"))
    graph.op("ADD", [x, x], [a], schema.AddOptionsT())
    graph.op("SQUARE", [a], [b])
    graph.op("ADD", [b, x], [c], schema.AddOptionsT())
    graph.op("SQUARE", [c], [y])
    return graph.model({"x": x}, {"y": y})


def quantized() -> bytes:
    """``y`` int8 (1, 4) = x int8 (1, 4) + x, at a scale of 0.5 in and 1.0 out."""
    graph = Graph()
    x, y = graph.tensor("x", (1, 4), "int8", 0.5), graph.tensor("y", (1, 4), "int8", 1.0)
    graph.op("ADD", [x, x], [y], schema.AddOptionsT())
    return graph.model({"x": x}, {"y": y})


def two_signatures() -> bytes:
    """A model that offers the same graph under two names."""
    graph = Graph()
    x, y = graph.tensor("x", (1, 3)), graph.tensor("y", (1, 3))
    graph.op("ADD", [x, x], [y], schema.AddOptionsT())
    return graph.model({"x": x}, {"y": y}, ("first", "second"))


def huge_scale() -> bytes:
    """An addition that both engines abort on while they prepare it; every scale is finite."""
    graph = Graph()
    x, y = graph.tensor("x", (1, 4), "int8", 0.5), graph.tensor("y", (1, 4), "int8", 0.5)
    mask = graph.constant("mask", np.array([[0, -128, 0, -128]], np.int8), [1e30])
    graph.op("ADD", [x, mask], [y], schema.AddOptionsT())
    return graph.model({"x": x}, {"y": y})


def channels(op: str, scales: Sequence[float] = CHANNEL_SCALES) -> bytes:
    """``y`` = `op` of x and CHANNEL_WEIGHTS, int8 with a scale per channel, while x and y are not quantized."""
    graph = Graph()
    convolution = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1, "padding": 1}
    weights, dimension, shape = CHANNEL_WEIGHTS, 0, (1, 8)
    if op == "EMBEDDING_LOOKUP":
        x, y = graph.tensor("x", (3,), "int32"), graph.tensor("y", (3, 8))
        graph.op(op, [x, graph.constant("weights", weights, scales)], [y])
        return graph.model({"x": x}, {"y": y})
    if op == "FULLY_CONNECTED":
        options = _filled(schema.FullyConnectedOptionsT(), {"asymmetricQuantizeInputs": True})
    elif op == "BATCH_MATMUL":
        options = _filled(schema.BatchMatMulOptionsT(), {"asymmetricQuantizeInputs": True})
        weights, dimension, shape = np.ascontiguousarray(weights.T)[None], 2, (1, 1, 8)
    elif op == "CONV_2D":
        options = _filled(schema.Conv2DOptionsT(), convolution)
        weights, shape = weights.reshape(4, 2, 2, 2), (1, 2, 2, 2)
    else:
        options = _filled(schema.DepthwiseConv2DOptionsT(), {**convolution, "depthMultiplier": 1})
        weights, dimension, shape = np.ascontiguousarray(weights.T).reshape(1, 2, 4, 4), 3, (1, 2, 4, 4)
    x, y = graph.tensor("x", shape), graph.tensor("y", (*(1,) * (len(shape) - 1), 4))
    inputs = [x, graph.constant("weights", weights, scales, dimension)]
    if op.endswith("CONV_2D"):
        inputs.append(graph.constant("bias", np.zeros(4, np.float32)))
    graph.op(op, inputs, [y], options)
    return graph.model({"x": x}, {"y": y})


def tower(scales: Sequence[float] = ()) -> bytes:
    """Pixels uint8 (1, 4, 4, 3) to ``embedding`` (1, 3), divided by its length, which is zero for black pixels.

    With `scales` the weights are int8 with a scale per channel, as a converter for dynamic int8 makes them.
    """
    graph = Graph()
    pixels, floats, flat = (
        graph.tensor("pixels", (1, 4, 4, 3), "uint8"),
        graph.tensor("floats", (1, 4, 4, 3)),
        graph.tensor("flat", (1, 48)),
    )
    graph.op("CAST", [pixels], [floats])
    graph.op("RESHAPE", [floats, graph.constant("flat shape", np.array([-1, 48], np.int32))], [flat])
    matrix = np.ascontiguousarray(MATRIX.T)
    if scales:
        matrix = np.round(matrix / np.array(scales, np.float32)[:, None]).astype(np.int8)
    product, square, total, length, out = (
        graph.tensor(name, (1, size))
        for name, size in (("product", 3), ("square", 3), ("total", 1), ("length", 1), ("embedding", 3))
    )
    options = _filled(schema.FullyConnectedOptionsT(), {"asymmetricQuantizeInputs": bool(scales)})
    graph.op("FULLY_CONNECTED", [flat, graph.constant("matrix", matrix, scales), -1], [product], options)
    graph.op("SQUARE", [product], [square])
    keep = _filled(schema.ReducerOptionsT(), {"keepDims": True})
    graph.op("SUM", [square, graph.constant("axis", np.array([1], np.int32))], [total], keep)
    graph.op("SQRT", [total], [length])
    graph.op("DIV", [product, length], [out], schema.DivOptionsT())
    return graph.model({"pixels": pixels}, {"embedding": out})


def _filled(options: object, values: Mapping[str, object]) -> object:
    for name, value in values.items():
        setattr(options, name, value)
    return options


HAND_MADE: Mapping[str, Callable[[], bytes]] = {
    "two_inputs": two_inputs,
    "two_inputs_fixed": lambda: two_inputs(2, 5),
    "adds": adds,
    "adds_free": lambda: adds(None),
    "mixed": mixed,
    "quantized": quantized,
    "two_signatures": two_signatures,
    "huge_scale": huge_scale,
    "tower": tower,
    "tower_channels": lambda: tower((0.03, 0.02, 0.025)),
    "channels_batch_matmul": lambda: channels("BATCH_MATMUL"),
    "channels_conv_2d": lambda: channels("CONV_2D"),
    "channels_depthwise_conv_2d": lambda: channels("DEPTHWISE_CONV_2D"),
    "channels_embedding_lookup": lambda: channels("EMBEDDING_LOOKUP"),
    "channels_fully_connected": lambda: channels("FULLY_CONNECTED"),
    "tensor_fully_connected": lambda: channels("FULLY_CONNECTED", CHANNEL_SCALES[:1]),
}
