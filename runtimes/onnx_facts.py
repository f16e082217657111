"""What kinds of numbers and operators an ONNX file holds, without the `onnx` package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError
from edgekit.runtimes import onnx_external

if TYPE_CHECKING:
    from collections.abc import Iterator

# Field numbers of onnx.proto3; of an input those on the way to one of its dimensions.
_OP_TYPE, _DATA_TYPE, _INPUT = 4, 2, 11
_TO_DIMENSION = (2, 1, 2, 1)  # ValueInfoProto.type, .tensor_type, .shape, .dim
_DIM_VALUE = 1
_GRAPH = 7  # ModelProto.graph
_MAX_DEPTH = 64
FLOAT16 = 10
"""ONNX's number of the type float16."""


@dataclass(frozen=True)
class Facts:
    """What a model holds.

    Attributes:
        operators: types of its nodes, those of subgraphs and functions included.
        stored: ONNX's numbers of its tensors' types.
        static: whether each input has one shape alone.
    """

    operators: frozenset[str]
    stored: frozenset[int]
    static: bool

    @property
    def quantized(self) -> bool:
        """Whether it says by pairs of nodes what is held in integers."""
        return "DequantizeLinear" in self.operators

    @property
    def half(self) -> bool:
        """Whether it stores float16."""
        return FLOAT16 in self.stored


def read(model: bytes | memoryview, name: str) -> Facts:
    """Read a model's facts.

    Args:
        model: a serialised ModelProto.
        name: for messages.

    Returns:
        The facts.

    Raises:
        ExecutionError: the bytes are not a well-formed message.
    """
    operators, stored = set[str](), set[int]()
    data = memoryview(model)
    try:
        _walk(data, "model", operators, stored, 0)
        static = all(map(_fixed, _inside(data, (_GRAPH, _INPUT, *_TO_DIMENSION))))
    except (IndexError, ValueError) as error:
        raise ExecutionError(f"{name}: not a well-formed ONNX model: {error}") from error
    return Facts(frozenset(operators), frozenset(stored), static)


def _walk(data: memoryview, kind: str, operators: set[str], stored: set[int], depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError("subgraphs are nested too deeply")
    for number, start, body, _ in onnx_external.fields(data):
        inner = onnx_external.FIELDS[kind].get(number)
        if body is not None and inner is not None:
            _walk(body, inner, operators, stored, depth + 1)
        elif kind == "node" and number == _OP_TYPE and body is not None:
            operators.add(bytes(body).decode())
        elif kind == "tensor" and number == _DATA_TYPE and body is None:
            _, at = onnx_external.read_varint(data, start)
            value, _ = onnx_external.read_varint(data, at)
            stored.add(value)


def _inside(data: memoryview, path: tuple[int, ...]) -> Iterator[memoryview]:
    """Yield every message at the end of a path of field numbers."""
    for number, _, body, _ in onnx_external.fields(data):
        if body is not None and number == path[0]:
            if len(path) == 1:
                yield body
            else:
                yield from _inside(body, path[1:])


def _fixed(dimension: memoryview) -> bool:
    return any(number == _DIM_VALUE for number, _, _, _ in onnx_external.fields(dimension))
