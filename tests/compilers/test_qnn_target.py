"""Qualcomm's target for real: towers quantized in its toolchain, run whole in the vendor's simulator."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

import tiny_masters
from edgekit.converters.targets import catalog
from edgekit.converters.targets.records import TowerJob
from edgekit.errors import ConversionError
from edgekit.fidelity import agreement

PARTS = ("calibration", "search", "held-out", "golden")


@pytest.fixture(scope="module", autouse=True)
def _installed(toolchain):
    toolchain("qnn")


SHAPES = {"image": (1, tiny_masters.SIZE, tiny_masters.SIZE, 3), "text": (1, tiny_masters.LENGTH)}


def job(folder, name, chip, precision):
    """Return a job on a tiny tower, and the float embeddings of its inputs."""
    master = tiny_masters.save(folder / f"{name}.onnx", name)
    inputs = np.asarray(tiny_masters.samples(name, 16))
    session = onnxruntime.InferenceSession(str(master), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0].name
    rows = np.concatenate([session.run(None, {given: row[None]})[0] for row in inputs])
    np.save(folder / "inputs.npy", inputs)
    np.save(folder / "reference.npy", rows)
    work = folder / "work"
    work.mkdir()
    parts = dict.fromkeys(PARTS, folder / "inputs.npy")
    reference = folder / "reference.npy"
    return TowerJob(name, chip, precision, master, SHAPES[name], parts, reference, 0.99, work), rows


@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize(
    ("name", "precision", "least"), [("qcs6490", "a16w8", 0.99), ("qcs6490", "w8a8", 0.97), ("sm8650", "a16w8", 0.99)]
)
def test_a_tower_runs_whole_on_the_chip_and_agrees(tmp_path, tower, name, precision, least):
    target, chip = catalog.find(name)
    asked, rows = job(tmp_path, tower, chip, precision)
    stages = []
    built = target.build(asked, stages.append)
    found = agreement(built.rows["held-out"], rows)
    assert found.centred_mean >= least
    assert built.facts["nodes"].endswith(" on QNNExecutionProvider")
    assert (built.input.dtype, built.output.name) == ("uint8" if tower == "image" else "int32", "projection")
    assert built.precision == precision
    assert built.toolchain["onnxruntime-qnn"]
    assert any("simulat" in stage for stage in stages)


def test_the_file_opens_on_a_processor_too_and_says_nearly_the_same(tmp_path):
    target, chip = catalog.find("qcs6490")
    asked, rows = job(tmp_path, "image", chip, "a16w8")
    built = target.build(asked, lambda _: None)
    model = built.files[0].read_bytes()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = np.load(asked.inputs["held-out"])
    found = np.concatenate([session.run(None, {built.input.name: row[None]})[0] for row in inputs])
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    assert agreement(found.astype(np.float32), rows).centred_mean > 0.99


def test_chips_have_the_names_of_products():
    names = {chip.name for chip in catalog.targets()["qnn"].chips()}
    assert {"qcs6490", "qcs8550", "sm8650", "sc8380xp"} <= names
    assert all(chip.precisions[0] == "a16w8" for chip in catalog.targets()["qnn"].chips())


def test_a_graph_that_the_vendors_tool_cannot_read_is_one_error(tmp_path):
    target, chip = catalog.find("qcs6490")
    asked, _ = job(tmp_path, "image", chip, "a16w8")
    np.save(tmp_path / "inputs.npy", np.zeros((4, 3), np.uint8))  # of the wrong shape
    with pytest.raises(ConversionError, match=r"qnn_worker|toolchain|Invalid"):
        target.build(asked, lambda _: None)
