"""What vendors' tools are told is the whole truth: a stand-in that computes just that computes the tower."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import jetson_jobs
import tiny_masters
from computing_tool import PEAK, SECONDS, ComputingTool
from edgekit.adapting import PROJECTION
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT
from edgekit.converters.targets import catalog
from edgekit.errors import ConversionError
from edgekit.fidelity import agreement
from edgekit.runtimes import ncnn_model, ort_in_advance, qnn_chips

SIDE, LENGTH, WIDTH = tiny_masters.SIZE, tiny_masters.LENGTH, tiny_masters.DIMENSION


def _file(folder, asked):
    """An engine's file, as the portable targets' workers answer."""
    names = [asked["out"]] if Path(asked["out"]).suffix else [f"{asked['out']}.xml", f"{asked['out']}.bin"]
    for name in names:
        (folder / name).write_bytes(b"file")
    return {"files": names, "facts": {"batch": "4 together"}, "versions": {"tool": "3.6"}}


def _ncnn(folder, asked):
    (folder / asked["param"]).write_text("7767517\n")
    (folder / asked["weights"]).write_bytes(b"weights")
    return {"layers": 12, "versions": {"ncnn": "1", "pnnx": "2"}}


def _qnn(folder, asked):
    (folder / asked["out"]).write_bytes((folder / asked["model"]).read_bytes())
    parts = [f"layer {number}" for number in range(8)]
    chosen = {"nodes": 9, "of": 40, "parts": parts, "eight": 0.91, "reached": 0.9912, "built": 0.9911}
    nodes = {"QNNExecutionProvider": 41}
    hybrid = asked["precision"] == "hybrid"
    return {"files": [asked["out"]], "nodes": nodes, "chosen": chosen if hybrid else {}, "versions": {"qnn": "2"}}


def _context(folder, asked):
    (folder / asked["out"]).write_bytes(b"compiled" * 1000)
    found = [["token", "EPContext", "QNNExecutionProvider"]]
    return {"nodes": found, "difference": 0, "versions": {"onnxruntime-qnn": "2.7.0"}, "sdk": "2.51"}


def _coreml(folder, asked):
    (folder / asked["out"]).write_bytes(b"zip")
    bits = 5 if asked["precision"] == "w8" else 0
    operators = {"conv": 4, "linear": 2}
    return {"difference": 2e-7, "operators": operators, "eight_bits": bits, "versions": {"coremltools": "9.0"}}


ANSWERS = {
    "mnn_worker": _file,
    "openvino_worker": _file,
    "ncnn_worker": _ncnn,
    "qnn_worker": _qnn,
    "qnn_context_worker": _context,
    "coreml_worker": _coreml,
}
CHIPS = {"mnn": "mnn", "openvino": "openvino", "ncnn": "ncnn", "qcs6490": "qnn", "coreml": "coreml"}


@pytest.fixture
def tool(monkeypatch):
    made = ComputingTool(ANSWERS)
    made.install(monkeypatch)
    return made


@pytest.fixture
def build(masters, tmp_path, tool):
    """Build a tiny tower by a target; returns what was built, what its tool was told, and its float rows."""

    def run(chip_name, tower, precision=None, change=lambda job: job):
        target, chip = catalog.find(chip_name)
        folder = tmp_path / f"{chip_name}-{tower}"
        folder.mkdir()
        job, rows = jetson_jobs.job(folder, masters[tower][0], tower, chip, precision)
        stages: list[str] = []
        built = target.build(change(job), stages.append)
        assert f"{tower} tower: computing with {target.toolchain}" in stages
        return built, tool.asked[f"{CHIPS[chip_name]}_worker"], rows

    return run


@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize("chip", CHIPS)
def test_a_tool_that_does_as_it_is_told_computes_the_tower(build, chip, tower) -> None:
    built, asked, rows = build(chip, tower)
    found = agreement(built.rows[HELD_OUT], rows)
    assert found.centred_min > 0.99999
    assert built.rows[GOLDEN].shape == (2, WIDTH)
    assert (built.seconds, built.peak_bytes) == (SECONDS, PEAK)
    assert all(path.is_file() for path in built.files)
    assert built.toolchain
    # The best that costs little, where the user named the other tower.
    assert built.precision == catalog.find(chip)[1].precisions[0]
    model = Path(built.files[0].parent) / asked["model"]
    given = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"]).get_inputs()[-1]
    assert given.name == built.input.name
    if chip != "ncnn":  # whose graph has other inputs than its sidecar says; see below
        assert tuple(given.shape) == built.input.shape
        assert given.type == f"tensor({built.input.dtype.replace('float32', 'float')})"


@pytest.mark.parametrize("chip", CHIPS)
def test_every_file_that_a_tool_is_told_of_is_found_from_its_own_folder(build, chip, masters, monkeypatch) -> None:
    """A worker runs elsewhere: paths that the user gave relative to here must not stay so."""

    def relative(job):
        here = job.folder.parent.parent
        monkeypatch.chdir(here)
        inputs = {part: path.relative_to(here) for part, path in job.inputs.items()}
        reference = job.reference.relative_to(here)
        return replace(job, folder=job.folder.relative_to(here), inputs=inputs, reference=reference)

    _, asked, _ = build(chip, "text", change=relative)
    for name in ("calibration", "search", "reference"):
        if name in asked:
            assert Path(asked[name]).is_absolute()
            assert np.load(asked[name]).ndim == 2
    assert set(asked["parts"]) == {HELD_OUT, GOLDEN}


@pytest.mark.parametrize("chip", ["mnn", "openvino"])
def test_shapes_stay_free_where_the_engine_takes_any(build, chip) -> None:
    image, _, _ = build(chip, "image")
    text, _, _ = build(chip, "text")
    assert image.input.shape == ("N", SIDE, SIDE, 3)
    assert text.input.shape == ("N", "L")
    assert (text.output.name, text.output.shape) == ("embedding", ("N", WIDTH))
    # What the worker says, and what was made of the graph before it.
    assert image.facts == {"batch": "4 together", "constants stored": "1, which the graph made while it ran"}
    assert text.facts == {"batch": "4 together"}


def test_mnns_small_weights_include_its_tables(build) -> None:
    small, asked, rows = build("mnn", "text", "w8")
    assert asked["precision"] == "w8"
    assert small.facts["tables of words"] == "1 in 8 bits, with a scale a row"
    # The table is coded before the tool sees it: 8 bits are in the graph already.
    assert 0.99 < agreement(small.rows[HELD_OUT], rows).centred_mean < 0.999999


@pytest.mark.parametrize("tower", ["image", "text"])
def test_ncnns_sidecar_says_what_the_runtime_must_feed(build, tower) -> None:
    built, asked, _ = build("ncnn", tower)
    blobs = ["in0"] if tower == "image" else ["token_ids", "in1"]
    layers = tuple(ncnn_model.Layer("Input", name, (), (name,)) for name in blobs)
    layers += (ncnn_model.Layer("Pooling", "end", (), ("out0",)),)
    specs = ncnn_model.specs(built.files[2].read_bytes(), layers)
    ((given,), (taken,)) = (specs.inputs, specs.outputs)
    dtype = "uint8" if tower == "image" else "int32"
    assert (given.info.name, given.info.dtype, given.info.shape) == (
        built.input.name,
        dtype,
        (None, *built.input.shape[1:]),
    )
    assert (taken.info.name, taken.info.shape, taken.blob) == (PROJECTION, (None, WIDTH), "out0")
    # A table of words reads whole numbers; everything else that is computed of them is float32.
    assert dict(given.blobs) == ({"in0": "float32"} if tower == "image" else {"token_ids": "int32", "in1": "float32"})
    assert asked["half"] is True
    assert [file.suffix for file in built.files] == [".param", ".bin", ".json"]
    assert built.facts["layers"] == "12"
    if tower == "text":
        assert built.facts["attention masks"] == "1 raised to -30"


def test_qualcomms_tool_is_told_the_chip_by_its_numbers(build) -> None:
    built, asked, _ = build("qcs6490", "image", "w8a8")
    chip = qnn_chips.find("QCS6490")
    assert (asked["soc_model"], asked["htp_arch"], asked["goal"]) == (chip.soc_model, chip.htp_arch, 0.97)
    assert (built.input.dtype, built.input.shape) == ("uint8", (1, SIDE, SIDE, 3))
    assert built.facts == {"nodes": "41 on QNNExecutionProvider"}
    # Every value of the graph has a shape: the tool leaves what has none to the host.
    graph = onnx.load(str(built.files[0].parent / asked["model"]), load_external_data=False).graph
    told = {value.name for value in graph.value_info if value.type.tensor_type.HasField("shape")}
    assert {name for node in graph.node for name in node.output} <= told | {PROJECTION}


def test_the_choice_of_nodes_is_told_on_the_card(build) -> None:
    built, _, _ = build("qcs6490", "text", "hybrid")
    assert built.facts["nodes in 16 bits"] == "9 of 40"
    assert built.facts["chosen by"] == "centred cosine 0.9100 in 8 bits alone, 0.9912 so, 0.9911 as built"
    named = built.facts["parts in 16 bits, the most sensitive first"]
    assert named == "layer 0; layer 1; layer 2; layer 3; layer 4; and 3 more"


def test_a_tower_compiled_in_advance_lies_beside_its_file(build) -> None:
    built, _, _ = build("qcs6490", "text", change=lambda job: replace(job, in_advance=True))
    names = [path.name for path in built.files]
    assert names == ["text.onnx", f"text{ort_in_advance.MODEL}", f"text{ort_in_advance.FACTS}"]
    facts = json.loads(built.files[2].read_bytes())
    assert (facts["chip"], facts["sdk"], facts["compiler"]) == ("QCS6490", "2.51", "onnxruntime-qnn 2.7.0")
    assert facts["placement"] == [["token", "EPContext", "qnn"]]
    assert built.facts["compiled in advance"].startswith("0.0 MB for QCS6490")
    assert built.toolchain["QNN SDK"] == "2.51"
    assert built.seconds == 2 * SECONDS


@pytest.mark.parametrize(("precision", "bits"), [("fp16", None), ("w8", "5")])
def test_core_mls_file_takes_scaled_pixels(build, precision, bits) -> None:
    built, asked, _ = build("coreml", "image", precision)
    assert (built.input.dtype, built.input.shape) == ("float32", (1, 3, SIDE, SIDE))
    assert asked["shape"] == [1, 3, SIDE, SIDE]
    assert asked["deployment"] == "iOS16"
    assert asked["out"] == built.files[0].name == "image.mlpackage.zip"
    assert built.facts["torch against ONNX Runtime"] == "largest difference 2.0e-07"
    assert built.facts["operators of the program"] == "4 conv, 2 linear"
    assert built.facts.get("tensors in 8 bits") == bits


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("fault", ["nothing", "not a number", "another width"])
def test_a_tool_whose_rows_are_none_is_one_error(build, tool, chip, fault, monkeypatch) -> None:
    rows = {"nothing": np.zeros((0,)), "not a number": np.full((10, WIDTH), np.nan), "another width": np.ones((10, 3))}

    def spoiled(worker):
        def answer(folder, asked):
            np.save(folder / f"{GOLDEN}.rows.npy", rows[fault].astype(np.float32))
            return ANSWERS[worker](folder, asked)

        return answer

    tool.answers = {worker: spoiled(worker) for worker in ANSWERS}
    with pytest.raises(ConversionError, match=rf"the text tower on {chip}: the simulator returns .* on golden inputs"):
        build(chip, "text")
