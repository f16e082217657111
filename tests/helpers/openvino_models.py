"""OpenVINO's own files of the small ONNX models."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx_models
from edgekit.runtimes.protocol import Artifact, Blob

SIDECAR = "model.bin"


def two_inputs(folder: Path | None = None, batch: int | str = "N", length: int | str = "L") -> Artifact:
    """Return `onnx_models.two_inputs` as an ``.xml`` file with its weights beside it, in `folder` or in memory."""
    import openvino

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / onnx_models.WEIGHTS).write_bytes(onnx_models.SIDECAR)
        (work / "model.onnx").write_bytes(onnx_models.two_inputs(batch, length))
        # Not by `convert_model`, which tells its vendor.
        model = openvino.Core().read_model(work / "model.onnx")
        openvino.save_model(model, work / "model.xml", compress_to_fp16=False)
        contents = {"model.xml": (work / "model.xml").read_bytes(), SIDECAR: (work / SIDECAR).read_bytes()}
    blobs = {name: Blob(memoryview(data)) for name, data in contents.items()}
    for name, data in contents.items() if folder else ():
        (folder / name).write_bytes(data)
        blobs[name] = Blob(memoryview(data), folder / name)
    return Artifact("test.xml", "openvino", blobs["model.xml"], {SIDECAR: blobs[SIDECAR]})
