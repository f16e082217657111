"""Steps that targets share: the sidecar is what runtimes read, and rows that are no rows are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.bundle.manifest import TensorSpec
from edgekit.converters.targets import steps
from edgekit.converters.targets.records import Chip, TowerJob
from edgekit.errors import ConversionError, ExecutionError
from edgekit.runtimes import tensor_sidecar
from edgekit.runtimes.protocol import Artifact, Blob

if TYPE_CHECKING:
    from pathlib import Path

CHIP = Chip("rk3588", "rk3588", ("fp16",), "vendor simulator", "")


def job(folder: Path) -> TowerJob:
    return TowerJob("image", CHIP, "fp16", folder, (1, 8, 8, 3), {}, folder, 0.99, folder)


def test_runtimes_read_the_sidecar_as_it_was_written(tmp_path: Path) -> None:
    given, taken = TensorSpec("pixels", "uint8", (1, 8, 8, 3)), TensorSpec("projection", "float32", (1, 16))
    path = steps.sidecar(tmp_path / "image.rknn", "rk3588", given, taken)
    assert path == tmp_path / "image.rknn.json"
    sidecars = {path.name: Blob(memoryview(path.read_bytes()))}
    found = tensor_sidecar.read(Artifact("a", "rknn", Blob(memoryview(b"")), sidecars))
    assert found.chip == "rk3588"
    assert [(x.name, x.dtype, x.shape) for x in found.inputs] == [("pixels", "uint8", (1, 8, 8, 3))]
    assert [(x.name, x.dtype, x.shape) for x in found.outputs] == [("projection", "float32", (1, 16))]


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"chip": "x", "inputs": [{}], "outputs": []}', b"\xff"])
def test_a_sidecar_that_is_none_is_refused(text: bytes) -> None:
    artifact = Artifact("a.rknn", "rknn", Blob(memoryview(b"")), {"a.rknn.json": Blob(memoryview(text))})
    with pytest.raises(ExecutionError, match=r"a\.rknn: its sidecar is malformed .*; compile it again"):
        tensor_sidecar.read(artifact)


def test_without_a_sidecar_it_is_said() -> None:
    with pytest.raises(ExecutionError, match="the sidecar that says its tensors is missing"):
        tensor_sidecar.read(Artifact("a.rknn", "rknn", Blob(memoryview(b""))))


def test_rows_come_back_with_length_one(tmp_path: Path) -> None:
    np.save(tmp_path / "golden.rows.npy", np.array([[3.0, 4.0], [0.0, 2.0]]))
    found = steps.rows(job(tmp_path), "golden", 2)
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 1]], atol=1e-7)
    assert found.dtype == np.float32


@pytest.mark.parametrize("rows", [np.zeros((2, 3)), np.zeros(2), np.array([[1.0, np.nan]]), np.array([[np.inf, 1.0]])])
def test_rows_of_another_shape_or_not_finite_are_refused(rows: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "golden.rows.npy", rows)
    with pytest.raises(ConversionError, match=r"the image tower on rk3588: the simulator returns .* on golden inputs"):
        steps.rows(job(tmp_path), "golden", 2)
