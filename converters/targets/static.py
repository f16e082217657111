"""Derive the static graph that a chip's compiler takes from the master, and move the pixels' scaling out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph import store
from edgekit.converters.graph.simplify import drop_unused, lift_constants
from edgekit.errors import ConversionError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

# What a converter may put between the pixels and the first layer: a type, a layout, and one factor and term a channel.
_SCALING = frozenset({"Cast", "Transpose", "Mul", "Add", "Sub", "Div"})
_CHANNELS = 3
# Two probes fix a line; the third shows that it is one.
_PROBES = (0, 255, 100)
_STRAIGHT = 1e-4
# Chips' compilers find their own patterns, and those of plain MatMul and Add are the ones they are tested with.
_FUSIONS = ("MatMulAddFusion",)


@dataclass(frozen=True)
class Scaling:
    """What is done to pixels before the first layer: ``(pixel - mean) / std``, in levels of 0..255, per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def scaled(array: npt.NDArray[np.generic], mean: Sequence[float], std: Sequence[float]) -> npt.NDArray[np.generic]:
    """Return contract inputs as a graph takes them whose scaling may have been moved out of it.

    Args:
        array: uint8 (n, H, W, 3) pixels, or int32 (n, L) token ids.
        mean: per channel, in levels of 0..255; empty where nothing was moved out.
        std: per channel.

    Returns:
        float32 (n, 3, H, W) where it was; otherwise `array` itself.
    """
    if not mean:
        return array
    values = (array.astype(np.float32) - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def fold(master: Path, out: Path, shape: tuple[int, ...]) -> None:
    """Write a graph of one static input shape, with everything that follows from the shape computed.

    Args:
        master: the portable float graph.
        out: the graph to write, weights beside it.
        shape: of its only input, the batch first.

    Raises:
        ConversionError: ONNX Runtime refuses the graph at this shape.
    """
    import onnxruntime

    model = store.load(master)
    (given,) = model.graph.input
    for dim, length in zip(given.type.tensor_type.shape.dim, shape, strict=True):
        dim.Clear()
        dim.dim_value = length
    fixed = out.with_name(f"{out.stem}.fixed.onnx")
    folded = out.with_name(f"{out.stem}.folded.onnx")
    store.save(model, fixed)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", f"{folded.name}.data")
    try:
        onnxruntime.InferenceSession(
            str(fixed), options, providers=["CPUExecutionProvider"], disabled_optimizers=list(_FUSIONS)
        )
    except Exception as error:
        raise ConversionError(f"{master.name}: ONNX Runtime refuses the shape {shape}: {error}") from error
    model = store.load(folded)
    lift_constants(model)
    drop_unused(model)
    for value in (*model.graph.input, *model.graph.output):
        first = value.type.tensor_type.shape.dim[0]
        first.Clear()
        first.dim_value = shape[0]
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    store.save(model, out)
    for path in (fixed, folded):
        path.unlink()
        path.with_name(f"{path.name}.data").unlink(missing_ok=True)


def move_scaling_out(model: onnx.ModelProto) -> Scaling:
    """Make the graph's input float32 (N, 3, H, W) that is scaled already, in place, and say how to scale pixels.

    The scaling is found by what it does, not by how it is written: the nodes between the pixels and the first layer are
    run on three grey images, whose results must lie on a line per channel.

    Args:
        model: static, weights in memory, its input pixels uint8 (N, H, W, 3).

    Returns:
        The scaling.

    Raises:
        UnsupportedModelError: the nodes before the first layer do something else.
    """
    graph = model.graph
    (given,) = graph.input
    name, size = given.name, tuple(dim.dim_value for dim in given.type.tensor_type.shape.dim)
    head = list(_head(graph, name))
    if not head:
        raise UnsupportedModelError(f"the image tower does not scale its input '{name}'; convert the bundle again")
    last = head[-1].output[0]
    values = [compute(model, head, name, np.full(size, level, np.uint8)) for level in _PROBES]
    layout = _layout(values[0].shape, size)
    rows = [_channel(value, layout) for value in values]
    slope = (rows[1] - rows[0]) / _PROBES[1]
    if np.abs(rows[0] + slope * _PROBES[2] - rows[2]).max() > _STRAIGHT or not (slope > 0).all():
        raise UnsupportedModelError("the image tower's nodes before its first layer are no scaling per channel")
    for node in head:
        graph.node.remove(node)
    scaled = name
    if layout == "nhwc":
        scaled = f"{name}_nhwc"
        graph.node.insert(0, helper.make_node("Transpose", [name], [scaled], f"{name} to rows", perm=[0, 2, 3, 1]))
    for node in graph.node:
        for position, read in enumerate(node.input):
            if read == last:
                node.input[position] = scaled
    batch, height, width, _ = size
    given.CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, _CHANNELS, height, width]))
    drop_unused(model)
    return Scaling(tuple(map(float, -rows[0] / slope)), tuple(map(float, 1 / slope)))


def _head(graph: onnx.GraphProto, name: str) -> Iterator[onnx.NodeProto]:
    """Yield the nodes from the pixels on, as long as each is the only reader of the one before."""
    stored = {tensor.name for tensor in graph.initializer}
    while True:
        readers = [node for node in graph.node if name in node.input]
        if len(readers) != 1 or readers[0].op_type not in _SCALING:
            return
        if any(read != name and read not in stored for read in readers[0].input):
            return
        yield readers[0]
        name = readers[0].output[0]


def compute(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], name: str, values: npt.NDArray[np.generic]
) -> npt.NDArray[np.generic]:
    """Compute a part of a graph with ONNX's reference evaluator, which needs no file.

    Args:
        model: weights in memory.
        nodes: the part, in the graph's order; it reads one computed tensor.
        name: of that tensor.
        values: of that tensor.

    Returns:
        The first output of the last node.
    """
    from onnx.reference import ReferenceEvaluator

    read = {one for node in nodes for one in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    given = helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values.dtype), values.shape)
    taken = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    part = helper.make_graph(nodes, "part", [given], [taken], kept)
    whole = helper.make_model(part, opset_imports=list(model.opset_import))
    found: npt.NDArray[np.generic] = ReferenceEvaluator(whole).run(None, {name: values})[0]
    return found


def _layout(shape: tuple[int, ...], size: tuple[int, ...]) -> str:
    batch, height, width, channels = size
    if shape == (batch, channels, height, width):
        return "nchw"
    if shape == size:
        return "nhwc"
    raise UnsupportedModelError(f"the image tower turns pixels {size} into {shape} before its first layer")


def _channel(value: npt.NDArray[np.generic], layout: str) -> npt.NDArray[np.float64]:
    """Return the value of each channel, of an image of one level."""
    axes = (0, 2, 3) if layout == "nchw" else (0, 1, 2)
    if np.ptp(value, axis=axes).max() > 0:
        raise UnsupportedModelError("the image tower scales pixels by their place, which no chip's input does")
    means: npt.NDArray[np.float64] = value.astype(np.float64).mean(axis=axes)
    return means


def array_of(model: onnx.ModelProto, name: str) -> npt.NDArray[np.generic] | None:
    """Return a stored constant's values, or None where the name is computed."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            values: npt.NDArray[np.generic] = numpy_helper.to_array(tensor)
            return values
    return None
