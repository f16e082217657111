"""An 8-bit chip on ONNX Runtime: one graph in which every step can be switched between 8 bits and float.

What a step of 8 bits writes is held in 8 bits; its weights have one scale a channel. A step that stays in float (in 16
bits, on the chip) reads what another such step wrote as it is. Which steps stay is an input, `KEPT`, and weights are
inputs too, so that the graph is loaded once and then measured as often as there are questions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.compress.int8_weights import quantize
from edgekit.converters.graph.simplify import drop_unused, set_nodes
from edgekit.converters.quantize.methods import qdq
from edgekit.converters.quantize.methods.records import Range
from edgekit.converters.targets import fused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from edgekit.converters.targets.fused import Step

KEPT = "edgekit.kept"
"""Input: bool (number of steps,), true where a step stays in float."""


@dataclass(frozen=True)
class Weight:
    """A weight, given to the graph with each run.

    Attributes:
        step: number of the step that reads it.
        exact: float32, as the tower has it.
        rounded: float32, as it is in 8 bits.
    """

    step: int
    exact: npt.NDArray[np.generic] = field(repr=False, compare=False)
    rounded: npt.NDArray[np.generic] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Switchable:
    """A graph whose steps can be switched.

    Attributes:
        model: with the further inputs `KEPT` and one for each weight.
        weights: by the name of their input.
    """

    model: onnx.ModelProto
    weights: dict[str, Weight]


def tensors(steps: Sequence[Step]) -> tuple[str, ...]:
    """Name the activations whose ranges `switchable` needs."""
    return tuple(name for step in steps for name in step.held)


def switchable(
    model: onnx.ModelProto, steps: Sequence[Step], ranges: Mapping[str, Range], *, symmetric: bool
) -> Switchable:
    """Return a graph that computes each step in 8 bits or in float.

    Args:
        model: static and float32, operator set 13 or newer, weights in memory; it is left as it was.
        steps: of `fused.steps`.
        ranges: of what `tensors` names.
        symmetric: whether activations have the zero point 0 (in int8), in place of one of their own (in uint8).

    Returns:
        A new graph, and its weights.

    Raises:
        InputError: a range is missing or not finite.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    writer = _Writer(made, symmetric=symmetric)
    of = {name: number for number, step in enumerate(steps) for name in step.nodes}
    holder = {name: number for number, step in enumerate(steps) for name in step.held}
    returned = {value.name for value in made.graph.output}
    nodes = list(made.graph.node)
    for node in nodes:
        number = of.get(node.output[0])
        if number is not None:
            for position, name in enumerate(node.input):
                if name in holder and holder[name] != number:
                    node.input[position] = writer.between(name, holder[name], number)
            writer.weigh(node, number)
        for position, name in enumerate(node.output):
            if name in returned and name in holder:
                node.output[position] = f"{name}.made"
        writer.nodes.append(node)
        for name in node.output:
            base = name.removesuffix(".made")
            if base in holder:
                writer.hold(base, name, qdq.span_of(ranges, base), holder[base], returned=base in returned)
    made.graph.input.append(helper.make_tensor_value_info(KEPT, TensorProto.BOOL, [len(steps)]))
    set_nodes(made.graph, writer.nodes)
    del made.graph.value_info[:]
    drop_unused(made)
    return Switchable(made, writer.weights)


class _Writer:
    """Writes the nodes that round, and those that choose between rounded and not."""

    def __init__(self, model: onnx.ModelProto, *, symmetric: bool) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Weight] = {}
        self._graph = model.graph
        self._symmetric = symmetric
        self._stored = {tensor.name: tensor for tensor in model.graph.initializer}
        self._seen: set[str] = set()

    def hold(self, base: str, name: str, span: Range, number: int, *, returned: bool) -> None:
        """Write a tensor as it is in 8 bits, and, where the graph returns it, as its own step has it."""
        scale, zero = _grid(span, symmetric=self._symmetric)
        names = self._constants(base, scale, zero)
        self._add("QuantizeLinear", [name, *names], f"{base}.code")
        self._add("DequantizeLinear", [f"{base}.code", *names], f"{base}.eight")
        if returned:
            self._add("Where", [self._switch(number), name, f"{base}.eight"], base)

    def between(self, name: str, writes: int, reads: int) -> str:
        """Return the name of a tensor as one step reads it of another."""
        both = f"{KEPT}.{writes}.{reads}"
        if both not in self._seen:
            first, second = self._switch(writes), self._switch(reads)
            self._add("And", [first, second], both)
        out = f"{name}.for{reads}"
        if out not in self._seen:
            self._add("Where", [both, name, f"{name}.eight"], out)
        return out

    def weigh(self, node: onnx.NodeProto, number: int) -> None:
        """Make the weight of a node an input."""
        position = fused.weight(node, self._stored)
        if position is None:
            return
        tensor = self._stored[node.input[position]]
        name = f"{tensor.name}.for{number}"
        if name not in self.weights:
            exact = numpy_helper.to_array(tensor)
            code = quantize(exact, fused.channel_axis(node, len(tensor.dims)))
            self.weights[name] = Weight(number, exact, code.decoded())
            self._graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, tensor.dims))
        node.input[position] = name

    def _switch(self, number: int) -> str:
        """Return the name of one entry of `KEPT`, without dimensions."""
        name = f"{KEPT}.{number}"
        if name not in self._seen:
            index = f"{name}.index"
            self._graph.initializer.append(numpy_helper.from_array(np.array(number, np.int64), index))
            self._add("Gather", [KEPT, index], name)
        return name

    def _constants(self, base: str, scale: np.float32, zero: npt.NDArray[np.generic]) -> tuple[str, str]:
        names = (f"{base}.scale", f"{base}.zero")
        self._graph.initializer.append(numpy_helper.from_array(np.array(scale), names[0]))
        self._graph.initializer.append(numpy_helper.from_array(zero, names[1]))
        return names

    def _add(self, operator: str, inputs: Sequence[str], output: str) -> None:
        self._seen.add(output)
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"edgekit/{output}"))


def _grid(span: Range, *, symmetric: bool) -> tuple[np.float32, npt.NDArray[np.generic]]:
    if not symmetric:
        return qdq.parameters(span, qdq.UINT8)
    # A range as wide on both sides has its zero point in the middle of 255 codes.
    largest = max(abs(span.low), abs(span.high))
    scale, _ = qdq.parameters(Range(-largest, largest), qdq.INT8)
    return scale, np.zeros((), np.int8)
