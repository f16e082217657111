"""The real onnxruntime-gpu without CUDA: it leaves everything to the CPU by itself, and edgekit does not let it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

import edgekit
import onnx_models
from edgekit.errors import ExecutionError, PlacementError, RuntimeUnavailableError
from edgekit.runtimes import ort_tensorrt, shared_libraries
from edgekit.runtimes.ort import OnnxRuntime
from edgekit.runtimes.protocol import SessionSettings

CAPI = Path(onnxruntime.__file__).parent / "capi"


@pytest.fixture(name="artifact")
def _artifact(tmp_path):
    return onnx_models.artifact(tmp_path, onnx_models.two_inputs(), {onnx_models.WEIGHTS: onnx_models.SIDECAR})


def test_the_build_has_the_providers() -> None:
    assert {"TensorrtExecutionProvider", "CUDAExecutionProvider"} <= set(onnxruntime.get_available_providers())


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("provider", ["TensorrtExecutionProvider", "CUDAExecutionProvider"])
def test_by_itself_it_runs_on_the_cpu_and_says_so_in_its_log_alone(tmp_path, provider: str) -> None:
    """The fault that edgekit answers."""
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_models.two_inputs())
    (tmp_path / onnx_models.WEIGHTS).write_bytes(onnx_models.SIDECAR)
    session = onnxruntime.InferenceSession(str(path), providers=[provider])
    assert session.get_providers() == ["CPUExecutionProvider"]


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize(
    ("device", "library"),
    [("tensorrt", "libnvinfer.so.10"), ("tensorrt:dla0", "libnvinfer.so.10"), ("cuda", "libcuda.so.1")],
)
def test_asked_for_it_is_an_error_with_the_reason_never_a_result(artifact, device, library, allow) -> None:
    told = rf"test\.onnx: the provider {device} of onnxruntime .* needs .*{library}.*which this machine does not have; "
    with pytest.raises(PlacementError, match=f"{told}install the CUDA, cuDNN and TensorRT"):
        OnnxRuntime().open(artifact, device, SessionSettings(allow_cpu=allow))


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize("device", ["tensorrt", "cuda"])
def test_one_that_fails_only_when_it_is_made_is_an_error_too(artifact, monkeypatch, device, allow) -> None:
    """As on a machine that has the libraries and no GPU: the check before finds nothing missing."""
    monkeypatch.setattr(ort_tensorrt, "lacking", lambda folder, device: ())
    with pytest.raises(ExecutionError, match=r"left out the provider cuda|fallback to CPU EP|TensorRT libraries"):
        OnnxRuntime().open(artifact, device, SessionSettings(allow_cpu=allow))


@pytest.mark.usefixtures("no_gpu")
def test_what_cannot_load_is_no_device_and_the_cpu_works() -> None:
    assert OnnxRuntime().devices() == ("cpu",)
    with pytest.raises((RuntimeUnavailableError, PlacementError), match=r"libnvinfer\.so\.10"):
        edgekit.load("starter", runtime="onnxruntime", device="tensorrt")
    with edgekit.load("starter") as clip:
        assert clip.embed_texts(["a red bicycle"]).shape[0] == 1
        assert set(clip.explain().placement["text"]) == {"cpu"}


@pytest.mark.parametrize("table", [ort_tensorrt.TENSORRT, ort_tensorrt.CUDA])
def test_every_option_is_one_that_the_library_has(table) -> None:
    data = (CAPI / f"libonnxruntime_providers_{table.device}.so").read_bytes()
    # Names stand in the library as they are, but for short ones, which the compiler writes into its instructions.
    absent = [o.name for o in table.options if o.name.encode() not in data and len(o.name) > 16]
    assert absent == []


def test_no_option_of_the_library_is_forgotten() -> None:
    data = (CAPI / "libonnxruntime_providers_tensorrt.so").read_bytes()
    import re

    found = {name.decode() for name in re.findall(rb"\0(trt_[a-z0-9_]+)(?=\0)", data)}
    known = {option.name for option in ort_tensorrt.TENSORRT.options}
    # A model or weights as bytes: a pointer, which no text holds.
    pointers = {name for name in found if "bytestream" in name}
    assert len(found) > 30
    assert found - known - pointers == set()


def test_libraries_are_read_as_the_system_reads_them() -> None:
    for device in ort_tensorrt.DEVICES:
        path = CAPI / f"libonnxruntime_providers_{device}.so"
        told = subprocess.run(["readelf", "-d", str(path)], capture_output=True, text=True, check=True).stdout
        names = [line.split("[")[1].rstrip("]") for line in told.splitlines() if "(NEEDED)" in line]
        assert list(shared_libraries.needed(path)) == names
    assert ort_tensorrt.version(onnxruntime) == 10


@pytest.mark.usefixtures("no_gpu")
def test_doctor_says_nothing_of_it_and_does_not_fail() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgekit.cli.main", "doctor"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
