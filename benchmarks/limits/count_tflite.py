"""Multiplications and additions, and least bytes, of a TensorFlow Lite model, as its interpreter lays it out."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.limits.records import Operation, Work
from edgekit.runtimes import litert_engine, litert_placement

if TYPE_CHECKING:
    from edgekit.benchmarks.limits.records import Kind
    from edgekit.runtimes.litert_placement import Node

_PRODUCTS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "TRANSPOSE_CONV"}
_OTHERS = {"CONV_3D", "UNIDIRECTIONAL_SEQUENCE_LSTM", "STABLEHLO_DOT_GENERAL", "STABLEHLO_CONVOLUTION", "CUSTOM"}
_LOOKUPS = {"GATHER": 0, "EMBEDDING_LOOKUP": 1}  # the position of the table among the inputs


def count(model: bytes, shape: tuple[int, ...]) -> Work:
    """Count one inference.

    Args:
        model: a ``.tflite`` file of one input.
        shape: of the input.

    Returns:
        The work; `Work.uncounted` names what could not be counted.

    Raises:
        MissingDependencyError: no interpreter works here.
    """
    graph = _Graph(model, shape)
    operations, uncounted = [], Counter[str]()
    for position, node in enumerate(graph.nodes):
        if node.op in _OTHERS:
            uncounted[node.op] += 1
        elif node.op in _PRODUCTS:
            operations.append(Operation(graph.name(node), node.op, graph.kind(position), float(graph.flops(position))))
    return Work(
        tuple(operations), graph.weights(), graph.transfer(), graph.activations(), dict(sorted(uncounted.items()))
    )


class _Graph:
    """A model whose memory is laid out for one input, so that every shape is known."""

    def __init__(self, model: bytes, shape: tuple[int, ...]) -> None:
        module = litert_engine.find().module
        plain = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = module.Interpreter(model_content=model, experimental_op_resolver_type=plain)
        given = interpreter.get_input_details()[0]
        if tuple(given["shape"]) != shape:
            interpreter.resize_tensor_input(given["index"], shape)
        interpreter.allocate_tensors()
        self._raw: Any = interpreter._interpreter
        self.nodes: tuple[Node, ...] = litert_placement.nodes(interpreter)
        self._reads = [tuple(int(t) for t in self._raw.NodeInputs(i)) for i in range(len(self.nodes))]
        self._inputs = {int(d["index"]) for d in interpreter.get_input_details()}
        self._outputs = {int(d["index"]) for d in interpreter.get_output_details()}
        self._made = {tensor for node in self.nodes for tensor in node.writes}

    def name(self, node: Node) -> str:
        """Return the name of the first tensor that a node writes."""
        return str(self._raw.TensorName(node.writes[0], 0))

    def kind(self, position: int) -> Kind:
        """Say what a product's operands are, as XNNPACK computes them."""
        left, right = self._operands(position)
        types = self._type(left), self._type(right)
        if types[1] == "int8" and types[0] in ("int8", "float32"):
            # Float activations meet int8 weights as int8: XNNPACK rounds each row, to its own scale.
            return "s8s8"
        return "u8u8" if types == ("uint8", "uint8") else "fp32"

    def flops(self, position: int) -> int:
        """Return the multiplications and additions of a product, two for each pair."""
        node = self.nodes[position]
        left, right = self._operands(position)
        kernel, out = self._shape(right), self._shape(node.writes[0])
        if node.op in ("CONV_2D", "FULLY_CONNECTED"):
            return 2 * math.prod(out) * math.prod(kernel[1:])  # (M, h, w, C), (M, C)
        if node.op == "DEPTHWISE_CONV_2D":
            return 2 * math.prod(out) * math.prod(kernel[1:3])  # (1, h, w, C)
        if node.op == "TRANSPOSE_CONV":
            return 2 * math.prod(self._shape(left)) * kernel[0] * kernel[1] * kernel[2]  # (M, h, w, C)
        # Turned or not, the left side has the rows of the result, and the inner length beside them.
        inner = math.prod(self._shape(left)[-2:]) // out[-2]
        return 2 * math.prod(out) * inner

    def weights(self) -> float:
        """Return bytes of the constants that one inference reads."""
        looked_up: dict[int, float] = {}
        read: set[int] = set()
        for i, node in enumerate(self.nodes):
            table = self._reads[i][_LOOKUPS[node.op]] if node.op in _LOOKUPS else -1
            for tensor in self._reads[i]:
                if tensor < 0 or tensor in self._made or tensor in self._inputs:
                    continue
                if tensor == table:
                    rows = math.prod(self._shape(node.writes[0])[:-1])
                    least = rows * self._bytes(tensor) / max(self._shape(tensor)[0], 1)
                    looked_up[tensor] = looked_up.get(tensor, 0.0) + least
                else:
                    read.add(tensor)
        return sum(map(self._bytes, read)) + sum(
            min(least, self._bytes(tensor)) for tensor, least in looked_up.items() if tensor not in read
        )

    def transfer(self) -> float:
        """Return bytes of inputs and outputs."""
        return sum(map(self._bytes, self._inputs | self._outputs))

    def activations(self) -> float:
        """Return bytes that nodes hand to each other, written once and read by each reader."""
        readers = Counter(tensor for reads in self._reads for tensor in reads)
        return sum(self._bytes(tensor) * (1 + readers[tensor]) for tensor in self._made - self._outputs)

    def _operands(self, position: int) -> tuple[int, int]:
        reads = self._reads[position]
        # A transposed convolution's first input is the shape of its output.
        return (reads[2], reads[1]) if self.nodes[position].op == "TRANSPOSE_CONV" else (reads[0], reads[1])

    def _shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(size) for size in self._raw.TensorSize(tensor, 0))

    def _type(self, tensor: int) -> str:
        return str(getattr(self._raw.TensorType(tensor, 0), "__name__", ""))

    def _bytes(self, tensor: int) -> float:
        import numpy as np

        name = self._type(tensor)
        # What NumPy has no type for is of 4 bits.
        size = np.dtype(name).itemsize if name and name not in ("str_", "bytes_") else 0.5
        return math.prod(self._shape(tensor)) * size
