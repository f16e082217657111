"""A portable ONNX tower as a module that can be trained, at any batch size and any length that the graph takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from onnx import TensorProto, numpy_helper
from torch import nn

from edgekit.converters.distill.students.onnx_layers import add_bias, layer_of
from edgekit.converters.distill.students.onnx_operators import DYNAMIC
from edgekit.converters.graph.masks import MASKED
from edgekit.converters.litert.call import Call, read_call
from edgekit.converters.quantize.methods.editor import node_keys
from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx
    from torch import Tensor

_LAYER = "Layer"
# Their second input is a shape or the like, which is computed with on the CPU wherever the tower is.
_SHAPED = {"Expand", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Unsqueeze"}
# Inputs of a normalization that were measured: mean and variance.
_STATISTICS = (3, 4)


class OnnxTower(nn.Module):
    """Runs a graph node by node; what multiplies, convolves, looks up or normalizes is an ordinary layer.

    Constants that other nodes add or multiply (positions, class tokens, biases) are parameters too; masks, single
    numbers, measured means and variances, and integers are not.
    """

    def __init__(self, model: onnx.ModelProto, source: str, result: str) -> None:
        """Make layers of the nodes between two tensors.

        Args:
            model: a float graph with its weights in memory, one input, one output, no control flow.
            source: tensor that `forward` is given.
            result: tensor that it returns.

        Raises:
            UnsupportedModelError: an operator is not covered; the message names the node.
        """
        super().__init__()
        self.source, self.result = source, result
        self.takes_pixels = model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
        known = {tensor.name: _tensor(tensor) for tensor in model.graph.initializer}
        calls = [read_call(node, key) for node, key in zip(model.graph.node, node_keys(model), strict=True)]
        live = _live(calls, known, source)
        self._calls: list[Call] = []
        self._layers: list[str] = []
        self._make(_needed(live, source, result), known)
        self._keep(known)
        # Where the tower ends in a linear layer, its path; see `adapt.last_linear`.
        self.last = next((name for call, name in self._steps() if result in call.outputs and name), "")

    def forward(self, given: Tensor) -> Tensor:
        """Map the source tensor to the result tensor."""
        return self.values(given)[self.result]

    def values(self, given: Tensor) -> dict[str, Tensor]:
        """Return every tensor between the two by name."""
        found = {self.source: given}
        for call, name in self._steps():
            arguments = [self._argument(one, found) for one in call.inputs]
            if name:
                layer = self.get_submodule(name)
                result = layer(*_on_one_device([*arguments, next(layer.parameters())])[:-1])
            elif call.op in _SHAPED:
                result = DYNAMIC[call.op](call, *arguments)
            else:
                result = DYNAMIC[call.op](call, *_on_one_device(arguments))
            found.update(zip(call.outputs, result if isinstance(result, tuple) else (result,), strict=False))
        return found

    def _steps(self) -> Iterable[tuple[Call, str]]:
        return zip(self._calls, self._layers, strict=True)

    def _make(self, calls: list[Call], known: dict[str, Tensor]) -> None:
        readers: dict[str, int] = {}
        for call in calls:
            for name in call.inputs:
                readers[name] = readers.get(name, 0) + 1
        made: dict[str, str] = {}  # by output, the layer whose only reader may add a bias to it
        for call in calls:
            found = layer_of(call, known)
            if found is not None:
                layer, given = found
                name = f"layer{len(self._calls)}"
                self.add_module(name, layer)
                self._calls.append(Call(call.name, _LAYER, (given,), call.outputs[:1]))
                self._layers.append(name)
                if readers.get(call.outputs[0]) == 1:
                    made[call.outputs[0]] = name
            elif not self._merged(call, known, made):
                constants = {i: known[name].numpy() for i, name in enumerate(call.inputs) if name in known}
                self._calls.append(replace(call, constants=constants))
                self._layers.append("")

    def _merged(self, call: Call, known: dict[str, Tensor], made: dict[str, str]) -> bool:
        """Merge an Add of a constant into the linear layer before it."""
        if call.op != "Add":
            return False
        for given, bias in (call.inputs, call.inputs[::-1]):
            name = made.get(given, "")
            if name and bias in known and add_bias(self.get_submodule(name), known[bias]):
                position = self._layers.index(name)
                self._calls[position] = replace(self._calls[position], outputs=call.outputs)
                return True
        return False

    def _keep(self, known: dict[str, Tensor]) -> None:
        """Register the constants that are left, under names that a module allows."""
        self._names: dict[str, str] = {}
        self._numbers: dict[str, Tensor] = {}
        for call, layer in self._steps():
            for position, name in enumerate(call.inputs):
                if layer or name not in known or name in self._names:
                    continue
                value, own = known[name], f"constant{len(self._names)}"
                if not value.is_floating_point():
                    self._numbers[name] = value
                    continue
                self._names[name] = own
                measured = call.op == "BatchNormalization" and position in _STATISTICS
                if value.numel() > 1 and not measured and not bool((value <= MASKED / 10).any()):
                    self.register_parameter(own, nn.Parameter(value.clone()))
                else:
                    self.register_buffer(own, value.clone(), persistent=False)

    def _argument(self, name: str, found: dict[str, Tensor]) -> Tensor | None:
        if not name or name in self._numbers:
            return self._numbers.get(name)
        own = self._names.get(name)
        return found[name] if own is None else getattr(self, own)


def _on_one_device(values: list[Tensor | None]) -> list[Tensor | None]:
    """Bring what lies on the CPU, such as computed positions, to where the others are."""
    elsewhere = {value.device for value in values if value is not None and value.device.type != "cpu"}
    if not elsewhere:
        return values
    (device,) = elsewhere
    return [None if value is None else value.to(device) for value in values]


def _live(calls: list[Call], known: dict[str, Tensor], source: str) -> list[Call]:
    """Compute what depends on no input into `known`, and return the other nodes."""
    live = []
    for call in calls:
        if call.op not in DYNAMIC:
            raise UnsupportedModelError(
                f"node '{call.name}' ({call.op}): a tower with this operator cannot be trained; take another arch"
            )
        if source not in call.outputs and all(not name or name in known for name in call.inputs):
            filled = replace(call, constants={i: known[n].numpy() for i, n in enumerate(call.inputs) if n})
            with torch.no_grad():
                result = DYNAMIC[call.op](filled, *(known[name] if name else None for name in call.inputs))
            known.update(zip(call.outputs, result if isinstance(result, tuple) else (result,), strict=False))
        else:
            live.append(call)
    return live


def _needed(calls: list[Call], source: str, result: str) -> list[Call]:
    """Return the nodes that the result needs, from the source on."""
    wanted, kept = {result}, []
    for call in reversed(calls):
        if wanted.intersection(call.outputs) and source not in call.outputs:
            wanted.update(call.inputs)
            kept.append(call)
    return kept[::-1]


def _tensor(stored: onnx.TensorProto) -> Tensor:
    value = numpy_helper.to_array(stored)
    # A copy, since what ONNX returns is read-only; half and double are computed as float32.
    wide = np.issubdtype(value.dtype, np.floating)
    return torch.from_numpy(np.array(value, np.float32 if wide else None))
