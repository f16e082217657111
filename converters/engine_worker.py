"""The child that opens exported graphs with an engine and stores what it computes; a crash here costs one error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.bundle.manifest import TensorSpec
from edgekit.bundle.members import mapped
from edgekit.converters import children, exchange
from edgekit.errors import ConversionError
from edgekit.runtimes import registry
from edgekit.runtimes.protocol import Artifact, Blob, SessionSettings

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.runtimes.protocol import Session, TensorInfo

RUNTIME, FORMAT, DEVICE = "onnxruntime", "onnx", "cpu"
BATCHES = (1, 5)
TRIMMED = "trimmed"
_FREE = {"image": ("N",), "text": ("N", "L")}


def main(folder: Path, storage: str) -> None:
    """Run the check inputs in `folder` through the graphs of one storage; leave outputs and their shapes there."""
    children.stage(f"checking {storage} towers")
    pixels = np.load(exchange.array(folder, "pixels"))
    ids = np.load(exchange.array(folder, "reference_token_ids"))
    image = _open(folder / storage / "image.onnx")
    found_image = _tensors(image, "image")
    _store(folder, storage, "image", image, pixels)
    image.close()
    text = _open(folder / storage / "text.onnx")
    found_text = _tensors(text, "text")
    _store(folder, storage, "text", text, ids)
    if found_text.input.shape[1] == "L":
        rows = [_run(text, row[None]) for row in exchange.trimmed_ids(folder)]
        np.save(exchange.array(folder, f"{storage}_text_{TRIMMED}"), np.concatenate(rows))
    text.close()
    shapes = exchange.Shapes(found_image, found_text, registry.get(RUNTIME).available().version)
    write_bytes(folder / storage / exchange.SHAPES, schema.dumps(shapes).encode())


def _open(path: Path) -> Session:
    sidecar = path.with_name(path.name + ".data")
    sidecars = {sidecar.name: _blob(sidecar)} if sidecar.exists() else {}
    return registry.get(RUNTIME).open(Artifact(path.name, FORMAT, _blob(path), sidecars), DEVICE, SessionSettings())


def _blob(path: Path) -> Blob:
    return Blob(mapped(path), path.absolute())


def _store(folder: Path, storage: str, tower: str, session: Session, inputs: npt.NDArray[np.generic]) -> None:
    for batch in BATCHES:
        rows = [_run(session, inputs[i : i + batch]) for i in range(0, len(inputs), batch)]
        np.save(exchange.array(folder, f"{storage}_{tower}_batch{batch}"), np.concatenate(rows))


def _run(session: Session, batch: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return session.run({session.inputs[0].name: batch})[session.outputs[0].name]


def _tensors(session: Session, tower: str) -> exchange.Tensors:
    if len(session.inputs) != 1 or len(session.outputs) != 1:
        raise ConversionError(
            f"{tower}.onnx: has {len(session.inputs)} inputs and {len(session.outputs)} outputs, not 1"
        )
    return exchange.Tensors(_spec(session.inputs[0], tower, _FREE[tower]), _spec(session.outputs[0], tower, ("N",)))


def _spec(info: TensorInfo, tower: str, free: tuple[str, ...]) -> TensorSpec:
    if any(size is None for size in info.shape[len(free) :]):
        allowed = " and ".join(free)
        raise ConversionError(f"{tower}.onnx: {info.name} has shape {info.shape}; only {allowed} may be left free")
    shape = tuple(free[i] if size is None else size for i, size in enumerate(info.shape))
    return TensorSpec(info.name, info.dtype, shape)


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1]), sys.argv[2]))
