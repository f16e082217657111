"""A graph while it is being rewritten: nodes by name, weights as arrays, new nodes wherever they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph import simplify, store, walk
from edgekit.errors import ConversionError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

MICROSOFT = "com.microsoft"
"""Operators that ONNX Runtime defines beside ONNX's own."""


def node_keys(model: onnx.ModelProto) -> list[str]:
    """Name the nodes of the main graph, in order: by their name, or their first output where that is not unique."""
    seen: dict[str, int] = {}
    for node in model.graph.node:
        seen[node.name] = seen.get(node.name, 0) + 1
    return [node.name if node.name and seen[node.name] == 1 else node.output[0] for node in model.graph.node]


def attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    """Return a node's number attribute, or `default` where it is not given."""
    for entry in node.attribute:
        if entry.name == name:
            return float(entry.f if entry.type == onnx.AttributeProto.FLOAT else entry.i)
    return default


class Editor:
    """The main graph of a model, open for changes; `close` puts them into the model."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Open `model`, weights in memory; its nodes and initializers are stale until `close`."""
        self.model = model
        self._nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
        self._index = {key: position for position, key in enumerate(node_keys(model))}
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._added: list[onnx.NodeProto] = []
        self._gone: set[int] = set()
        self._names = {name for node in self._nodes for name in (*node.input, *node.output)} | set(self._tensors)
        self._domains: set[str] = set()
        self._ranks: dict[str, int] | None = None
        self.done: dict[str, str] = {}

    def node(self, key: str) -> onnx.NodeProto:
        """Return the node of that key (see `node_keys`), which may be changed in place.

        Args:
            key: of one of the model's own nodes.

        Returns:
            The node.

        Raises:
            InputError: there is none.
        """
        if key not in self._index:
            raise InputError(f"node {key!r} is not in the graph")
        return self._nodes[self._index[key]]

    def order(self, keys: Iterable[str]) -> list[str]:
        """Return keys in the order in which the graph runs their nodes."""
        return sorted(keys, key=lambda key: self._index[key])

    def key_of(self, node: onnx.NodeProto) -> str:
        """Return the key of one of the model's own nodes.

        Args:
            node: as `node` returned it.

        Returns:
            Its key.

        Raises:
            InputError: it was added since.
        """
        for key, position in self._index.items():
            if self._nodes[position] is node:
                return key
        raise InputError(f"node '{node.name}' is not one of the graph's own")

    def rank(self, tensor: str) -> int | None:
        """Return the number of axes of a tensor of the model as it was opened; None where it cannot be told."""
        if self._ranks is None:
            self._ranks = _ranks(self.model)
        return self._ranks.get(tensor)

    def producer(self, tensor: str) -> onnx.NodeProto | None:
        """Return the node that writes a tensor; None for an input or a constant."""
        return next((node for node in self.nodes() if tensor in node.output), None)

    def readers(self, tensor: str) -> list[onnx.NodeProto]:
        """Return the nodes that read a tensor; a node that reads it twice comes once."""
        return [node for node in self.nodes() if tensor in node.input]

    def nodes(self) -> list[onnx.NodeProto]:
        """Return all nodes as they stand, new ones last."""
        return [node for i, node in enumerate(self._nodes) if i not in self._gone] + self._added

    def is_output(self, tensor: str) -> bool:
        """Tell whether a tensor is an output of the graph."""
        return any(output.name == tensor for output in self.model.graph.output)

    def is_constant(self, tensor: str) -> bool:
        """Tell whether a tensor is stored in the graph."""
        return tensor in self._tensors

    def value(self, tensor: str) -> npt.NDArray[np.float32]:
        """Return a stored tensor.

        Args:
            tensor: its name.

        Returns:
            Its values, float32 or as they are stored.

        Raises:
            ConversionError: it holds infinity or NaN, from which no scale can be computed.
        """
        found: npt.NDArray[np.float32] = numpy_helper.to_array(self._tensors[tensor])
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise ConversionError(
                f"weights '{tensor}' hold infinity or NaN; convert the model again from sound weights"
            )
        return found

    def constant(self, name: str, array: npt.NDArray[np.generic]) -> str:
        """Store a tensor under a name that is free (`name`, or `name` with a number) and return that name."""
        name = self.free(name)
        self._tensors[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def store(self, tensor: TensorProto) -> str:
        """Store a tensor of a type that NumPy lacks, as `constant` does."""
        name = self.free(str(tensor.name))
        tensor.name = name
        self._tensors[name] = tensor
        return name

    def free(self, name: str) -> str:
        """Reserve and return a tensor name that nothing else has: `name`, or `name` with a number."""
        found, count = name, 1
        while found in self._names:
            count += 1
            found = f"{name}.{count}"
        self._names.add(found)
        return found

    def add(
        self,
        op: str,
        inputs: Sequence[str],
        output: str,
        *,
        domain: str = "",
        numbers: dict[str, int | float] | None = None,
    ) -> str:
        """Add a node with one output; it is sorted into its place by `close`.

        Args:
            op: operator.
            inputs: names of tensors.
            output: name of the output, used as it is: reserve it with `free`, or take over a removed node's.
            domain: of the operator; an operator set of version 1 is declared for it.
            numbers: attributes.

        Returns:
            `output`.
        """
        node = helper.make_node(op, list(inputs), [output], name=f"{output}/{op}", domain=domain, **(numbers or {}))
        self._added.append(node)
        if domain:
            self._domains.add(domain)
        return output

    def extend(self, nodes: Iterable[onnx.NodeProto]) -> None:
        """Add nodes of ONNX's own operators; they are sorted into their places by `close`."""
        self._added.extend(nodes)

    def remove(self, key: str) -> None:
        """Remove a node; whoever calls this adds one that writes its output."""
        self._gone.add(self._index[key])

    def close(self) -> onnx.ModelProto:
        """Write the changes into the model: nodes sorted, unused constants gone; return the model."""
        nodes = _sorted(self.nodes())
        constants = [onnx.TensorProto.FromString(t.SerializeToString()) for t in self._new_tensors()]
        del self.model.graph.node[:]
        self.model.graph.node.extend(nodes)
        self.model.graph.initializer.extend(constants)
        _drop_dead(self.model)
        simplify.drop_unused(self.model)
        known = {entry.domain for entry in self.model.opset_import}
        for domain in sorted(self._domains - known):
            self.model.opset_import.append(helper.make_opsetid(domain, 1))
        return self.model

    def _new_tensors(self) -> list[TensorProto]:
        old = {tensor.name for tensor in self.model.graph.initializer}
        return [tensor for name, tensor in self._tensors.items() if name not in old]


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    """Infer ranks without the weights: a copy of gigabytes would not pass through protobuf."""
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph = light.graph
    graph.name = "ranks"
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        if np.prod(tensor.dims) * 8 <= store.INLINE_BYTES and store.external_location(tensor) is None:
            graph.initializer.append(tensor)
        else:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    inferred = onnx.shape_inference.infer_shapes(light).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    return {v.name: len(v.type.tensor_type.shape.dim) for v in values if v.type.tensor_type.HasField("shape")}


def _sorted(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Sort topologically; nodes that are in order already keep it."""
    producer = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    placed: list[onnx.NodeProto] = []
    state = [0] * len(nodes)  # 0 untouched, 1 waiting for its inputs, 2 placed
    for start in range(len(nodes)):
        stack = [start]
        while stack:
            i = stack[-1]
            if state[i] == 2:
                stack.pop()
                continue
            waiting = [producer[name] for name in reads(nodes[i]) if name in producer and state[producer[name]] != 2]
            if not waiting:
                state[i] = 2
                placed.append(nodes[stack.pop()])
            elif state[i] == 1:
                raise ConversionError(f"node '{nodes[i].name}' would read its own result")
            else:
                state[i] = 1
                stack.extend(waiting)
    return placed


def reads(node: onnx.NodeProto) -> list[str]:
    """Return every tensor that a node reads, those that its bodies take from outside included."""
    found = [name for name in node.input if name]
    for entry in node.attribute:
        for body in (entry.g, *entry.graphs):
            found += [name for inner in body.node for name in reads(inner)]
    return found


def _drop_dead(model: onnx.ModelProto) -> None:
    """Remove nodes that nothing reads."""
    wanted = {output.name for output in model.graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(model.graph.node):
        if any(name in wanted for name in node.output):
            kept.append(onnx.NodeProto.FromString(node.SerializeToString()))
            wanted.update(reads(node))
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))


def check_constants(model: onnx.ModelProto) -> None:
    """Refuse a model that stores infinity or NaN.

    Args:
        model: weights in memory.

    Raises:
        ConversionError: a constant does; the message names it.
    """
    for name, tensor in walk.constants(model):
        if tensor.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
            values = numpy_helper.to_array(tensor)
            if not np.isfinite(values).all():
                raise ConversionError(f"constant '{name}' holds infinity or NaN")
