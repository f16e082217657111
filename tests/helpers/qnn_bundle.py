"""The tiny bundle with a variant for Qualcomm's processor, which the simulator runs: only its image tower is for it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx

import qnn_models
import tiny_bundle as tiny
from edgekit import golden
from edgekit.adapting import PROJECTION
from edgekit.bundle.manifest import Tolerance
from edgekit.bundle.reader import open_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.bundle.manifest import Manifest

VARIANT = "qcs6490-a16w8"
_LOOSE = Tolerance(0.95, 0.9)


def build(folder: Path) -> Path:
    """Write ``two.edge`` below `folder`: the variants ``fp32`` and `VARIANT`; return its path."""
    bundle = open_bundle(tiny.build(folder / "tiny.edge"))
    float_tower, out = folder / "static.onnx", folder / "image.onnx"
    record = bundle.manifest.variants[0].towers["image"]
    names = {path: path.rpartition("/")[2] for path in record.sidecars}
    for path, name in names.items():
        (folder / name).write_bytes(bytes(bundle.read(path)))
    float_tower.write_bytes(bytes(bundle.read(record.artifact)))
    model = onnx.load(str(float_tower))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    _end_at_projection(model)
    onnx.save(model, str(float_tower))
    stored = np.asarray(golden.inputs(bundle, "image"), np.uint8)
    # Photos that are not among the golden ones must not leave the ranges: flat fields of every colour's ends.
    flat = [np.broadcast_to(np.uint8(colour), stored.shape[1:]) for colour in itertools.product((0, 255), repeat=3)]
    pixels = [np.ascontiguousarray(row)[None] for row in (*stored, *flat)]
    qnn_models.quantize_file(float_tower, out, pixels, 16)

    def add(manifest: Manifest) -> Manifest:
        first = manifest.variants[0]
        image = replace(
            first.image,
            artifact=f"variants/{VARIANT}/image.onnx",
            sidecars=(),
            input=replace(first.image.input, shape=(1, *first.image.input.shape[1:])),
            output=replace(first.image.output, name=PROJECTION, shape=(1, *first.image.output.shape[1:])),
            tolerance=_LOOSE,
        )
        made = replace(first, id=VARIANT, target="qcs6490", precision="a16w8", image=image)
        return replace(manifest, variants=(first, made))

    return tiny.build(folder / "two.edge", change=add, extra={f"variants/{VARIANT}/image.onnx": out.read_bytes()})


def _end_at_projection(model: onnx.ModelProto) -> None:
    """Leave the length to the SDK, as edgekit's own targets do: eight bits of it would be too few."""
    graph = model.graph
    last = next(node for node in graph.node if node.op_type == "ReduceL2")
    del graph.node[list(graph.node).index(last) :]
    # The matrix has the name that the output is to have.
    matrix = next(one for one in graph.initializer if one.name == graph.node[-1].input[1])
    matrix.name = graph.node[-1].input[1] = "matrix"
    graph.node[-1].output[0] = graph.output[0].name = PROJECTION
    assert graph.node[-1].op_type == "MatMul"
