"""ONNX external data without the `onnx` package: find the references, point them at where the bytes are.

An ONNX file is one protocol-buffer message. Only the fields on the way to a tensor are followed; their numbers are
those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3). Everything else is copied as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# message kind -> field number -> kind of the message in that field
FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA = 13
_MAX_DEPTH = 64


@dataclass(frozen=True)
class External:
    """A tensor's reference to a file: its location, and the offset and length in bytes (None: to the end)."""

    location: str
    offset: int
    length: int | None


def references(model: bytes | memoryview, name: str) -> list[External]:
    """Return every external-data reference in a model, including those in subgraphs and functions.

    Args:
        model: a serialised ModelProto.
        name: for messages.

    Returns:
        The references, in file order.

    Raises:
        ExecutionError: the bytes are not a well-formed message.
    """
    found: list[External] = []

    def keep(reference: External) -> External:
        found.append(reference)
        return reference

    rewrite(model, name, keep)
    return found


def rewrite(model: bytes | memoryview, name: str, change: Callable[[External], External]) -> bytes:
    """Return the model with every external-data reference passed through `change`.

    Args:
        model: a serialised ModelProto.
        name: for messages.
        change: from the old reference to the new one.

    Returns:
        A serialised ModelProto.

    Raises:
        ExecutionError: the bytes are not a well-formed message.
    """
    try:
        return _message(memoryview(model), "model", change, 0)
    except (IndexError, ValueError) as error:
        raise ExecutionError(f"{name}: not a well-formed ONNX model: {error}") from error


def _message(data: memoryview, kind: str, change: Callable[[External], External], depth: int) -> bytes:
    if depth > _MAX_DEPTH:
        raise ValueError("subgraphs are nested too deeply")
    out: list[bytes | memoryview] = []
    entries: dict[str, str] = {}
    for number, start, body, end in fields(data):
        inner = FIELDS[kind].get(number)
        if body is not None and inner is not None:
            out += _field(number, _message(body, inner, change, depth + 1))
        elif body is not None and kind == "tensor" and number == _EXTERNAL_DATA:
            key, value = _entry(body)
            entries[key] = value
        else:
            out.append(data[start:end])
    if entries:
        out += _encode(change(_reference(entries)))
    return b"".join(out)


def _reference(entries: dict[str, str]) -> External:
    length = entries.get("length")
    return External(
        entries.get("location", ""), int(entries.get("offset", "0")), None if length is None else int(length)
    )


def _encode(reference: External) -> list[bytes | memoryview]:
    entries = {"location": reference.location, "offset": str(reference.offset)}
    if reference.length is not None:
        entries["length"] = str(reference.length)
    out: list[bytes | memoryview] = []
    for key, value in entries.items():
        out += _field(_EXTERNAL_DATA, b"".join([*_field(1, key.encode()), *_field(2, value.encode())]))
    return out


def _entry(data: memoryview) -> tuple[str, str]:
    texts = {number: bytes(body).decode() for number, _, body, _ in fields(data) if body is not None}
    return texts.get(1, ""), texts.get(2, "")


def _field(number: int, body: bytes) -> list[bytes | memoryview]:
    return [_varint(number << 3 | 2) + _varint(len(body)), body]


def fields(data: memoryview) -> Iterator[tuple[int, int, memoryview | None, int]]:
    """Read a message's fields.

    Args:
        data: the message.

    Yields:
        Field number, start, body or None when it has no length, end.

    Raises:
        ValueError: the message is not well formed.
    """
    at = 0
    while at < len(data):
        start = at
        key, at = read_varint(data, at)
        wire, body = key & 7, None
        if wire == 0:
            _, at = read_varint(data, at)
        elif wire == 1:
            at += 8
        elif wire == 5:
            at += 4
        elif wire == 2:
            length, at = read_varint(data, at)
            body = data[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {wire} at byte {start}")
        if at > len(data):
            raise ValueError(f"a field at byte {start} is longer than the file")
        yield key >> 3, start, body, at


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """Read a number of variable length.

    Args:
        data: the message.
        at: where the number starts.

    Returns:
        The number, and where the next thing starts.

    Raises:
        ValueError: it is longer than 64 bits.
    """
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(f"a number at byte {at} is too long")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
