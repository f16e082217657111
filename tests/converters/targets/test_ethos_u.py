"""Arm's NPU: what is packed is what was proven, and what Vela says of it is told; its answers are put in its mouth.

The int8 conversion takes a quarter of a minute and Vela has a toolchain of its own: ``tests/compilers`` runs both.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import litert_towers
from edgekit.adapting import PROJECTION, unit_rows
from edgekit.bundle.manifest import Agreement, TensorSpec
from edgekit.converters.litert import compile as litert_compile
from edgekit.converters.litert import run_worker
from edgekit.converters.litert import work as litert_work
from edgekit.converters.quantize.data import CALIBRATION, GOLDEN, HELD_OUT
from edgekit.converters.targets import catalog, inputs, prepare_worker, steps
from edgekit.converters.targets.records import TowerJob
from edgekit.converters.toolchains import work
from edgekit.errors import ConversionError
from tiny_towers import DIMENSION, SIZE, weights

SUMMARY = {
    "cycles_total": "123456.0",
    "inference_time": "0.00125",
    "sram_memory_used": "42.5",
    "off_chip_flash_memory_used": "0.0",
    "nn_macs": "",
}
MOSTLY = {"ethos-u": 2, "QUANTIZE": 1, "GATHER": 3}


@pytest.fixture
def chain(masters, tmp_path, monkeypatch):
    """Build the image tower with a converter that gives a finished file, and a Vela that answers as it is told to."""
    seen = {}

    def convert(master, out, tower, spec, decision, calibration, on_stage):
        seen.update(master=master.name, decision=decision, rows=len(calibration[0]))
        out.write_bytes(seen["file"])
        given = TensorSpec("pixels", "uint8", (1, SIZE, SIZE, 3))
        taken = TensorSpec("embedding", "float32", (1, DIMENSION))
        perfect, rows = Agreement(1, 0.0, 1.0, 1.0, 1.0, 1.0), np.zeros((1, DIMENSION), np.float32)
        return litert_compile.Compiled(given, taken, perfect, rows, (), {}, {"litert": "2.3"}, 1, 1.0, 900)

    def vela(toolchain, worker, folder, request, limits, on_stage):
        seen["vela"] = request
        (folder / request["out"]).write_bytes(b"compiled")
        result = {"summary": SUMMARY, "operators": seen["operators"], "npu": "ethos-u", "version": "5.2.0"}
        return work.Answer(result, 2.0, 700)

    def here(module, folder, arguments, on_stage):
        run_worker.main(folder, arguments) if arguments else prepare_worker.main(folder)

    monkeypatch.setattr(litert_compile, "compile_tower", convert)
    monkeypatch.setattr(work, "run", vela)
    monkeypatch.setattr(inputs, "run_child", here)
    monkeypatch.setattr(steps, "run_child", here)

    def build(precision="w8a8", operators=None, file=None):
        seen["operators"] = MOSTLY if operators is None else operators
        seen["file"] = litert_towers.image_tower(weights(0, 8)) if file is None else file
        path, shape, samples = masters["image"]
        np.save(tmp_path / "inputs.npy", samples)
        files = dict.fromkeys((CALIBRATION, HELD_OUT, GOLDEN), tmp_path / "inputs.npy")
        folder = tmp_path / "work"
        folder.mkdir()
        target, chip = catalog.find("ethos-u65-256")
        job = TowerJob("image", chip, precision, path, shape, files, tmp_path / "none.npy", 0.97, folder)
        return target.build(job, lambda _: None), samples, seen

    return build


def test_the_rows_are_those_of_the_file_before_vela_and_the_file_is_velas(chain, tmp_path) -> None:
    built, samples, seen = chain()
    file = tmp_path / "before.tflite"
    file.write_bytes(seen["file"])
    np.testing.assert_allclose(built.rows[HELD_OUT], unit_rows(run_worker.embed("litert", file, samples)), atol=1e-6)
    assert built.files[0].read_bytes() == b"compiled"
    assert [path.name for path in built.files] == ["image.tflite"]
    assert seen["vela"]["accelerator"] == "ethos-u65-256"
    assert seen["decision"].methods == {litert_work.EVERY_GROUP: litert_work.FULL_INTEGER}
    # What the NPU leaves to the processor was taken out of the graph first.
    assert seen["master"] == "chip.onnx"
    assert (built.output.name, built.input.dtype) == (PROJECTION, "uint8")
    assert built.toolchain == {"litert": "2.3", "ethos-u-vela": "5.2.0"}
    assert built.peak_bytes == 900


def test_what_vela_says_is_told_with_its_units_and_what_it_leaves_open_is_not(chain) -> None:
    built, _, _ = chain()
    assert built.facts == {
        "operators on the NPU": "in 2 blocks",
        "operators on the processor": "GATHER (3), QUANTIZE (1)",
        "cycles": "123456",
        "estimated time": "1.25 ms",
        "SRAM": "42.5 KiB",
        "estimated by": "Vela's model of the NPU; no hardware was measured",
        "pixels": "converted by way of float32",
    }


def test_an_npu_that_gets_everything_leaves_none_to_the_processor(chain) -> None:
    built, _, _ = chain(operators={"ethos-u": 1})
    assert built.facts["operators on the processor"] == "none"


def test_an_npu_that_gets_nothing_is_an_error(chain) -> None:
    """Vela ends well then, with a file that runs on the processor alone."""
    told = r"image tower: Vela gave ethos-u65-256 no operator at all \(CONV_2D \(4\), MUL \(1\) stay on the processor\)"
    with pytest.raises(ConversionError, match=told):
        chain(operators={"MUL": 1, "CONV_2D": 4})


def test_without_a_precision_the_processor_gets_a_float_file_and_vela_is_not_run(chain) -> None:
    built, _, seen = chain(precision=None)
    assert built.precision == "fp32"
    assert built.files[0].read_bytes() == seen["file"]
    assert "vela" not in seen
    assert seen["decision"] is None
    assert built.output.name == "embedding"
    assert built.facts == {"runs on": "the processor beside the NPU, in float32"}
    # The master itself, not the NPU's form of it.
    assert seen["master"] == "image.onnx"


def test_an_int8_file_that_computes_no_numbers_is_not_compiled(chain, tmp_path) -> None:
    wrong = weights(0, 8)
    wrong = replace(wrong, patches=np.full_like(wrong.patches, np.nan))
    with pytest.raises(ConversionError, match="image tower's int8 file returns NaN or infinity on held-out inputs"):
        chain(file=litert_towers.image_tower(wrong))
    assert not (tmp_path / "work" / "tool").exists()


def test_each_configuration_says_what_it_can() -> None:
    chips = {chip.name: chip for chip in catalog.targets()["ethos-u"].chips()}
    assert {name.split("-")[1] for name in chips} == {"u55", "u65", "u85"}
    assert all(f"{name.rpartition('-')[2]} multiply-accumulates" in chip.note for name, chip in chips.items())
    assert {catalog.targets()["ethos-u"].towers(chip) for chip in chips.values()} == {("image",)}
