"""MNN, ncnn and OpenVINO as targets, for real: each tower in each precision, run by the engine in its toolchain."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tiny_masters
from edgekit.converters.graph import store as graphs
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT
from edgekit.converters.targets import catalog, mnn, ncnn, openvino
from edgekit.converters.toolchains import store
from edgekit.errors import ConversionError, UnsupportedModelError
from edgekit.fidelity import agreement
from edgekit.runtimes import ncnn_model

# Least mean centred cosine of tiny towers with random weights, which 8 bits hurt more than trained ones.
LEAST = {
    ("mnn", "fp32"): 0.999999,
    ("mnn", "fp16"): 0.9999,
    ("mnn", "w8"): 0.99,
    ("ncnn", "fp32"): 0.999999,
    ("ncnn", "fp16"): 0.9999,
    ("openvino", "fp32"): 0.999999,
    ("openvino", "fp16"): 0.9999,
    ("openvino", "w8"): 0.99,
}
FILES = {"mnn": [".mnn"], "ncnn": [".param", ".bin", ".json"], "openvino": [".xml", ".bin"]}
TOOLS = {"mnn": {"MNN"}, "ncnn": {"ncnn", "pnnx"}, "openvino": {"openvino"}}


@pytest.fixture(scope="module", autouse=True)
def _installed(toolchain):
    for name in FILES:
        toolchain(name)


@pytest.fixture(scope="module", name="build")
def _build(attention, tmp_path_factory):
    """Build a tower once for all the tests of this file."""
    made = {}

    def build(engine, precision, tower):
        if (engine, precision, tower) not in made:
            target, chip = catalog.find(engine)
            job, reference = attention(tower, chip, precision, tmp_path_factory.mktemp(f"{engine}-{precision}"))
            stages: list[str] = []
            made[engine, precision, tower] = target.build(job, stages.append), job, reference, stages
        return made[engine, precision, tower]

    return build


@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize(("engine", "precision"), LEAST)
def test_a_tower_is_computed_by_its_engine_as_by_the_float_model(build, engine, precision, tower) -> None:
    built, _, reference, stages = build(engine, precision, tower)
    assert agreement(built.rows[HELD_OUT], reference).centred_mean >= LEAST[engine, precision]
    assert built.rows[GOLDEN].shape == (2, tiny_masters.DIMENSION)
    assert [file.suffix for file in built.files] == FILES[engine]
    assert all(file.stat().st_size > 100 for file in built.files)
    assert built.precision == precision
    assert set(built.toolchain) >= TOOLS[engine]
    assert any("running the held-out inputs" in stage for stage in stages)
    assert "operators beyond the table" not in built.facts or engine == "ncnn"


@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize("engine", FILES)
def test_inputs_are_the_contracts_and_the_batch_is_free(build, engine, tower) -> None:
    built, *_ = build(engine, "fp32", tower)
    side = tiny_masters.SIZE
    # ncnn's towers take texts at their whole length; the others at any.
    length = tiny_masters.LENGTH if engine == "ncnn" else "L"
    wanted = ("uint8", ("N", side, side, 3)) if tower == "image" else ("int32", ("N", length))
    assert (built.input.dtype, built.input.shape) == wanted
    assert built.output.shape == ("N", tiny_masters.DIMENSION)


@pytest.mark.parametrize("engine", FILES)
@pytest.mark.parametrize("tower", ["image", "text"])
def test_16_bits_are_nearly_half_of_32(build, engine, tower) -> None:
    sizes = {}
    for precision in ("fp32", "fp16"):
        built, *_ = build(engine, precision, tower)
        # OpenVINO's graph, which lists every constant, is more than the weights of a model this small.
        weights = built.files[FILES[engine].index(".bin")] if ".bin" in FILES[engine] else built.files[0]
        sizes[precision] = weights.stat().st_size
    assert sizes["fp16"] < 0.75 * sizes["fp32"]


@pytest.mark.parametrize("engine", ["mnn", "openvino"])
def test_a_shorter_text_is_computed_as_the_whole_one(build, engine, tmp_path) -> None:
    """The tiny text tower does not see what follows a text; the file must not either."""
    built, job, reference, _ = build(engine, "fp16", "text")
    ids = np.load(job.inputs[HELD_OUT])
    used = ids.argmax(axis=1) + 1
    assert len(set(used)) > 2
    for i, (row, length) in enumerate(zip(ids, used, strict=True)):
        np.save(tmp_path / f"{i}.npy", row[None, :length])
    worker = Path({"mnn": mnn, "openvino": openvino}[engine]._WORKER)
    opened = {"mnn": "w._forward(w._open(f), x)", "openvino": "w._apart(w._compile(f), x)"}[engine]
    code = (
        "import sys, glob, pathlib, numpy as np, importlib.util as u\n"
        "s = u.spec_from_file_location('w', sys.argv[1]); w = u.module_from_spec(s); s.loader.exec_module(w)\n"
        "f, folder = pathlib.Path(sys.argv[2]), sys.argv[3]\n"
        f"rows = [{opened} for x in (np.load(f'{{folder}}/{{i}}.npy') for i in range({len(ids)}))]\n"
        "np.save(f'{folder}/rows.npy', np.concatenate(rows))\n"
    )
    command = [str(store.python(engine)), "-I", "-c", code, str(worker), str(built.files[0]), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    assert agreement(np.load(tmp_path / "rows.npy"), reference).centred_mean > 0.9999


@pytest.mark.parametrize("engine", ["mnn", "openvino"])
def test_a_batch_was_compared_with_its_rows(build, engine) -> None:
    told = build(engine, "fp16", "image")[0].facts["batch"]
    assert told.startswith("4 together are at most")


def test_openvinos_integers_are_chosen_by_their_agreement(build) -> None:
    built, _, reference, stages = build("openvino", "w8a8", "text")
    tried = built.facts["attempts"].split("; ")
    assert len(tried) == 4
    assert tried[0].startswith("no smoothing")
    best = max(tried, key=lambda one: float(one.rpartition(" ")[2]))
    assert built.facts["chosen"].startswith(best.partition(":")[0])
    assert agreement(built.rows[HELD_OUT], reference).centred_mean > 0.97
    assert "nncf" in built.toolchain
    assert sum("quantizing" in stage for stage in stages) == 4


def test_mnns_small_tables_are_told(build) -> None:
    assert build("mnn", "w8", "text")[0].facts["tables of words"] == "1 in 8 bits, with a scale a row"
    assert "tables of words" not in build("mnn", "fp16", "text")[0].facts


@pytest.mark.parametrize("tower", ["image", "text"])
def test_ncnns_files_are_what_the_runtime_reads(build, tower) -> None:
    built, *_ = build("ncnn", "fp16", tower)
    param, _, sidecar = built.files
    layers = ncnn_model.layers(param.read_text(encoding="ascii"))
    specs = ncnn_model.specs(sidecar.read_bytes(), layers)
    assert [one.info.name for one in specs.outputs] == ["projection"]
    assert specs.inputs[0].info.shape[0] is None
    kinds = {layer.kind for layer in layers}
    assert ("Embed" in kinds) == (tower == "text")
    if tower == "text":
        # The ids feed the table as whole numbers, and the choice of the row as floats.
        assert sorted(dtype for _, dtype in specs.inputs[0].blobs) == ["float32", "int32"]
    assert json.loads(sidecar.read_bytes())["inputs"][0]["dtype"] == ("uint8" if tower == "image" else "int32")


def test_an_operator_that_an_engine_has_not_is_refused_before_its_tool_runs(attention, tmp_path) -> None:
    target, chip = catalog.find("ncnn")
    job, _ = attention("image", chip, "fp16", tmp_path)
    model = graphs.load(job.master)
    gelu = next(node for node in model.graph.node if node.op_type == "Erf")
    gelu.op_type = "Softsign"
    other = tmp_path / "other.onnx"
    graphs.save(model, other)
    from dataclasses import replace

    with pytest.raises(
        UnsupportedModelError, match=r"\(Softsign\) cannot be compiled by pnnx 20261020: ncnn has no layer"
    ):
        target.build(replace(job, master=other), lambda _: None)
    assert not (job.folder / "image.param").exists()


@pytest.mark.parametrize("engine", FILES)
def test_a_tool_that_fails_is_one_error_with_its_last_lines(attention, engine, tmp_path) -> None:
    target, chip = catalog.find(engine)
    job, _ = attention("image", chip, "fp16", tmp_path)
    np.save(job.inputs[HELD_OUT], np.zeros((4, 3), np.uint8))  # no images
    with pytest.raises(ConversionError, match=engine):
        target.build(job, lambda _: None)


def test_each_engine_is_one_chip_proven_on_hardware() -> None:
    for made in (mnn.Mnn(), ncnn.Ncnn(), openvino.OpenVino()):
        (chip,) = made.chips()
        assert chip.name == made.toolchain == made.format
        assert chip.proof == "hardware"
        assert chip.precisions[0] == "fp16"
        assert made.towers(chip) == ("image", "text")
