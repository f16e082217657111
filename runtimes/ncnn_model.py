"""What an ncnn model says of itself: the layers of its ``.param`` file, and the tensors of edgekit's sidecar.

ncnn's own files tell neither the types of inputs nor that a batch exists. The sidecar does, as JSON::

    {"inputs": [{"name": "token_ids", "dtype": "int32", "shape": [null, 77],
                 "blobs": [{"name": "ids", "dtype": "int32"}, {"name": "ids_f", "dtype": "float32"}]}],
     "outputs": [{"name": "projection", "shape": [null, 512], "blob": "out0"}]}

An input may feed several blobs: a table of words reads int32, and arithmetic on ids reads float32.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.runtimes.protocol import TensorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

SPECS, WEIGHTS = ".json", ".bin"
"""How the names of the two sidecars end."""

_MAGIC = "7767517"
_BLOB_TYPES = frozenset({"float32", "int32"})
_INPUT_TYPES = frozenset({"uint8", "int32", "float32"})


@dataclass(frozen=True)
class Layer:
    """One line of a ``.param`` file: ncnn runs the layers in this order, and fuses none."""

    kind: str
    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]


@dataclass(frozen=True)
class Given:
    """An input as the caller gives it, and the blobs that get it: name and NumPy type."""

    info: TensorInfo
    blobs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Taken:
    """An output as the caller gets it, float32, and the blob that has it."""

    info: TensorInfo
    blob: str


@dataclass(frozen=True)
class Specs:
    """The tensors of a model; a batch is run row by row, so that its length is free unless the sidecar fixes it."""

    inputs: tuple[Given, ...]
    outputs: tuple[Taken, ...]


def layers(text: str) -> tuple[Layer, ...]:
    """Read a ``.param`` file; ncnn trusts what it says about blobs, so that it is checked first.

    Args:
        text: of the file.

    Returns:
        The layers in the order of the file.

    Raises:
        ValueError: it is no such file, is cut off, or a layer reads a blob that none before it writes.
    """
    lines = text.split("\n")
    if lines[0].strip() != _MAGIC:
        raise ValueError(f"it does not begin with {_MAGIC}")
    counts = lines[1].split() if len(lines) > 1 else []
    rows = [line.split() for line in lines[2:] if line.strip()]
    if len(counts) != 2 or counts[0] != str(len(rows)):
        raise ValueError(f"its second line does not count the {len(rows)} layers")
    found: list[Layer] = []
    written: set[str] = set()
    for row in rows:
        layer = _layer(row)
        missing = [name for name in layer.bottoms if name not in written]
        again = [name for name in layer.tops if name in written]
        if missing or again:
            what = f"reads {missing[0]}, which no layer before it writes" if missing else f"writes {again[0]} again"
            raise ValueError(f"layer {layer.name} {what}")
        written.update(layer.tops)
        found.append(layer)
    if counts[1] != str(len(written)):
        raise ValueError(f"its second line does not count the {len(written)} blobs")
    return tuple(found)


def specs(content: bytes, known: tuple[Layer, ...]) -> Specs:
    """Read the sidecar that says the tensors.

    Args:
        content: of the file.
        known: layers of the model, whose blobs it may name.

    Returns:
        The tensors.

    Raises:
        ValueError: it is no JSON of that form, or names a blob that the model does not have.
    """
    try:
        plain = json.loads(content)
        inputs = tuple(_given(one) for one in plain["inputs"])
        outputs = tuple(_taken(one) for one in plain["outputs"])
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"its sidecar has another form ({error!r})") from error
    fed = {layer.tops[0] for layer in known if layer.kind == "Input"}
    named = [name for one in inputs for name, _ in one.blobs]
    if sorted(named) != sorted(fed) or not inputs or not outputs:
        raise ValueError(f"its inputs are {sorted(fed)}, the sidecar says {sorted(named)}")
    written = {name for layer in known for name in layer.tops}
    lost = [one.blob for one in outputs if one.blob not in written]
    if lost:
        raise ValueError(f"it has no blob {lost[0]}, which the sidecar names")
    return Specs(inputs, outputs)


def _layer(row: list[str]) -> Layer:
    try:
        kind, name, bottoms, tops = row[0], row[1], int(row[2]), int(row[3])
    except (IndexError, ValueError) as error:
        raise ValueError(f"the line '{' '.join(row[:4])}' is no layer") from error
    blobs = row[4 : 4 + bottoms + tops]
    if min(bottoms, tops) < 0 or len(blobs) != bottoms + tops or any("=" in blob for blob in blobs):
        raise ValueError(f"layer {name} is cut off")
    return Layer(kind, name, tuple(blobs[:bottoms]), tuple(blobs[bottoms:]))


def _given(plain: Mapping[str, Any]) -> Given:
    blobs = tuple((str(one["name"]), str(one["dtype"])) for one in plain["blobs"])
    unknown = [dtype for _, dtype in blobs if dtype not in _BLOB_TYPES]
    if plain["dtype"] not in _INPUT_TYPES or unknown:
        raise ValueError(f"its sidecar gives {plain['name']} a type that ncnn does not take")
    return Given(TensorInfo(str(plain["name"]), str(plain["dtype"]), _shape(plain)), blobs)


def _taken(plain: Mapping[str, Any]) -> Taken:
    return Taken(TensorInfo(str(plain["name"]), "float32", _shape(plain)), str(plain["blob"]))


def _shape(plain: Mapping[str, Any]) -> tuple[int | None, ...]:
    shape = tuple(None if size is None else int(size) for size in plain["shape"])
    if len(shape) < 2:
        raise ValueError(f"its sidecar gives {plain['name']} the shape {shape}; a batch and a row are needed")
    return shape
