"""Where in a contract graph the tower itself begins and ends: after its scaling of pixels, before its unit rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgekit.converters.distill.students.onnx_tower import OnnxTower

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from edgekit.bundle.manifest import ImageSpec

_TOLERANCE = 1e-4
# What a normalization to unit length is written with.
_UNIT = {"Abs", "Cast", "Clip", "Div", "Expand", "Identity", "LpNormalization", "Max", "Mul", "Pow", "Reciprocal"}
_UNIT |= {"ReduceL2", "ReduceMax", "ReduceSum", "ReduceSumSquare", "Shape", "Sqrt"}


def planes_of(pixels: Tensor, spec: ImageSpec) -> Tensor:
    """Scale pixels as an image tower does first.

    Args:
        pixels: uint8 (N, H, W, 3) RGB.
        spec: mean and standard deviation.

    Returns:
        float32 (N, 3, H, W).
    """
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (spec.mean, spec.std))
    return (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / std


def beginning(model: onnx.ModelProto, spec: ImageSpec) -> str:
    """Find the tensor that holds normalized planes, and that everything after it needs nothing else of the input than.

    Args:
        model: an image tower.
        spec: preprocessing.

    Returns:
        The tensor; empty where the graph has none.
    """
    name, output = str(model.graph.input[0].name), str(model.graph.output[0].name)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (2, spec.height, spec.width, 3), generator=generator).to(torch.uint8)
    planes = planes_of(pixels, spec)
    found = ""
    with torch.no_grad():
        values = OnnxTower(model, name, output).values(pixels)
    for tensor, value in values.items():
        same = value.shape == planes.shape and value.is_floating_point()
        if same and torch.allclose(value, planes, atol=_TOLERANCE) and not _reads(model, name, tensor):
            found = tensor
    return found


def ending(model: onnx.ModelProto, given: Tensor) -> str:
    """Find the tensor whose rows the end of the graph only brings to unit length.

    Args:
        model: a tower.
        given: an input of two rows.

    Returns:
        The tensor; the graph's output where there is none before it.
    """
    name, output = str(model.graph.input[0].name), str(model.graph.output[0].name)
    producers = {out: node for node in model.graph.node for out in node.output}
    stored = {tensor.name for tensor in model.graph.initializer}
    before: set[str] = set()
    waiting, seen = [output], set()
    while waiting:
        tensor = waiting.pop()
        if tensor in seen or tensor in stored or not tensor:
            continue
        seen.add(tensor)
        node = producers.get(tensor)
        if node is not None and node.op_type in _UNIT:
            waiting.extend(node.input)
        else:
            before.add(tensor)
    if len(before) != 1:
        return output
    (end,) = before
    with torch.no_grad():
        values = OnnxTower(model, name, output).values(given)
    rows = values.get(end)
    if rows is None or rows.shape != values[output].shape:
        return output
    unit = torch.nn.functional.normalize(rows, dim=-1)
    return end if torch.allclose(unit, values[output], atol=_TOLERANCE) else output


def _reads(model: onnx.ModelProto, name: str, cut: str) -> bool:
    """Say whether the output still needs the tensor `name` once `cut` is given."""
    producers = {out: node for node in model.graph.node for out in node.output}
    waiting, seen = [model.graph.output[0].name], {cut}
    while waiting:
        tensor = waiting.pop()
        if tensor == name:
            return True
        if tensor in seen:
            continue
        seen.add(tensor)
        node = producers.get(tensor)
        waiting.extend(node.input if node is not None else ())
    return False
