"""What is OpenVINO's alone: options, placement, devices, files for its reader, and the starter's golden check."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import edgekit
import onnx_models
from edgekit.errors import ExecutionError, InputError, PlacementError, RuntimeUnavailableError
from edgekit.runtimes import openvino_options
from edgekit.runtimes.openvino import OpenVino
from edgekit.runtimes.protocol import Blob, SessionSettings
from runtime_contract import inputs

PHOTOS = sorted((Path(edgekit.__file__).parents[1] / "samples" / "photos").glob("*.jpg"))
ONE = SessionSettings(threads=1)


@pytest.fixture(name="artifact")
def _artifact(tmp_path):
    return onnx_models.artifact(tmp_path, onnx_models.two_inputs(), {onnx_models.WEIGHTS: onnx_models.SIDECAR})


def test_the_default_computes_in_the_models_own_types():
    # On processors with bfloat16 OpenVINO's own default would use it.
    assert openvino_options.resolve(ONE, "cpu") == {
        "EXECUTION_MODE_HINT": "ACCURACY",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": "1",
    }


def test_threads_are_the_cpus(artifact):
    settings = SessionSettings(threads=3)
    assert "INFERENCE_NUM_THREADS" not in openvino_options.resolve(settings, "gpu")
    assert openvino_options.resolve(replace(settings, allow_cpu=True), "gpu")["INFERENCE_NUM_THREADS"] == "3"
    assert "INFERENCE_NUM_THREADS" not in openvino_options.resolve(SessionSettings(), "cpu")


def test_an_option_replaces_the_default():
    settings = SessionSettings(options=(("execution_mode", "performance"), ("performance_hint", "throughput")))
    assert openvino_options.resolve(settings, "cpu") == {
        "EXECUTION_MODE_HINT": "PERFORMANCE",
        "PERFORMANCE_HINT": "THROUGHPUT",
    }


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ((("precision", "f16"),), "known: execution_mode, performance_hint"),
        ((("execution_mode", "fast"),), "takes accuracy, performance, not 'fast'"),
        ((("execution_mode", "accuracy"),) * 2, "twice"),
    ],
)
def test_a_wrong_option_is_refused_before_the_model_is_read(artifact, pairs, told):
    with pytest.raises(InputError, match=told):
        OpenVino().open(artifact, "cpu", SessionSettings(options=pairs))


@pytest.mark.parametrize("device", ["gpu", "npu", "gpu.1", "GPU", "hetero:gpu,cpu"])
def test_a_device_that_is_not_here_is_refused_even_where_the_cpu_might_help(artifact, device):
    if device in OpenVino().devices():
        pytest.skip(f"this machine has OpenVINO's device {device}")
    for allow in (False, True):
        with pytest.raises(PlacementError, match=r"only .*cpu"):
            OpenVino().open(artifact, device, SessionSettings(allow_cpu=allow))


def test_devices_come_last_with_the_cpu():
    assert OpenVino().devices()[-1] == "cpu"


def test_placement_names_kernels_and_no_constants(artifact):
    session = OpenVino().open(artifact, "cpu", ONE)
    kinds = {node.name: node.op for node in session.placement().nodes}
    session.close()
    assert kinds["multiply"] == "FullyConnected"
    assert not {"Const", "Input", "Output"} & set(kinds.values())


def test_inputs_that_do_not_fit_together_are_an_error_and_not_an_empty_answer(artifact):
    session = OpenVino().open(artifact, "cpu", ONE)
    with pytest.raises(ExecutionError, match=r"test\.onnx: OpenVINO.* fit together"):
        session.run({"pixels": inputs(3)["pixels"], "ids": inputs(2)["ids"]})
    session.close()


def test_an_empty_model_is_refused(artifact):
    with pytest.raises(ExecutionError, match="no inputs or no outputs"):
        OpenVino().open(replace(artifact, model=Blob(memoryview(b"")), sidecars={}), "cpu", ONE)


def test_callers_at_the_same_time_get_a_request_each_and_close_frees_them(artifact):
    session = OpenVino().open(artifact, "cpu", ONE)
    for _ in range(3):
        session.run(inputs(2))
    assert len(session._idle) == 1
    session.close()
    assert not session._idle


def test_without_the_package_it_says_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    found = OpenVino().available()
    assert not found.ok
    assert 'pip install "edgekit[openvino]"' in found.reason
    assert OpenVino().devices() == ()


def test_importing_the_sdk_does_not_import_openvino():
    code = "import sys, edgekit; sys.exit('openvino' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_starters_photo_tower_agrees_with_onnxruntime():
    image = ("image",)
    with (
        edgekit.load("starter", runtime="openvino", towers=image) as ours,
        edgekit.load("starter", runtime="onnxruntime", towers=image) as theirs,
    ):
        assert ours.explain().chosen.runtime.startswith("openvino")
        assert set(ours.explain().placement["image"]) == {"cpu"}
        assert (ours.embed_images(PHOTOS) * theirs.embed_images(PHOTOS)).sum(axis=1).min() > 0.98


def test_the_starters_text_tower_is_computed_wrongly_by_openvino_2026_and_refused_with_the_figure():
    # Its table of int8 rows has a scale for each row, which this engine's own rewriting loses.
    if OpenVino().available().version != "2026.4.1":
        pytest.skip(f"OpenVINO {OpenVino().available().version} may compute it otherwise")
    with pytest.raises(RuntimeUnavailableError, match=r"wrong numbers on this device: text tower: cosine 0\.\d+"):
        edgekit.load("starter", runtime="openvino", towers=("text",))
    with edgekit.load("starter") as clip:
        assert clip.explain().chosen.runtime.startswith("onnxruntime")
