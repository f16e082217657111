"""A tower of the teacher's bundle in the student's folder, and the module made of it."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from edgekit.bundle.manifest import TensorSpec
from edgekit.converters import parity
from edgekit.converters.distill.students.onnx_ends import beginning, ending, planes_of
from edgekit.converters.distill.students.onnx_tower import OnnxTower
from edgekit.converters.export import first_line
from edgekit.converters.graph import simplify, store
from edgekit.errors import ConversionError, UnsupportedModelError

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx
    from torch import Tensor

    from edgekit.bundle.manifest import ImageSpec, TextSpec
    from edgekit.converters.distill.students.reference import Reference

_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, UnsupportedModelError)
_ROWS = 3  # neither of the sizes that a graph may have been traced at


class FromPlanes(nn.Module):
    """A tower that takes pixels, given normalized planes: the pixels are computed back."""

    mean: Tensor
    std: Tensor

    def __init__(self, base: OnnxTower, spec: ImageSpec) -> None:
        """Wrap `base`."""
        super().__init__()
        self.base = base
        self.last = f"base.{base.last}" if base.last else ""
        for name in ("mean", "std"):
            values = torch.tensor(getattr(spec, name)).reshape(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, planes: Tensor) -> Tensor:
        """Map float32 (N, 3, H, W) to float32 (N, D)."""
        rows: Tensor = self.base(((planes * self.std + self.mean) * 255).permute(0, 2, 3, 1))
        return rows


def take(reference: Reference, tower: str, field: str, folder: Path) -> None:
    """Copy a tower of the teacher into the student's folder, without its scaling of pixels and its unit rows.

    Args:
        reference: the first teacher.
        tower: ``image`` or ``text``.
        field: of the recipe, for messages.
        folder: where ``<tower>.onnx`` goes.

    Raises:
        InputError: the bundle holds no float32 ONNX variant.
        UnsupportedModelError: the graph has an operator that cannot be trained.
        ConversionError: the module does not compute what the graph does.
    """
    bundle, variant = reference.needed(field), reference.float_variant(field)
    record = variant.image if tower == "image" else reference.text_tower(field)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".teacher-") as name:
        for member in (record.artifact, *record.sidecars):
            (Path(name) / PurePosixPath(member).name).write_bytes(bundle.read(member))
        graph = Path(name) / PurePosixPath(record.artifact).name
        model = store.load(graph)
        simplify.lift_constants(model)
        given = _pixels(bundle.manifest.image) if tower == "image" else _ids(bundle.text)
        expected = _run(graph, given)
        try:
            source = beginning(model, bundle.manifest.image) if tower == "image" else ""
            result = ending(model, torch.from_numpy(given))
            _trim(model, source or model.graph.input[0].name, result)
            store.save(model, folder / f"{tower}.onnx")
            _check(folder, tower, bundle.manifest.image, given, expected)
        except _ERRORS as error:
            raise UnsupportedModelError(
                f"{field}: {bundle.where}: {record.artifact}: cannot be trained: {first_line(error)}"
            ) from error


def image_module(folder: Path, spec: ImageSpec) -> nn.Module:
    """Make a module of the image tower in a student's folder.

    Args:
        folder: holds ``image.onnx``.
        spec: preprocessing.

    Returns:
        float32 (N, 3, H, W) normalized planes to float32 (N, D).
    """
    tower = _tower(folder / "image.onnx")
    return FromPlanes(tower, spec) if tower.takes_pixels else tower


def text_module(folder: Path) -> nn.Module:
    """Make a module of the text tower in a student's folder.

    Args:
        folder: holds ``text.onnx``.

    Returns:
        int64 (N, L) to float32 (N, D), for the lengths that the graph takes.
    """
    return _tower(folder / "text.onnx")


def _tower(path: Path) -> OnnxTower:
    model = store.load(path)
    if not model.graph.input or not model.graph.output:
        raise ConversionError(f"{path}: holds no tower; run edgekit distill again with --restart")
    return OnnxTower(model, model.graph.input[0].name, model.graph.output[0].name)


def _trim(model: onnx.ModelProto, source: str, result: str) -> None:
    """Keep what lies between two tensors, in place."""
    import onnx

    if source != model.graph.input[0].name:
        given = onnx.helper.make_tensor_value_info(source, onnx.TensorProto.FLOAT, ["N", 3, "H", "W"])
        model.graph.input[0].CopyFrom(given)
    if result != model.graph.output[0].name:
        model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, ["N", "D"]))
    wanted, kept = {result}, []
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output) and source not in node.output:
            wanted.update(node.input)
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    simplify.drop_unused(model)


def _pixels(image: ImageSpec) -> npt.NDArray[np.generic]:
    return parity.example(TensorSpec("pixels", "uint8", ("N", image.height, image.width, 3)), _ROWS, 0)


def _ids(text: TextSpec) -> npt.NDArray[np.generic]:
    ids = parity.example(TensorSpec("token_ids", "int32", ("N", "L")), _ROWS, text.context_length)
    # Ids that every vocabulary has, however small.
    return np.minimum(ids.astype(np.int32), 9)


def _check(
    folder: Path,
    tower: str,
    spec: ImageSpec,
    given: npt.NDArray[np.generic],
    expected: npt.NDArray[np.float32],
) -> None:
    batch = torch.from_numpy(given)
    with torch.no_grad():
        if tower == "image":
            rows = image_module(folder, spec).eval()(planes_of(batch, spec))
        else:
            rows = text_module(folder).eval()(batch.long())
    difference = float((nn.functional.normalize(rows, dim=-1) - torch.from_numpy(expected)).abs().max())
    if not difference <= parity.LIMIT:
        raise ConversionError(
            f"{tower} tower: its module differs from the graph by {difference:.2g} (limit {parity.LIMIT:g})"
        )


def _run(graph: Path, given: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    (name,) = (one.name for one in session.get_inputs())
    found: npt.NDArray[np.float32] = session.run(None, {name: given})[0]
    return found
