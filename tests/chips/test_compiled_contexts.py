"""Qualcomm's context binaries, in its own simulator: kept, opened again, and never used where they do not belong.

The simulator itself opens a context binary of another chip, and one with changed bytes, without a word.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import edgekit
import qnn_bundle
import qnn_models
from edgekit.errors import PlacementError
from edgekit.runtimes import compiled_cache, ort_context, ort_plugins, registry
from edgekit.runtimes.compiled_entry import MANIFEST
from edgekit.runtimes.protocol import SessionSettings

CHIP = "qnn:QCS6490"
SETTINGS = SessionSettings(threads=1)


@pytest.fixture
def artifact(tmp_path):
    return qnn_models.quantized(tmp_path, reduce_l2=False)


def opened(artifact, device=CHIP, settings=SETTINGS):
    """Open, run, close; return placement and rows."""
    session = registry.get("onnxruntime").open(artifact, device, settings)
    rows = np.concatenate([session.run({"pixels": pixels})["embedding"] for pixels in qnn_models.PIXELS])
    placement = session.placement()
    session.close()
    return placement, rows


def only_entry():
    (entry,) = compiled_cache.entries()
    return entry


def test_the_second_load_opens_what_the_first_compiled(artifact):
    first, rows = opened(artifact)
    assert first.note == ""
    entry = only_entry()
    assert set(entry.files) == {ort_context.FILE, "context_qnn.bin"}
    assert entry.key.device.startswith("qnn:QCS6490 backend_type=htp htp_arch=68 soc_model=35")
    assert entry.key.compiler.startswith("onnxruntime-qnn 2.")
    second, again = opened(artifact)
    assert second.note == "compiled at an earlier load"
    # The engine itself would say that there is one node.
    assert second.nodes == first.nodes
    assert len(second.nodes) > 20
    np.testing.assert_array_equal(again, rows)


def test_each_chip_has_its_own(artifact):
    opened(artifact)
    opened(artifact, "qnn:8 Gen 3")
    assert {entry.key.device.partition(" backend")[0] for entry in compiled_cache.entries()} == {CHIP, "qnn:8 Gen 3"}
    assert opened(artifact)[0].note == opened(artifact, "qnn:8 Gen 3")[0].note == "compiled at an earlier load"


def test_options_of_the_provider_are_part_of_it(artifact):
    opened(artifact)
    other = replace(SETTINGS, options=(("provider.htp_graph_finalization_optimization_mode", "3"),))
    assert opened(artifact, settings=other)[0].note == ""
    assert len(compiled_cache.entries()) == 2


def test_it_can_be_turned_off(artifact):
    off = replace(SETTINGS, options=(("compiled_cache", "off"),))
    opened(artifact, settings=off)
    assert compiled_cache.entries() == ()


def rewrite(entry, **changed):
    found = json.loads((entry.folder / MANIFEST).read_text())
    key = {**found["key"], **changed}
    (entry.folder / MANIFEST).write_text(json.dumps({**found, "key": key}))
    # Kept under the name of its own key, as that version would have.
    entry.folder.rename(entry.folder.with_name(replace(entry.key, **changed).name))


def test_a_context_binary_of_another_version_is_out_of_date(artifact):
    _, rows = opened(artifact)
    version = only_entry().key.compiler
    rewrite(only_entry(), compiler="onnxruntime-qnn 2.6.0")
    placement, again = opened(artifact)
    device = only_entry().key.device
    assert placement.note == (
        f"the compiled model kept for {device} is out of date: compiler was onnxruntime-qnn 2.6.0, is {version}; "
        "it was compiled again"
    )
    np.testing.assert_array_equal(again, rows)
    assert only_entry().key.compiler == version
    assert opened(artifact)[0].note == "compiled at an earlier load"


def test_a_context_binary_of_another_chip_is_not_used(artifact):
    """Its files are swapped behind edgekit's back: the engine would take them."""
    opened(artifact)
    opened(artifact, "qnn:8 Gen 3")
    by_device = {entry.key.device.partition(" backend")[0]: entry for entry in compiled_cache.entries()}
    right, wrong = by_device[CHIP], by_device["qnn:8 Gen 3"]
    for name in right.files:
        (right.folder / name).write_bytes((wrong.folder / name).read_bytes())
    note = opened(artifact)[0].note
    assert "is damaged: context" in note
    assert note.endswith("was changed; it was compiled again")


