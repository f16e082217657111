"""``edgekit compile --context``: towers compiled in advance in Qualcomm's toolchain, and packed beside their files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import tiny_masters
from edgekit.adapting import PROJECTION
from edgekit.bundle.manifest import TensorSpec
from edgekit.bundle.reader import open_bundle
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT
from edgekit.converters.targets import catalog, qnn_context
from edgekit.converters.targets.compile import CompileOptions, compile_bundle
from edgekit.converters.targets.records import Built
from edgekit.converters.toolchains import work
from edgekit.errors import ConversionError
from edgekit.runtimes import ort_in_advance
from edgekit.runtimes.ort_in_advance import FACTS, MODEL
from edgekit.runtimes.protocol import SessionSettings
from edgekit.tower import artifact_of, open_tower


@pytest.fixture(scope="module")
def qnn(toolchain):
    return toolchain("qnn")


@pytest.fixture(scope="module")
def packed(qnn, bundle_path, pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "chip.edge"
    stages: list[str] = []
    options = CompileOptions(data=str(pictures), rows=16, in_advance=True)
    report = compile_bundle(str(bundle_path), "qcs6490", out, options, stages.append)
    return report, open_bundle(out), stages


@pytest.mark.parametrize("tower", ["image", "text"])
def test_both_towers_carry_it_with_what_it_is_good_for(packed, tower):
    report, bundle, stages = packed
    record = bundle.manifest.variants[-1].towers[tower]
    home = f"variants/{report.variant}"
    assert {f"{home}/{tower}{MODEL}", f"{home}/{tower}{FACTS}"} <= set(record.sidecars)
    facts = json.loads(bytes(bundle.read(f"{home}/{tower}{FACTS}")))
    assert facts["chip"] == "QCS6490"
    assert facts["compiler"] == f"onnxruntime-qnn {bundle.manifest.variants[-1].toolchain['onnxruntime-qnn']}"
    assert facts["sdk"] == bundle.manifest.variants[-1].toolchain["QNN SDK"]
    assert {device for _, _, device in facts["placement"]} == {"qnn"}
    assert report.towers[tower].facts["compiled in advance"].endswith(f"SDK {facts['sdk']}")
    assert f"{tower} tower: compiling in advance" in stages
    # A device takes it as it is in the bundle.
    artifact = artifact_of(bundle, record, "onnx")
    offer = ort_in_advance.offer(artifact, "qnn:QCS6490", facts["compiler"], SessionSettings())
    assert offer.model is not None
    assert offer.note == f"compiled in advance for QCS6490 by {facts['compiler']} (SDK {facts['sdk']})"


@pytest.mark.parametrize("tower", ["image", "text"])
def test_it_is_one_node_in_a_version_of_the_format_that_the_file_itself_has(packed, tower):
    report, bundle, _ = packed
    home = f"variants/{report.variant}/{tower}"
    model = onnx.load_from_string(bytes(bundle.read(f"{home}{MODEL}")))
    source = onnx.load_from_string(bytes(bundle.read(f"{home}.onnx")))
    assert [node.op_type for node in model.graph.node] == ["EPContext"]
    assert model.ir_version == source.ir_version
    assert {one.domain for one in model.opset_import} == {"", "com.microsoft"}
    (told,) = [one.value for one in model.metadata_props if one.key.startswith("ep_compatibility_info")]
    # The provider's own record for its check on chips: htp_arch, then soc_model.
    assert ":68:35:" in told


def test_the_variant_still_runs_on_the_processor(packed):
    from edgekit.runtimes import registry

    _, bundle, _ = packed
    record = bundle.manifest.variants[-1].image
    tower = open_tower(bundle, record, "onnx", registry.get("onnxruntime"), "cpu", SessionSettings())
    assert tower.embed(np.zeros((1, *record.input.shape[1:]), np.uint8)).shape == (1, record.output.shape[1])
    tower.close()


def test_without_the_option_nothing_is_added(qnn, bundle_path, pictures, tmp_path):
    options = CompileOptions(data=str(pictures), rows=16)
    compile_bundle(str(bundle_path), "qcs6490", tmp_path / "out.edge", options)
    bundle = open_bundle(tmp_path / "out.edge")
    assert not any("compiled" in file.path for file in bundle.manifest.files)


def finished(folder: Path, chip):
    """A job whose tower is finished, and the tower: for these tests its float file, which the chip refuses."""
    from edgekit.converters.targets.records import TowerJob

    work_folder = folder / "work"
    work_folder.mkdir()
    master = tiny_masters.save(work_folder / "image.onnx", "image")
    np.save(folder / "golden.npy", np.asarray(tiny_masters.samples("image", 2)))
    shape = (1, tiny_masters.SIZE, tiny_masters.SIZE, 3)
    parts = dict.fromkeys((GOLDEN, HELD_OUT), folder / "golden.npy")
    job = TowerJob("image", chip, "a16w8", master, shape, parts, folder / "none", 0.99, work_folder, in_advance=True)
    given, taken = TensorSpec("pixels", "uint8", shape), TensorSpec(PROJECTION, "float32", (1, 16))
    return job, Built((master,), given, taken, {}, "a16w8", {}, {}, 1.0, 1)


def test_a_file_that_the_chip_does_not_take_is_one_error(qnn, tmp_path):
    job, built = finished(tmp_path, catalog.find("qcs6490")[1])
    with pytest.raises(ConversionError, match=r"qnn: .*its last lines"):
        qnn_context.added(job, built, "qnn", lambda _: None)


def test_what_computes_something_else_is_not_packed(qnn, tmp_path, monkeypatch):
    """The tool has never been seen to do this; its answer is put in its mouth."""
    job, built = finished(tmp_path, catalog.find("qcs6490")[1])
    result = {"difference": 0.25, "nodes": [], "versions": {"onnxruntime-qnn": "2.7.0"}, "sdk": "2.51.0"}
    monkeypatch.setattr(work, "run", lambda *_: work.Answer(result, 1.0, 1))
    with pytest.raises(ConversionError) as caught:
        qnn_context.added(job, built, "qnn", lambda _: None)
    assert str(caught.value) == (
        "the image tower compiled in advance for QCS6490 (soc_model 35, htp_arch 68) differs by 0.25 from the file it "
        "came from; leave --context out, and the device compiles it"
    )
    (tmp_path / "work" / f"image{MODEL}").write_bytes(b"compiled")
    monkeypatch.setattr(work, "run", lambda *_: work.Answer({**result, "difference": 0}, 1.0, 9))
    made = qnn_context.added(replace(job), built, "qnn", lambda _: None)
    assert [path.name for path in made.files] == ["image.onnx", f"image{MODEL}", f"image{FACTS}"]
    assert (made.seconds, made.peak_bytes) == (2.0, 9)
