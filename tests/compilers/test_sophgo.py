"""Sophgo's compiler and simulators: every chip, each precision, and the faults that edgekit answers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import onnx
import pytest

from edgekit.benchmarks.simulators import defaults
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT
from edgekit.converters.targets import catalog, mixing, mixing_worker, steps
from edgekit.converters.targets.records import LEAST_CENTRED
from edgekit.converters.toolchains import store
from edgekit.errors import ConversionError, UnsupportedModelError
from edgekit.fidelity import agreement


@pytest.fixture(autouse=True)
def installed(toolchain) -> None:
    toolchain("sophgo")


@pytest.fixture
def build(attention, tmp_path):
    """Build a tiny tower with attention for a chip; returns what was built, its agreement with float, its stages."""

    def run(name: str, chip: str, precision: str | None, goal: float = 0.97):
        where = tmp_path / f"{name}-{chip}-{precision}"
        where.mkdir()
        target, found = catalog.find(chip)
        job, reference = attention(name, found, precision, where)
        stages: list[str] = []
        built = target.build(replace(job, goal=goal), stages.append)
        return built, agreement(built.rows[HELD_OUT], reference), stages

    return run


@pytest.mark.parametrize("name", ["image", "text"])
@pytest.mark.parametrize(
    ("chip", "precision", "least"),
    [("bm1684x", "fp16", 0.9999), ("bm1688", "fp16", 0.9999), ("cv181x", "bf16", 0.999), ("cv183x", "bf16", 0.999)],
)
def test_attention_in_16_bits(build, name: str, chip: str, precision: str, least: float) -> None:
    built, found, stages = build(name, chip, precision)
    assert found.centred_mean > least
    assert found.n == len(built.rows[HELD_OUT]) == 10
    assert len(built.rows[GOLDEN]) == 2
    assert built.precision == precision
    assert built.facts["ranges from"] == "none"
    assert any("simulating the held-out inputs" in stage for stage in stages)


@pytest.mark.parametrize("name", ["image", "text"])
@pytest.mark.parametrize("chip", ["bm1684x", "bm1688", "cv181x"])
def test_eight_bits(build, name: str, chip: str) -> None:
    built, found, stages = build(name, chip, "w8a8")
    assert found.centred_mean > LEAST_CENTRED["w8a8"]
    assert built.facts["ranges from"] == "the calibration inputs"
    assert any("measuring ranges" in stage for stage in stages)


@pytest.mark.parametrize(
    ("name", "chip", "kind", "goal"),
    [
        ("image", "bm1684x", "F16", 0.998),
        ("text", "bm1688", "F16", 0.9993),
        ("image", "cv181x", "BF16", 0.997),
    ],
)
def test_hybrid_keeps_in_16_bits_what_was_measured_to_need_them(
    build, name: str, chip: str, kind: str, goal: float
) -> None:
    mixed, fine, stages = build(name, chip, "hybrid", goal)
    assert fine.centred_mean > goal - 0.002
    layers, _, of = mixed.facts["layers in 16 bits"].partition(" of ")
    assert 0 < int(layers) < int(of)
    assert re.search(r"interpreter, the simulator agrees with it to (0\.99\d\d|1\.0000)$", mixed.facts["attempts"])
    assert mixed.facts["nodes"].endswith(", 0 have none")
    assert mixed.facts["parts in 16 bits, the most sensitive for their size first"]
    assert any(f"layers in {kind} (1 of " in stage for stage in stages)


def test_hybrid_where_8_bits_do(build) -> None:
    mixed, fine, _ = build("image", "bm1684x", "hybrid", 0.5)
    assert fine.centred_mean > 0.9
    assert mixed.facts["layers in 16 bits"].startswith("0 of ")


def test_the_artifact_and_its_tensors(build) -> None:
    built, _, _ = build("image", "bm1684x", "fp16")
    artifact, sidecar = built.files
    assert artifact.name == "image.bmodel"
    assert artifact.stat().st_size > 1000
    specs = json.loads(sidecar.read_text())
    assert specs["chip"] == "bm1684x"
    assert specs["inputs"] == [{"name": "pixels", "dtype": "float32", "shape": [1, 3, 32, 32]}]
    assert specs["outputs"] == [{"name": "projection", "dtype": "float32", "shape": [1, 16]}]
    assert (built.input.dtype, built.input.shape) == ("float32", (1, 3, 32, 32))
    assert built.toolchain == {"tpu-mlir": "1.30.2"}
    assert built.peak_bytes > 50_000_000


def test_the_other_family_has_files_of_its_own(build) -> None:
    built, _, _ = build("text", "cv181x", None)
    assert built.files[0].name == "text.cvimodel"
    assert built.precision == "bf16"
    assert built.input.dtype == "int32"


def test_an_operator_that_crashes_the_compiler_is_named_before(attention, tmp_path) -> None:
    from onnx import helper

    target, chip = catalog.find("bm1684x")
    job, _ = attention("text", chip, "fp16", tmp_path)
    model = onnx.load(str(job.master))
    last = next(node for node in reversed(model.graph.node) if node.op_type == "MatMul")
    place = list(model.graph.node).index(last)
    name = last.output[0]
    last.output[0] = "straight"
    model.graph.node.insert(place + 1, helper.make_node("Selu", ["straight"], [name], "head/selu"))
    changed = tmp_path / "selu.onnx"
    onnx.save(model, str(changed))
    with pytest.raises(UnsupportedModelError, match=r"'head/selu' \(Selu\) cannot be compiled by tpu-mlir 1\.30\.2"):
        target.build(replace(job, master=changed), lambda _: None)


def test_a_failure_of_the_tool_is_one_error(attention, tmp_path) -> None:
    target, chip = catalog.find("bm1684x")
    job, _ = attention("text", chip, "fp16", tmp_path)
    wrong = replace(job, chip=SimpleNamespace(name="bm0", tool_name="bm0"))
    with pytest.raises(ConversionError, match=r"sophgo: failed with exit code 1; its last lines:[\s\S]*bm0"):
        target.build(wrong, lambda _: None)


def test_a_product_of_activations_alone_in_16_bits_is_computed_right(build, monkeypatch) -> None:
    # 16 places and heads of 16: where the compiler takes a transposed operand for a straight one, and nothing says so.
    def scores(job, *_, **__):
        graph = onnx.load(job.folder / "chip.onnx", load_external_data=False).graph
        made = {name for node in graph.node for name in node.output}
        products = [node for node in graph.node if node.op_type == "MatMul" and made.issuperset(node.input)]
        nodes = tuple(node.output[0] for node in products)
        assert len(nodes) == 2
        return mixing_worker.Answer(0.0, (), (mixing.Mix(0.0, 0.0, ("scores",), nodes, 0),))

    monkeypatch.setattr(steps, "mixes", scores)
    mixed, fine, _ = build("image", "bm1684x", "hybrid", 0.5)
    assert fine.centred_mean > 0.95
    assert re.search(r"simulator agrees with it to (0\.99\d\d|1\.0000)$", mixed.facts["attempts"])


@pytest.mark.parametrize(("chip", "precision"), [("bm1684x", "w8a8"), ("bm1684x", "hybrid"), ("cv181x", "w8a8")])
def test_the_tools_own_recipe_can_be_compared_with(attention, tmp_path, chip: str, precision: str) -> None:
    _, found = catalog.find(chip)
    job, reference = attention("image", found, precision, tmp_path)
    stages: list[str] = []
    rows = defaults.rows("sophgo", job, stages.append)
    assert agreement(rows, reference).centred_mean > 0.9
    assert ("letting the tool choose" in " ".join(stages)) == (precision == "hybrid")


def test_ubuntus_c_library_is_out_of_the_way(build) -> None:
    build("text", "bm1688", "fp16")
    home = store.python("sophgo").parents[1] / "lib" / "python3.10" / "site-packages" / "tpu_mlir" / "lib"
    assert not (home / "third_party" / "libc.so.6").exists()
    assert (home / "third_party" / "libc.so.6.unused").exists()