@pytest.mark.parametrize("cut", [0.5, 0.0])
def test_a_truncated_context_binary_is_compiled_again(artifact, cut):
    _, rows = opened(artifact)
    path = only_entry().folder / "context_qnn.bin"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    placement, again = opened(artifact)
    assert placement.note.endswith("is damaged: context_qnn.bin was changed; it was compiled again")
    np.testing.assert_array_equal(again, rows)


def test_a_context_that_the_engine_does_not_open_is_compiled_again(artifact, monkeypatch):
    opened(artifact)
    entry = only_entry()
    (entry.folder / ort_context.FILE).write_bytes(b"no model")
    with monkeypatch.context() as patch:
        patch.setattr("edgekit.runtimes.compiled_entry.damage", lambda _: "")
        note = opened(artifact)[0].note
    assert note.startswith(
        "the compiled model that was kept does not open (tower.onnx: onnxruntime on qnn:QCS6490 refused"
    )
    assert opened(artifact)[0].note == "compiled at an earlier load"


def test_what_is_partly_on_the_processor_is_not_kept(tmp_path):
    artifact = qnn_models.quantized(tmp_path, reduce_l2=True)
    placement, _ = opened(artifact, settings=replace(SETTINGS, allow_cpu=True))
    assert set(placement.counts()) == {"qnn", "cpu"}
    assert compiled_cache.entries() == ()


_COMPILE = """
import sys
sys.path.insert(0, {helpers!r})
from pathlib import Path
import qnn_models
from edgekit.runtimes import ort_placement, registry
from edgekit.runtimes.protocol import SessionSettings
artifact = qnn_models.artifact(Path({model!r}).read_bytes())
def stop(raw):
    Path({ready!r}).touch()
    import time; time.sleep(60)
ort_placement.recorded = stop
registry.get("onnxruntime").open(artifact, {chip!r}, SessionSettings(threads=1))
"""


def test_a_load_that_was_killed_while_it_compiled_leaves_nothing(artifact, tmp_path):
    ready = tmp_path / "ready"
    (tmp_path / "model").write_bytes(artifact.model.view)
    helpers = str(Path(qnn_models.__file__).parent)
    code = _COMPILE.format(helpers=helpers, model=str(tmp_path / "model"), ready=str(ready), chip=CHIP)
    child = subprocess.Popen([sys.executable, "-c", code], env=os.environ)
    deadline = time.monotonic() + 60
    while not ready.exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    # The engine had written its files; the manifest, which makes them an entry, was still to come.
    (work,) = [path for path in compiled_cache.home().iterdir() if path.is_dir()]
    assert (work / ort_context.FILE).exists()
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert compiled_cache.entries() == ()
    assert opened(artifact)[0].note == ""
    assert [path.name for path in compiled_cache.home().iterdir()] == [only_entry().folder.name]


def test_a_provider_that_takes_nothing_is_refused_with_the_nodes():
    node = onnx.helper.make_node("Det", ["pixels"], ["embedding"], name="only")
    graph = onnx.helper.make_graph(
        [node],
        "nothing",
        [onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, [2, 4, 4])],
        [onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, [2])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    artifact = qnn_models.artifact(model.SerializeToString())
    with pytest.raises(PlacementError, match=r"1 nodes did not go to qnn:QCS6490: Det only; allow the CPU explicitly"):
        opened(artifact)
    session = registry.get("onnxruntime").open(artifact, CHIP, replace(SETTINGS, allow_cpu=True))
    assert session.placement().counts() == {"cpu": 1}
    session.close()


def test_a_key_names_this_very_library_and_chip(artifact):
    plugin = next(one for one in ort_plugins.installed() if one.device == "qnn")
    key = ort_context.key_of(onnxruntime, plugin, artifact, CHIP, SETTINGS)
    assert key.runtime == f"onnxruntime {onnxruntime.__version__}"
    library = replace(plugin, library=__file__)
    assert ort_context.key_of(onnxruntime, library, artifact, CHIP, SETTINGS).compiler.startswith(f"{__file__} of ")


def test_explain_says_that_a_compiled_model_was_kept(tmp_path):
    bundle = qnn_bundle.build(tmp_path)
    options = {"variant": {"image": qnn_bundle.VARIANT, "text": "fp32"}, "device": {"image": CHIP}}
    with edgekit.load(bundle, **options) as clip:
        assert "compiled at an earlier load" not in str(clip.explain())
    with edgekit.load(bundle, **options) as clip:
        found = str(clip.explain())
    assert "image tower: compiled at an earlier load" in found
    assert "nodes on qnn" in found
