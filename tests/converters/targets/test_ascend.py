"""Graphs for Ascend chips: float16 computed before any chip has them, and atc's file where atc is (a stand-in here)."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from edgekit.converters.quantize.data import GOLDEN, HELD_OUT
from edgekit.converters.targets import catalog
from edgekit.converters.targets.records import TowerJob
from edgekit.errors import ConversionError
from edgekit.fidelity import agreement


@pytest.fixture
def job(masters, tmp_path):
    def make(name):
        path, shape, samples = masters[name]
        np.save(tmp_path / "inputs.npy", samples)
        folder = tmp_path / name
        folder.mkdir()
        parts = dict.fromkeys((HELD_OUT, GOLDEN), tmp_path / "inputs.npy")
        target, chip = catalog.find("ascend310b4")
        asked = TowerJob(name, chip, "fp16", path, shape, parts, tmp_path / "none.npy", 0.99, folder)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return target, asked, session.run(None, {session.get_inputs()[0].name: samples})[0]

    return make


def script(folder, monkeypatch, text):
    program = folder / "bin" / "atc"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("name", ["image", "text"])
def test_without_atc_the_graph_is_packed_and_the_command_told(job, name, monkeypatch) -> None:
    target, asked, rows = job(name)
    built = target.build(asked, lambda _: None)
    assert agreement(built.rows[HELD_OUT], rows).centred_mean > 0.999
    assert not np.array_equal(built.rows[HELD_OUT], rows)
    model = onnx.load(str(built.files[0]))
    assert all(tensor.data_type != onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
    shape = "1,3,32,32" if name == "image" else "1,10"
    told = built.facts["atc"]
    assert told.startswith("not on the path; it would be: atc --framework=5")
    assert f"--model={name}.onnx --output={name} --soc_version=Ascend310B4" in told
    assert f"--input_shape={built.input.name}:{shape} --precision_mode_v2=fp16" in told
    assert [file.suffix for file in built.files] == [".onnx", ".data"]
    assert (built.precision, built.output.name) == ("fp16", "projection")


def test_with_atc_its_file_lies_beside(job, tmp_path, monkeypatch) -> None:
    script(tmp_path, monkeypatch, 'for a in "$@"; do case $a in --output=*) echo OM > "${a#--output=}.om";; esac; done')
    target, asked, _ = job("text")
    stages: list[str] = []
    built = target.build(asked, stages.append)
    assert built.files[-1].name == "text.om"
    assert built.files[-1].read_text() == "OM\n"
    assert built.files[0].name == "text.onnx"
    assert built.facts["atc"].startswith("atc --framework=5")
    assert any("compiling with atc for Ascend310B4" in stage for stage in stages)


def test_a_failure_of_atc_is_one_error(job, tmp_path, monkeypatch) -> None:
    script(tmp_path, monkeypatch, "echo E40021: no such soc; exit 1")
    target, asked, _ = job("text")
    with pytest.raises(ConversionError, match=r"atc failed with exit code 1[\s\S]*E40021"):
        target.build(replace(asked), lambda _: None)


def test_chips_are_named_as_the_tool_names_them() -> None:
    chips = {chip.name: chip for chip in catalog.targets()["ascend"].chips()}
    assert {"ascend310b1", "ascend310b4", "ascend310p3"} == set(chips)
    assert all(chip.tool_name.lower() == name for name, chip in chips.items())
    assert {chip.proof for chip in chips.values()} == {"reference before compilation"}
