"""Whether a compiled ONNX file ("EP context") holds everything itself: without the `onnx` package, before it is opened.

An engine reads a context binary from wherever such a file points, the current folder included. Field numbers are those
of onnx.proto3, see `onnx_external`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError
from edgekit.runtimes import onnx_external

if TYPE_CHECKING:
    from collections.abc import Iterator

_GRAPH, _FUNCTION = 7, 25  # of ModelProto
_NODE = 1  # of GraphProto
_OP_TYPE, _ATTRIBUTE = 4, 5  # of NodeProto
_NAME, _INTEGER = 1, 3  # of AttributeProto
_OPERATOR, _MODE, _EMBEDDED = "EPContext", "embed_mode", 1


def problem(model: bytes) -> str:
    """Return why a compiled file is none that holds everything itself.

    Args:
        model: a serialised ModelProto.

    Returns:
        The reason; empty when each of its nodes is a context with its binary inside, and no tensor lies elsewhere.
    """
    data = memoryview(model)
    try:
        if onnx_external.references(data, ""):
            return "it points at another file"
        nodes = [node for graph in _inside(data, _GRAPH) for node in _inside(graph, _NODE)]
        kinds = {bytes(kind).decode() for node in nodes for kind in _inside(node, _OP_TYPE)}
        if kinds != {_OPERATOR} or any(True for _ in _inside(data, _FUNCTION)):
            return "it is not what a provider compiled"
        # A field that stands twice counts by its last value, which is why all of them are looked at.
        modes = [[mode for one in _inside(node, _ATTRIBUTE) for mode in _modes(one)] for node in nodes]
    except (ExecutionError, IndexError, ValueError):
        return "its file is no ONNX model"
    return "" if all(found and set(found) == {_EMBEDDED} for found in modes) else "it points at another file"


def _modes(attribute: memoryview) -> Iterator[int]:
    if _MODE.encode() not in [bytes(name) for name in _inside(attribute, _NAME)]:
        return
    for number, start, body, _ in onnx_external.fields(attribute):
        if number == _INTEGER and body is None:
            _, at = onnx_external.read_varint(attribute, start)
            yield onnx_external.read_varint(attribute, at)[0]


def _inside(data: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, _, body, _ in onnx_external.fields(data):
        if number == wanted and body is not None:
            yield body
