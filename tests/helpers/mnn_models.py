"""MNN's files of the small ONNX models, made by its own converter in a child process."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import onnx

import onnx_models
from edgekit.runtimes.protocol import Artifact, Blob

if TYPE_CHECKING:
    from pathlib import Path

# The binding itself: the package's own command sends what was converted to its vendor.
_CONVERT = "import sys, _tools; _tools.mnnconvert(sys.argv)"


def two_inputs(folder: Path, batch: int | str = "N", length: int | str = "L") -> Artifact:
    """Return `onnx_models.two_inputs` as an MNN file on disk."""
    (folder / onnx_models.WEIGHTS).write_bytes(onnx_models.SIDECAR)
    (folder / "external.onnx").write_bytes(onnx_models.two_inputs(batch, length))
    onnx.save(onnx.load(folder / "external.onnx"), folder / "whole.onnx")
    out = convert(folder / "whole.onnx", folder / f"{batch}-{length}.mnn")
    return Artifact("test.mnn", "mnn", Blob(memoryview(out.read_bytes()), out))


def convert(model: Path, out: Path) -> Path:
    """Write an ONNX file, its weights inside, as an MNN file."""
    arguments = ["-f", "ONNX", "--modelFile", str(model), "--MNNModel", str(out), "--bizCode", "edgekit"]
    subprocess.run([sys.executable, "-c", _CONVERT, *arguments], check=True, capture_output=True)
    return out
