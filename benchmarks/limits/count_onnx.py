"""Multiplications and additions, and least bytes, of an ONNX graph.

Counted are products of matrices and convolutions, a multiplication and an addition as two; what is done element by
element is left out, as in the counts that papers give.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.limits.contrib import attribute, second
from edgekit.benchmarks.limits.records import Operation, Work
from edgekit.benchmarks.limits.shapes import Tensor, tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx

    from edgekit.benchmarks.limits.records import Kind

_MATMUL = {
    *("MatMul", "MatMulInteger", "QLinearMatMul", "Gemm", "QGemm", "FusedMatMul", "FusedGemm", "TransposeMatMul"),
    *("DynamicQuantizeMatMul", "MatMulIntegerToFloat"),
}
_CONV = {"Conv", "FusedConv", "ConvInteger", "QLinearConv"}
_ATTENTION = {"Attention", "MultiHeadAttention"}
_LOOKUPS = {"Gather", "GatherBlockQuantized"}
_BLOCKS: dict[int, Kind] = {4: "nbits4", 8: "nbits8"}
_CLAMPS = {"Clip", "Relu"}
# They multiply matrices in a way that is not counted here.
_OTHERS = {"LSTM", "GRU", "RNN", "QAttention", "DynamicQuantizeLSTM", "PackedAttention", "GroupQueryAttention", "DFT"}


def count(model: onnx.ModelProto, given: Mapping[str, tuple[int, ...]]) -> Work:
    """Count one inference.

    Args:
        model: a graph without control flow; its weights may be outside.
        given: shape of each input.

    Returns:
        The work; `Work.uncounted` names what could not be counted.
    """
    graph = _Graph(model, given)
    operations, uncounted = [], Counter[str]()
    for node in model.graph.node:
        rule = _rule(node.op_type)
        if rule is None:
            continue
        flops = rule(graph, node)
        if flops is None:
            uncounted[node.op_type] += 1
        else:
            operations.append(Operation(node.name or node.output[0], node.op_type, graph.kind(node), float(flops)))
    return Work(
        tuple(operations), graph.weights(), graph.transfer(given), graph.activations(), dict(sorted(uncounted.items()))
    )


class _Graph:
    """A graph, its tensors' shapes, and who makes and reads each."""

    def __init__(self, model: onnx.ModelProto, given: Mapping[str, tuple[int, ...]]) -> None:
        self._model = model
        self.tensors = tensors(model, given)
        self.maker = {name: node for node in model.graph.node for name in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._weights = {weight.name for weight in model.graph.initializer}

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return a tensor's shape, or None."""
        tensor = self.tensors.get(name)
        return None if tensor is None else tensor.shape

    def kind(self, node: onnx.NodeProto) -> Kind:
        """Say what a product's operands are, as an engine that fuses quantized operators computes them."""
        left, right = node.input[0], node.input[min(second(node), len(node.input) - 1)]
        if node.op_type == "MatMulNBits":
            # Level 4 lets the engine round the activations to int8; else it makes floats of the weights.
            rounded = attribute(node, "accuracy_level", 0) == 4
            return _BLOCKS.get(attribute(node, "bits", 4), "fp32") if rounded else "fp32"
        if node.op_type == "DynamicQuantizeMatMul":
            return _pair("u8", self._width(right))
        if node.op_type == "Conv" and not self._requantized(node.output[0]):
            return "fp32"
        pair = self._width(self._stored(left)), self._width(self._stored(right))
        return _pair(*pair)

    def _requantized(self, name: str) -> bool:
        """Say whether a convolution's result is quantized again: else engines compute it in float."""
        readers = self._readers.get(name, [])
        while len(readers) == 1 and readers[0].op_type in _CLAMPS:
            readers = self._readers.get(readers[0].output[0], [])
        return bool(readers) and all(reader.op_type == "QuantizeLinear" for reader in readers)

    def _stored(self, name: str) -> str:
        """Follow a tensor back to the codes that it was dequantized from; itself where it was not."""
        maker = self.maker.get(name)
        return maker.input[0] if maker is not None and maker.op_type == "DequantizeLinear" else name

    def _width(self, name: str) -> str:
        from onnx import TensorProto

        tensor = self.tensors.get(name)
        names = {TensorProto.UINT8: "u8", TensorProto.INT8: "s8", TensorProto.FLOAT16: "fp16"}
        return names.get(tensor.kind, "fp32") if tensor is not None else "fp32"

    def weights(self) -> float:
        """Return bytes of the weights that one inference reads."""
        looked_up: dict[str, float] = {}
        read = set()
        for node in self._model.graph.node:
            for position, name in enumerate(node.input):
                rows = self._rows(node) if position == 0 and node.op_type in _LOOKUPS else None
                if name in self._weights and rows is not None:
                    looked_up[name] = looked_up.get(name, 0.0) + rows
                elif name in self._weights:
                    read.add(name)
        whole = sum(_bytes(self.tensors[name]) for name in read)
        return whole + sum(min(b, _bytes(self.tensors[n])) for n, b in looked_up.items() if n not in read)

    def _rows(self, node: onnx.NodeProto) -> float | None:
        """Return the bytes of the rows that a node looks up in its first input; None where it reads across rows."""
        axis = attribute(node, "axis" if node.op_type == "Gather" else "gather_axis", 0)
        table, indices = self.tensors.get(node.input[0]), self.tensors.get(node.input[1])
        if axis != 0 or table is None or not table.shape or indices is None or indices.shape is None:
            return None
        return indices.elements * _bytes(table) / max(table.shape[0], 1)

    def transfer(self, given: Mapping[str, tuple[int, ...]]) -> float:
        """Return bytes of inputs and outputs."""
        ends = [*given, *(output.name for output in self._model.graph.output)]
        return sum(_bytes(self.tensors[name]) for name in ends if name in self.tensors)

    def activations(self) -> float:
        """Return bytes that nodes hand to each other, written once and read by each reader."""
        made = {name for node in self._model.graph.node for name in node.output}
        ends = {output.name for output in self._model.graph.output}
        return sum(
            _bytes(self.tensors[n]) * (1 + len(self._readers.get(n, ()))) for n in made - ends if n in self.tensors
        )


def _pair(left: str, right: str) -> Kind:
    known: dict[tuple[str, str], Kind] = {
        ("u8", "s8"): "u8s8",
        ("s8", "s8"): "s8s8",
        ("u8", "u8"): "u8u8",
        ("fp16", "fp16"): "fp16",
    }
    return known.get((left, right), "fp32")


def _bytes(tensor: Tensor) -> float:
    from onnx import TensorProto, helper

    halves = {TensorProto.INT4, TensorProto.UINT4}
    if tensor.kind in halves:
        return tensor.elements / 2
    if tensor.kind in (TensorProto.UNDEFINED, TensorProto.STRING):
        return 0.0
    return float(tensor.elements * helper.tensor_dtype_to_np_dtype(tensor.kind).itemsize)


def _rule(op: str) -> Callable[[_Graph, Any], int | None] | None:
    if op in _MATMUL:
        return _matmul
    if op in _CONV:
        return _conv
    if op in _ATTENTION:
        return _attention
    if op in _OTHERS:
        return lambda graph, node: None
    return {"ConvTranspose": _transposed, "Einsum": _einsum, "MatMulNBits": _nbits}.get(op)


def _matmul(graph: _Graph, node: onnx.NodeProto) -> int | None:
    left, out = graph.shape(node.input[0]), graph.shape(node.output[0])
    if left is None or out is None:
        return None
    inner = left[-2] if attribute(node, "transA", 0) else left[-1]
    return 2 * math.prod(out) * inner


def _nbits(graph: _Graph, node: onnx.NodeProto) -> int | None:
    out = graph.shape(node.output[0])
    return None if out is None else 2 * math.prod(out) * attribute(node, "K", 0)


def _conv(graph: _Graph, node: onnx.NodeProto) -> int | None:
    kernel, out = graph.shape(node.input[second(node)]), graph.shape(node.output[0])
    # (M, C / groups, kernel…): what is multiplied for each number of the output.
    return None if kernel is None or out is None else 2 * math.prod(out) * math.prod(kernel[1:])


def _transposed(graph: _Graph, node: onnx.NodeProto) -> int | None:
    kernel, given = graph.shape(node.input[1]), graph.shape(node.input[0])
    return None if kernel is None or given is None else 2 * math.prod(given) * math.prod(kernel[1:])


def _attention(graph: _Graph, node: onnx.NodeProto) -> int | None:
    first, other = graph.shape(node.input[0]), graph.shape(node.input[1]) if len(node.input) > 1 else None
    if first is None or other is None:
        return None
    if node.op_type == "Attention" and node.domain == "com.microsoft":
        batch, length, width = first
        # Query, key and value in one product; then scores and their sums over (length, width).
        return 2 * batch * length * width * other[1] + 4 * batch * length * length * (other[1] // 3)
    value = graph.shape(node.input[2]) if len(node.input) > 2 else None
    if value is None or not len(first) == len(other) == len(value):
        return None
    # (…, lengths, width) each; heads only cut the width, or stand before the lengths.
    return 2 * math.prod(first) * other[-2] + 2 * math.prod(first[:-1]) * other[-2] * value[-1]


def _einsum(graph: _Graph, node: onnx.NodeProto) -> int | None:
    equation = next(a.s.decode() for a in node.attribute if a.name == "equation").replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, name in zip(terms, node.input, strict=True):
        shape = graph.shape(name)
        if shape is None or len(shape) != len(term):
            return None
        sizes.update(zip(term, shape, strict=True))
    # Pairwise contraction of more than two could need less, depending on its order.
    return 2 * math.prod(sizes.values()) if len(terms) == 2 else None
