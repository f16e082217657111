"""Steps that targets share: the sidecar is what runtimes read, and rows that are no rows are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.bundle.manifest import TensorSpec
from edgekit.converters.targets import steps
from edgekit.converters.targets.records import Chip, TowerJob
from edgekit.errors import ConversionError, ExecutionError
from edgekit.runtimes import tensor_sidecar
from edgekit.runtimes.protocol import Artifact, Blob

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


def test_a_stage_is_told_with_the_towers_name(tmp_path: Path) -> None:
    stages: list[str] = []
    steps.of_tower(job(tmp_path), stages.append)("quantizing")
    assert stages == ["image tower: quantizing"]


def test_the_contracts_input_is_pixels_or_ids(tmp_path: Path) -> None:
    image = job(tmp_path)
    text = replace(image, tower="text", shape=(1, 12))
    assert steps.contract_input(image, "pixels") == TensorSpec("pixels", "uint8", (1, 8, 8, 3))
    assert steps.contract_input(text, "ids") == TensorSpec("ids", "int32", (1, 12))
    assert steps.contract_input(text, "ids", ("N", "length")).shape == ("N", "length")
    assert steps.projection(16) == TensorSpec("projection", "float32", (1, 16))


def test_what_is_proven_on_is_named_by_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inputs = {part: Path(f"{part}.npy") for part in ("calibration", "held-out", "golden")}
    assert steps.proof_inputs(replace(job(tmp_path), inputs=inputs)) == {
        "held-out": str(tmp_path / "held-out.npy"),
        "golden": str(tmp_path / "golden.npy"),
    }


@pytest.mark.parametrize(
    ("masks", "biases", "unknown", "facts"),
    [
        (0, 0, (), {}),
        (2, 0, (), {"attention masks": "2 raised to -30"}),
        (0, 3, ("Tan (1)", "Sin (2)"), {"biases given": "3", "operators beyond the table": "Tan (1), Sin (2)"}),
    ],
)
def test_a_card_says_what_was_done_and_nothing_else(
    masks: int, biases: int, unknown: tuple[str, ...], facts: dict[str, str]
) -> None:
    assert steps.graph_facts(unknown, masks=masks, biases=biases) == facts
