"""Qualcomm's target for real: towers quantized in its toolchain, run whole in the vendor's simulator."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import tiny_masters
from edgekit.converters.graph import store
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
    ("name", "precision", "least"),
    [("qcs6490", "a16w8", 0.99), ("qcs6490", "hybrid", 0.97), ("qcs6490", "w8a8", 0.97), ("sm8650", "a16w8", 0.99)],
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
    session = onnxruntime.InferenceSession(str(built.files[0]), providers=["CPUExecutionProvider"])
    inputs = np.load(asked.inputs["held-out"])
    found = np.concatenate([session.run(None, {built.input.name: row[None]})[0] for row in inputs])
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    assert agreement(found.astype(np.float32), rows).centred_mean > 0.99


def test_mixed_precision_widens_what_the_goal_needs_and_no_more(tmp_path):
    target, chip = catalog.find("qcs6490")
    asked, rows = job(tmp_path, "image", chip, "hybrid")
    # Above what 8 bits reach and below what 16 do, for this net.
    asked = replace(asked, goal=0.998)
    built = target.build(asked, lambda _: None)
    wide, whole = map(int, built.facts["nodes in 16 bits"].split(" of "))
    assert 0 < wide < whole
    assert built.facts["parts in 16 bits, the most sensitive first"]
    assert built.facts["nodes"].endswith(" on QNNExecutionProvider")
    # What was tried without the simulator is what was built, and what the simulator computes.
    eight, reached, as_built = map(float, re.findall(r"\d\.\d{4}", built.facts["chosen by"]))
    assert eight < 0.998 <= reached
    assert abs(as_built - reached) < 0.002
    assert abs(agreement(built.rows["held-out"], rows).centred_mean - as_built) < 0.003


def test_a_mask_that_is_computed_runs_on_the_chip(tmp_path):
    """A sentence tower's: Where between two constants, by the token ids; its weights lie beside the graph."""
    target, chip = catalog.find("qcs6490")
    ids = helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["n", 6])
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 24])
    random = np.random.default_rng(0)
    constants = {
        "pad": np.int32(0),
        "seen": np.float32(0),
        "unseen": np.float32(-1e4),
        "table": random.normal(size=(50, 24)).astype(np.float32),
        "score": random.normal(size=(24, 1)).astype(np.float32),
        "head": random.normal(size=(24, 24)).astype(np.float32) / 5,
        "last": np.array([2], np.int64),
        "middle": np.array([1], np.int64),
        "tiny": np.float32(1e-9),
    }
    steps = [
        ("Equal", ["token_ids", "pad"], "padded", {}),
        ("Where", ["padded", "unseen", "seen"], "mask", {}),
        ("Gather", ["table", "token_ids"], "words", {"axis": 0}),
        ("MatMul", ["words", "score"], "scores", {}),
        ("Squeeze", ["scores", "last"], "flat", {}),
        ("Add", ["flat", "mask"], "masked", {}),
        ("Softmax", ["masked"], "weights", {"axis": -1}),
        ("Unsqueeze", ["weights", "middle"], "row", {}),
        ("MatMul", ["row", "words"], "mixed", {}),
        ("Squeeze", ["mixed", "middle"], "pooled", {}),
        ("MatMul", ["pooled", "head"], "features", {}),
        ("ReduceL2", ["features"], "length", {"axes": [-1], "keepdims": 1}),
        ("Max", ["length", "tiny"], "safe", {}),
        ("Div", ["features", "safe"], "embedding", {}),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, read, [made], made, **given) for kind, read, made, given in steps],
        "sentences",
        [ids],
        [out],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    master = tmp_path / "text.onnx"
    store.save(model, master)
    inputs = random.integers(1, 50, (16, 6)).astype(np.int32)
    inputs[:, 4:] = 0
    session = onnxruntime.InferenceSession(str(master), providers=["CPUExecutionProvider"])
    rows = session.run(None, {"token_ids": inputs})[0]
    np.save(tmp_path / "inputs.npy", inputs)
    np.save(tmp_path / "reference.npy", rows)
    (tmp_path / "work").mkdir()
    parts = dict.fromkeys(PARTS, tmp_path / "inputs.npy")
    asked = TowerJob("text", chip, "a16w8", master, (1, 6), parts, tmp_path / "reference.npy", 0.99, tmp_path / "work")
    built = target.build(asked, lambda _: None)
    assert agreement(built.rows["held-out"], rows).centred_mean > 0.99
    assert built.facts["nodes"].endswith(" on QNNExecutionProvider")
    # The weights are packed: a copy of the files alone opens.
    alone = tmp_path / "alone"
    alone.mkdir()
    for file in built.files:
        shutil.copyfile(file, alone / file.name)
    assert len(built.files) == 2
    onnxruntime.InferenceSession(str(alone / built.files[0].name), providers=["CPUExecutionProvider"])


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
