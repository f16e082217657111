"""The contract suite's model as ncnn's own files, written by hand."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import onnx_models
from edgekit.runtimes.protocol import Artifact, Blob

if TYPE_CHECKING:
    from pathlib import Path

# The tag of float32 weights in a .bin file; the parameters of each layer are those of ncnn's operator manual.
FLOAT32 = struct.pack("<I", 0)
PARAM = """7767517
8 8
Input            pixels   0 1 pixels
Input            ids      0 1 ids
Flatten          flatten  1 1 pixels flat
InnerProduct     multiply 1 1 flat product 0=3 1=0 2=144
Embed            gather   1 1 ids rows 0=3 1=7 2=0 3=21
Reduction        reduce   1 1 rows words 0=0 1=0 -23303=1,0 4=0 5=1
BinaryOp         add      2 1 product words sum 0=0
Crop             slice    1 1 sum first -23309=1,0 -23310=1,1 -23311=1,0
"""
WEIGHTS = FLOAT32 + onnx_models.MATRIX.T.tobytes() + FLOAT32 + onnx_models.TABLE.tobytes()


def specs(batch: int | None = None, length: int | None = None) -> bytes:
    def given(name: str, dtype: str, blob: str, shape: list[int | None]) -> dict[str, object]:
        return {"name": name, "dtype": dtype, "shape": shape, "blobs": [{"name": name, "dtype": blob}]}

    inputs = [given("pixels", "uint8", "float32", [batch, 4, 4, 3]), given("ids", "int32", "int32", [batch, length])]
    outputs = [{"name": name, "shape": [batch, size], "blob": name} for name, size in (("sum", 3), ("first", 1))]
    return json.dumps({"inputs": inputs, "outputs": outputs}).encode()


def artifact(folder: Path | None = None, batch: int | None = None, length: int | None = None) -> Artifact:
    """Return `onnx_models.two_inputs` as ncnn's files, in `folder` or in memory."""
    contents = {"m.param": PARAM.encode(), "m.bin": WEIGHTS, "m.json": specs(batch, length)}
    blobs = {name: Blob(memoryview(data)) for name, data in contents.items()}
    for name, data in contents.items() if folder else ():
        (folder / name).write_bytes(data)
        blobs[name] = Blob(memoryview(data), folder / name)
    return Artifact("test.param", "ncnn", blobs.pop("m.param"), blobs)
