"""A model's external data as files for an engine that reads nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

import onnx_models
from edgekit.errors import ExecutionError
from edgekit.runtimes import onnx_sidecars
from edgekit.runtimes.protocol import Blob
from runtime_contract import inputs


@pytest.fixture(name="artifact")
def _artifact(tmp_path):
    return onnx_models.artifact(tmp_path, onnx_models.two_inputs(), {onnx_models.WEIGHTS: onnx_models.SIDECAR})


@pytest.mark.parametrize("where", ["file", "middle of a file", "memory"])
def test_weights_are_laid_out_for_the_reader(tmp_path, artifact, where):
    folder = tmp_path / "engine"
    folder.mkdir()
    data = onnx_models.SIDECAR
    if where == "middle of a file":
        whole = tmp_path / "bundle.bin"
        whole.write_bytes(b"other member" + data + b"more")
        blob = Blob(memoryview(data), whole, len(b"other member"))
    else:
        blob = artifact.sidecars[onnx_models.WEIGHTS] if where == "file" else Blob(memoryview(data))
    placed = replace(artifact, sidecars={onnx_models.WEIGHTS: blob})
    path = onnx_sidecars.lay_out(placed, folder)
    assert path.parent == folder
    assert sorted(file.name for file in folder.iterdir()) == ["0.data", "model.onnx"]
    if where != "memory":
        assert (folder / "0.data").samefile(blob.path)  # linked, not copied
    # An engine that resolves references from the model's folder, as the files are meant for.
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(["sum"], inputs(2))[0], onnx_models.expected(inputs(2))["sum"], rtol=1e-5)


def test_where_no_link_can_be_made_the_bytes_are_copied(tmp_path, artifact, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(onnx_sidecars.os, "link", refuse)
    whole = tmp_path / "bundle.bin"
    whole.write_bytes(b"other member" + onnx_models.SIDECAR + b"more")
    blob = Blob(memoryview(onnx_models.SIDECAR), whole, len(b"other member"))
    folder = tmp_path / "engine"
    folder.mkdir()
    onnx_sidecars.lay_out(replace(artifact, sidecars={onnx_models.WEIGHTS: blob}), folder)
    assert (folder / "0.data").read_bytes() == onnx_models.SIDECAR


def test_a_full_disk_is_told(tmp_path, artifact):
    with pytest.raises(ExecutionError, match=r"test\.onnx: no file for the engine can be written"):
        onnx_sidecars.lay_out(artifact, tmp_path / "missing")
