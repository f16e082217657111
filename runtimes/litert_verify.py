"""Check that every reference inside a TensorFlow Lite file stays inside it.

`tflite-runtime` follows a damaged file's references wherever they lead, which ends the process; `ai-edge-litert` checks
them by itself, but not that what it needs is there. The layout is FlatBuffers' binary format: a table begins with the
distance to its list of fields, which holds each field's place in the table; strings, vectors and tables are referred to
by their distance. The tables and their fields' numbers are those of TensorFlow Lite's schema, version 3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeAlias

_IDENTIFIER = b"TFL3"


@dataclass(frozen=True)
class _Scalars:
    """A vector or a string of elements of `size` bytes."""

    size: int


@dataclass(frozen=True)
class _Table:
    """A table, or a vector of tables."""

    kind: str
    many: bool = False


_Field: TypeAlias = "_Scalars | _Table"
_INTS, _LONGS, _BYTES = _Scalars(4), _Scalars(8), _Scalars(1)
# Fields that are a single number need no check of their own. A kind that is not listed
# is checked for its own place only.
_REFERENCES: dict[str, dict[int, _Field]] = {
    "Model": {
        1: _Table("OperatorCode", many=True),
        2: _Table("SubGraph", many=True),
        3: _BYTES,
        4: _Table("Buffer", many=True),
        5: _INTS,
        6: _Table("Metadata", many=True),
        7: _Table("SignatureDef", many=True),
    },
    "OperatorCode": {1: _BYTES},
    "SubGraph": {0: _Table("Tensor", many=True), 1: _INTS, 2: _INTS, 3: _Table("Operator", many=True), 4: _BYTES},
    "Tensor": {0: _INTS, 3: _BYTES, 4: _Table("Quantization"), 6: _Table("Sparsity"), 7: _INTS},
    "Quantization": {0: _INTS, 1: _INTS, 2: _INTS, 3: _LONGS, 5: _Table("Options")},
    "Sparsity": {0: _INTS, 1: _INTS, 2: _Table("DimensionMetadata", many=True)},
    "DimensionMetadata": {3: _Table("Options"), 5: _Table("Options")},
    "Operator": {1: _INTS, 2: _INTS, 4: _Table("Options"), 5: _BYTES, 7: _BYTES, 8: _INTS, 12: _Table("Options")},
    "Shape": {0: _INTS},
    "Buffer": {0: _BYTES},
    "Metadata": {0: _BYTES},
    "SignatureDef": {0: _Table("TensorMap", many=True), 1: _Table("TensorMap", many=True), 2: _BYTES},
    "TensorMap": {0: _BYTES},
}
# References that a reader follows without asking whether they are there.
_REQUIRED = {"Model": (1, 2, 4), "SubGraph": (0, 3), "SignatureDef": (0, 1, 2), "TensorMap": (0,), "Metadata": (0,)}
# Of an operator's options only those of RESHAPE and SQUEEZE hold a list; their numbers in the schema's union.
_WITH_SHAPE = (17, 30)


def problem(data: memoryview) -> str:
    """Say what is wrong with a file.

    Args:
        data: the whole file.

    Returns:
        What is wrong, or an empty string when every reference stays inside.
    """
    if data[4:8] != _IDENTIFIER:
        return "it is not a TensorFlow Lite file"
    try:
        (root,) = struct.unpack_from("<I", data)
        _Check(data).table(root, "Model")
    except (struct.error, _OutsideError) as error:
        return f"it is damaged: {error}"
    return ""


class _OutsideError(Exception):
    """A reference leaves the file, or leads nowhere."""


class _Check:
    """One pass over a file; a table that is referred to twice is looked at once, so that the pass ends."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._seen: set[tuple[int, str]] = set()

    def table(self, at: int, kind: str) -> None:
        """Check the table of a kind that begins at a byte, and whatever it refers to."""
        if (at, kind) in self._seen:
            return
        self._seen.add((at, kind))
        fields = at - struct.unpack_from("<i", self._data, at)[0]
        if fields < 0:
            raise _OutsideError(f"{kind} at byte {at} begins before the file")
        fields_size, size = struct.unpack_from("<HH", self._data, fields)
        if fields_size < 4 or fields_size % 2 or size < 4 or max(fields + fields_size, at + size) > len(self._data):
            raise _OutsideError(f"{kind} at byte {at} is cut off")
        places = struct.unpack_from(f"<{fields_size // 2 - 2}H", self._data, fields + 4)
        if max(places, default=0) >= size:
            raise _OutsideError(f"{kind} at byte {at} has fields outside itself")
        if not all(number < len(places) and places[number] for number in _REQUIRED.get(kind, ())):
            raise _OutsideError(f"{kind} at byte {at} is incomplete")
        for number, field in _REFERENCES.get(kind, {}).items():
            if number < len(places) and places[number]:
                shaped = kind == "Operator" and number == 4 and places[3] and self._data[at + places[3]] in _WITH_SHAPE
                self._follow(self._target(at + places[number]), kind, _Table("Shape") if shaped else field)

    def _follow(self, at: int, kind: str, field: _Field) -> None:
        if isinstance(field, _Table) and not field.many:
            self.table(at, field.kind)
            return
        (count,) = struct.unpack_from("<I", self._data, at)
        if at + 4 + count * (field.size if isinstance(field, _Scalars) else 4) > len(self._data):
            raise _OutsideError(f"a list of {kind} at byte {at} is cut off")
        if isinstance(field, _Table):
            for place in range(at + 4, at + 4 + 4 * count, 4):
                self.table(self._target(place), field.kind)

    def _target(self, place: int) -> int:
        return place + int(struct.unpack_from("<I", self._data, place)[0])
