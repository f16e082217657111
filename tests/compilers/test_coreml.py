"""Core ML for real, as far as Linux goes: converted, read back, and what was converted run in its own type."""

from __future__ import annotations

import json
import subprocess
import zipfile

import numpy as np
import onnxruntime
import pytest

from edgekit.converters.quantize.data import GOLDEN, HELD_OUT, SEARCH
from edgekit.converters.targets import catalog
from edgekit.converters.toolchains import store
from edgekit.errors import ConversionError
from edgekit.fidelity import agreement

_READ = """
import json, sys, logging
logging.disable(logging.CRITICAL)
import coremltools as ct
found = ct.models.MLModel(sys.argv[1], skip_model_load=True).get_spec()
tensors = [(one.name, list(one.type.multiArrayType.shape), one.type.multiArrayType.dataType)
           for one in (*found.description.input, *found.description.output)]
block = found.mlProgram.functions["main"].block_specializations
ops = [op.type for one in block.values() for op in one.operations if op.type != "const"]
print(json.dumps({"version": found.specificationVersion, "tensors": tensors, "ops": ops}))
"""
FLOAT32, INT32 = 65568, 131104


@pytest.fixture(autouse=True)
def installed(toolchain) -> None:
    toolchain("coreml")


@pytest.fixture
def build(attention, tmp_path):
    def run(name: str, precision: str | None):
        where = tmp_path / f"{name}-{precision}"
        where.mkdir()
        target, chip = catalog.find("coreml")
        job, reference = attention(name, chip, precision, where)
        built = target.build(job, lambda _: None)
        return built, agreement(built.rows[HELD_OUT], reference)

    return run


def read(artifact, folder):
    """Return what the file says, read by Apple's own library."""
    with zipfile.ZipFile(artifact) as archive:
        archive.extractall(folder / "read.mlpackage")
    command = [str(store.python("coreml")), "-I", "-c", _READ, str(folder / "read.mlpackage")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    return json.loads(done.stdout.strip().split("\n")[-1])


@pytest.mark.parametrize("name", ["image", "text"])
@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.999999), ("fp16", 0.999), ("w8", 0.99)])
def test_a_tower_is_converted_and_what_was_converted_agrees(build, tmp_path, name, precision, least) -> None:
    built, found = build(name, precision)
    assert found.centred_mean > least
    assert len(built.rows[GOLDEN]) == 2
    told = read(built.files[0], tmp_path)
    assert told["version"] >= 7  # iOS 16
    given, taken = told["tensors"]
    assert given == [built.input.name, list(built.input.shape), FLOAT32 if name == "image" else INT32]
    assert (taken[0], taken[2]) == ("projection", FLOAT32)
    assert ("constexpr_affine_dequantize" in told["ops"]) == (precision == "w8")
    assert ("cast" in told["ops"]) == (precision != "fp32")


def test_eight_bits_are_smaller_and_their_weights_were_used(build) -> None:
    half, _ = build("text", "fp16")
    small, coarse = build("text", "w8")
    assert small.files[0].stat().st_size < half.files[0].stat().st_size
    assert int(small.facts["tensors in 8 bits"]) > 0
    assert np.abs(small.rows[HELD_OUT] - half.rows[HELD_OUT]).max() > 1e-4
    assert coarse.cosine_mean < 1


def test_the_file_is_a_zip_without_compression_whose_bytes_hold_no_date(build, tmp_path) -> None:
    built, _ = build("image", None)
    assert built.precision == "fp16"
    with zipfile.ZipFile(built.files[0]) as archive:
        names = archive.namelist()
        assert all(one.compress_type == zipfile.ZIP_STORED for one in archive.infolist())
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert "Manifest.json" in names
    assert any(name.endswith("weight.bin") for name in names)
    assert "largest difference" in built.facts["torch against ONNX Runtime"]
    assert "layer_norm" in built.facts["operators of the program"]


def test_a_module_that_differs_from_the_graph_is_refused(attention, tmp_path) -> None:
    target, chip = catalog.find("coreml")
    job, _ = attention("image", chip, "fp16", tmp_path)
    np.save(job.reference, -np.load(job.reference))
    with pytest.raises(
        ConversionError, match=r"the torch module of the graph differs from it by 1|differs from it by \d"
    ):
        target.build(job, lambda _: None)


def test_forms_that_the_converter_cannot_read_are_written_otherwise(attention, tmp_path) -> None:
    """A Clip without its upper end, and a Flatten from axis 0: the starter's text tower has both."""
    from dataclasses import replace

    import onnx
    from onnx import helper, numpy_helper

    target, chip = catalog.find("coreml")
    job, reference = attention("text", chip, "fp32", tmp_path)
    model = onnx.load(str(job.master))
    last = next(node for node in reversed(model.graph.node) if node.op_type == "MatMul")
    place, name = list(model.graph.node).index(last), last.output[0]
    last.output[0] = "straight"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(-1e4), "low"))
    nodes = [
        helper.make_node("Clip", ["straight", "low", ""], ["clipped"]),
        helper.make_node("Flatten", ["clipped"], ["flat"], axis=0),
        helper.make_node("Relu", ["flat"], ["positive"]),
        helper.make_node("Flatten", ["positive"], ["row"], axis=0),
        helper.make_node("Add", ["row", "clipped"], [name]),
    ]
    for node in reversed(nodes):
        model.graph.node.insert(place + 1, node)
    changed = tmp_path / "changed.onnx"
    onnx.save(model, str(changed))
    session = onnxruntime.InferenceSession(str(changed), providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0].name
    wanted = {
        part: np.concatenate([session.run(None, {given: row[None]})[0] for row in np.load(path)])
        for part, path in job.inputs.items()
    }
    np.save(job.reference, wanted[SEARCH])
    built = target.build(replace(job, master=changed), lambda _: None)
    assert agreement(built.rows[HELD_OUT], wanted[HELD_OUT]).centred_min > 0.9999
    assert agreement(built.rows[HELD_OUT], reference).centred_mean < 0.9999
