"""Move outliers of activations into the weights that multiply them, before anything is quantized (SmoothQuant)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.quantize.methods.editor import attribute
from edgekit.converters.quantize.methods.qdq import span_of
from edgekit.converters.quantize.methods.records import Range
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt
    import onnx

    from edgekit.converters.quantize.methods.editor import Editor

_SMALLEST, _GREATEST = 1e-3, 1e3  # bounds of a factor: beyond them the weights would get the outliers


@dataclass(frozen=True)
class Smoothed:
    """What was done.

    Attributes:
        ranges: those given, and those of the tensors as they are after smoothing.
        fused: tensors whose factors went into the normalization before them, at no cost.
        scaled: tensors whose factors became a multiplication of their own.
    """

    ranges: dict[str, Range]
    fused: tuple[str, ...]
    scaled: tuple[str, ...]


def smooth(editor: Editor, keys: Iterable[str], ranges: Mapping[str, Range], alpha: float) -> Smoothed:
    """Divide each channel of an activation by a factor and multiply the weights' row by it: the product stays the same.

    The factor of channel c is ``max|x_c|**alpha / max|W_c|**(1 - alpha)`` (Xiao et al. 2022, arXiv 2211.10438, eq. 4),
    the weights' maximum being taken over all products that read the activation. It goes into scale and bias of the
    layer normalization that writes the activation, where nothing else reads that; into a Mul of its own anywhere else
    (after a GELU, or where a residual add reads the normalization's result too).

    Args:
        editor: the graph, changed.
        keys: of the MatMul and Gemm nodes that are going to be quantized; others are passed over.
        ranges: of their inputs, with `Range.channels`.
        alpha: 0..1; larger moves more into the weights.

    Returns:
        The ranges to quantize with, and where the factors went.

    Raises:
        InputError: `alpha` is out of its range, or a tensor's channels were not measured.
        ConversionError: the weights hold infinity or NaN.
    """
    if not 0 <= alpha <= 1:
        raise InputError(f"smoothing: {alpha:g} is not in 0..1")
    sources: dict[str, list[onnx.NodeProto]] = {}
    for key in editor.order(keys):
        node = editor.node(key)
        if node.op_type in ("MatMul", "Gemm") and editor.is_constant(node.input[1]) and _rows(editor, node) is not None:
            sources.setdefault(node.input[0], []).append(node)
    done = dict(ranges)
    fused, scaled = [], []
    for source, nodes in sources.items():
        factors = _factors(editor, source, nodes, ranges, alpha)
        for node in nodes:
            _multiply_rows(editor, node, factors)
        target = _into_normalization(editor, source, nodes, factors)
        if target:
            fused.append(source)
        else:
            target = editor.free(f"{source}.smooth")
            reciprocal = editor.constant(f"{source}.factor", (1 / factors).astype(np.float32))
            editor.add("Mul", [source, reciprocal], target)
            for node in nodes:
                node.input[0] = target
            scaled.append(source)
        done[target] = _after(ranges[source], factors)
    return Smoothed(done, tuple(fused), tuple(scaled))


def _rows(editor: Editor, node: onnx.NodeProto) -> npt.NDArray[np.float32] | None:
    """Return the weights with one row for each channel of the activation, or None where they are no matrix."""
    weight = editor.value(node.input[1])
    if weight.ndim != 2 or attribute(node, "transA", 0):
        return None
    return weight.T if attribute(node, "transB", 0) else weight


def _factors(
    editor: Editor, source: str, nodes: list[onnx.NodeProto], ranges: Mapping[str, Range], alpha: float
) -> npt.NDArray[np.float64]:
    activation = np.array(span_of(ranges, source).channels, np.float64)
    weights = [np.abs(rows).max(axis=1) for node in nodes if (rows := _rows(editor, node)) is not None]
    weight = np.max(weights, axis=0).astype(np.float64)
    if activation.shape != weight.shape:
        raise InputError(
            f"smoothing '{source}' needs the magnitudes of its {len(weight)} channels, not {len(activation)}; "
            "calibrate with a decision that has the same smoothing"
        )
    usable = (activation > 0) & (weight > 0)
    factors = np.ones(len(weight))
    factors[usable] = activation[usable] ** alpha / weight[usable] ** (1 - alpha)
    factors[usable] /= np.exp(np.log(factors[usable]).mean()) if usable.any() else 1.0
    return np.clip(factors, _SMALLEST, _GREATEST)


def _multiply_rows(editor: Editor, node: onnx.NodeProto, factors: npt.NDArray[np.float64]) -> None:
    by = factors if attribute(node, "transB", 0) else factors[:, None]
    name = node.input[1]
    node.input[1] = editor.constant(f"{name}.smooth", (editor.value(name) * by).astype(np.float32))


def _into_normalization(
    editor: Editor, source: str, nodes: list[onnx.NodeProto], factors: npt.NDArray[np.float64]
) -> str:
    """Divide scale and bias of the normalization before `source`; an empty string where that is not possible."""
    tensor = source
    while True:
        if editor.is_output(tensor) or not _only(editor, tensor, nodes if tensor == source else None):
            return ""
        found = editor.producer(tensor)
        if found is None:
            return ""
        if found.op_type == "LayerNormalization":
            break
        if found.op_type != "Cast":  # a cast from float to float, which exporters leave behind
            return ""
        tensor = found.input[0]
    parts = list(found.input[1:3])
    if not all(editor.is_constant(name) and editor.value(name).shape == factors.shape for name in parts):
        return ""
    for position, name in enumerate(parts, start=1):
        # Under a new name: identical tensors of other layers may be stored once.
        found.input[position] = editor.constant(f"{name}.smooth", (editor.value(name) / factors).astype(np.float32))
    return source


def _only(editor: Editor, tensor: str, nodes: list[onnx.NodeProto] | None) -> bool:
    """Tell whether only `nodes` (for None: only one node) read a tensor's numbers; reading its shape is free."""
    readers = [node for node in editor.readers(tensor) if node.op_type != "Shape"]
    if nodes is None:
        return len(readers) == 1
    return all(any(reader is node for node in nodes) for reader in readers)


def _after(span: Range, factors: npt.NDArray[np.float64]) -> Range:
    """Return the range of a tensor whose channels were divided."""
    channels = np.array(span.channels) / factors
    largest = float(channels.max(initial=0.0))
    cut = max(abs(span.low), abs(span.high)) / span.largest if span.largest else 1.0
    reach = largest * min(cut, 1.0)
    smallest = float(factors.min(initial=1.0))
    low = max(-reach, span.low / smallest) if span.low < 0 else 0.0
    high = min(reach, span.high / smallest) if span.high > 0 else 0.0
    means = tuple(float(value) for value in np.array(span.means) / factors) if span.means else ()
    return Range(low, high, largest, tuple(float(value) for value in channels), means)
