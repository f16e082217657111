"""Exact, value-preserving clean-ups of an exported graph: nothing here changes a result by one bit."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import onnx
from onnx import numpy_helper

from edgekit.converters.graph import walk

if TYPE_CHECKING:
    from collections.abc import Sequence


def lift_constants(model: onnx.ModelProto) -> int:
    """Turn the Constant nodes of the main graph into initializers, in place; return how many.

    Masks and tables arrive as attributes of Constant nodes, where they can be neither shared nor stored outside.
    """
    kept, lifted = [], 0
    for node in model.graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None) if node.op_type == "Constant" else None
        if value is None:
            kept.append(node)
            continue
        tensor = model.graph.initializer.add()
        tensor.CopyFrom(value)
        tensor.name = node.output[0]
        lifted += 1
    _replace_nodes(model, kept)
    return lifted


def drop_identities(model: onnx.ModelProto) -> int:
    """Remove Identity nodes of the main graph that do not write a graph output, in place; return how many."""
    outputs = {output.name for output in model.graph.output}
    names: dict[str, str] = {}
    kept = []
    for node in model.graph.node:
        if node.op_type == "Identity" and node.output[0] not in outputs:
            # Nodes come in topological order, so a chain of identities is resolved here.
            names[node.output[0]] = names.get(node.input[0], node.input[0])
        else:
            kept.append(node)
    _replace_nodes(model, kept)
    walk.rename_inputs(model, names)
    return len(names)


def share_initializers(model: onnx.ModelProto) -> int:
    """Keep one copy of each set of identical initializers of the main graph, in place; return how many went."""
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    names: dict[str, str] = {}
    for tensor in model.graph.initializer:
        content = tensor.raw_data or numpy_helper.to_array(tensor).tobytes()
        key = (tensor.data_type, tuple(tensor.dims), hashlib.sha256(content).digest())
        if key in first:
            names[tensor.name] = first[key]
        else:
            first[key] = tensor.name
    _delete_initializers(model, set(names))
    walk.rename_inputs(model, names)
    return len(names)


def drop_unused(model: onnx.ModelProto) -> int:
    """Remove initializers that no node reads, in place; return how many."""
    used = set(walk.consumers(model)) | {output.name for graph in walk.graphs(model) for output in graph.output}
    unused = {tensor.name for tensor in model.graph.initializer if tensor.name not in used}
    _delete_initializers(model, unused)
    return len(unused)


def drop_unread(model: onnx.ModelProto) -> int:
    """Remove nodes of the main graph whose results nothing reads, and what was made for them alone, in place.

    A rewrite that takes a node's reader away leaves it behind: compilers refuse it, or keep an input for it that they
    then have no use for.

    Args:
        model: its nodes in the order in which they run.

    Returns:
        How many went; initializers that nothing reads any more went as well.
    """
    # Bodies of control flow count as read, whoever holds them.
    bodies = [graph for graph in walk.graphs(model) if graph is not model.graph]
    read = {output.name for graph in walk.graphs(model) for output in graph.output}
    read.update(name for graph in bodies for node in graph.node for name in node.input)
    kept: list[onnx.NodeProto] = []
    for node in reversed(model.graph.node):
        if read.isdisjoint(name for name in node.output if name):
            continue
        kept.append(node)
        read.update(node.input)
    gone = len(model.graph.node) - len(kept)
    _replace_nodes(model, kept[::-1])
    drop_unused(model)
    return gone


def strip_metadata(model: onnx.ModelProto) -> None:
    """Remove documentation strings, metadata and intermediate shapes, in place.

    They hold source paths of the machine that exported, and a shape recorded for one batch misleads readers.
    """
    model.doc_string = ""
    del model.metadata_props[:]
    for graph in walk.graphs(model):
        graph.doc_string = ""
        del graph.value_info[:]
        for node in graph.node:
            node.doc_string = ""
            del node.metadata_props[:]


def set_nodes(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Give a graph other nodes, in place.

    Args:
        graph: the graph.
        nodes: new ones, and of its own those that stay: they are copied, because clearing the list frees them.
    """
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)


def _replace_nodes(model: onnx.ModelProto, kept: list[onnx.NodeProto]) -> None:
    if len(kept) == len(model.graph.node):
        return
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _delete_initializers(model: onnx.ModelProto, names: set[str]) -> None:
    """Delete by position, from the end: rebuilding the list would hold a second copy of gigabytes of weights."""
    for position in range(len(model.graph.initializer) - 1, -1, -1):
        if model.graph.initializer[position].name in names:
            del model.graph.initializer[position]
