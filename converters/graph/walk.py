"""Iterate over an ONNX model, bodies of control-flow nodes included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

if TYPE_CHECKING:
    from collections.abc import Iterator


def graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """Yield the main graph, then every graph held by a node's attribute, depth first."""
    yield from _with_bodies(model.graph)


def nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield every node of every graph of the model."""
    for graph in graphs(model):
        yield from graph.node


def constants(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Yield every tensor stored in the model: initializers, and tensors in attributes of nodes.

    Args:
        model: the model.

    Yields:
        The name under which nodes read the value (the node's output for an attribute) and the tensor itself,
        which may be changed in place.
    """
    for graph in graphs(model):
        for tensor in graph.initializer:
            yield tensor.name, tensor
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.TENSOR:
                    yield node.output[0], attribute.t


def consumers(model: onnx.ModelProto) -> dict[str, list[tuple[onnx.NodeProto, int]]]:
    """Map each value name to the nodes that read it, with the position it is read at."""
    found: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in nodes(model):
        for position, name in enumerate(node.input):
            found.setdefault(name, []).append((node, position))
    return found


def rename_inputs(model: onnx.ModelProto, names: dict[str, str]) -> None:
    """Make every node, and every graph output of a body, read `names[old]` where it read ``old``."""
    for graph in graphs(model):
        for node in graph.node:
            for position, name in enumerate(node.input):
                if name in names:
                    node.input[position] = names[name]
        if graph is not model.graph:
            for output in graph.output:
                output.name = names.get(output.name, output.name)


def _with_bodies(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _with_bodies(attribute.g)
            elif attribute.type == onnx.AttributeProto.GRAPHS:
                for body in attribute.graphs:
                    yield from _with_bodies(body)
