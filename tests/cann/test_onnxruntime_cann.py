"""The package onnxruntime-cann on a machine without CANN: it falls back to the CPU by itself, and edgekit does not."""

from __future__ import annotations

import onnxruntime
import pytest

import onnx_models
from edgekit.errors import InputError, PlacementError
from edgekit.runtimes.ort import OnnxRuntime
from edgekit.runtimes.protocol import SessionSettings

PROVIDER = "CANNExecutionProvider"


@pytest.fixture
def artifact(tmp_path):
    return onnx_models.artifact(tmp_path, onnx_models.two_inputs(2, 5), {onnx_models.WEIGHTS: onnx_models.SIDECAR})


def opened(artifact, device, **settings):
    return OnnxRuntime().open(artifact, device, SessionSettings(threads=1, **settings))


def test_the_build_has_the_provider_and_falls_back_without_an_error(artifact, tmp_path) -> None:
    assert PROVIDER in onnxruntime.get_available_providers()
    path = tmp_path / "model.onnx"
    path.write_bytes(artifact.model.view)
    session = onnxruntime.InferenceSession(str(path), providers=[PROVIDER])
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_edgekit_does_not_offer_it_and_says_what_is_missing(artifact) -> None:
    assert OnnxRuntime().devices() == ("cpu",)
    assert "libascendcl.so" in OnnxRuntime().lacking("cann")
    for allow_cpu in (False, True):
        with pytest.raises(
            PlacementError, match=r"the provider cann of onnxruntime .* needs .*libascendcl\.so"
        ) as told:
            opened(artifact, "cann", allow_cpu=allow_cpu)
        assert "source its set_env.sh" in str(told.value)


def test_its_options_are_checked_first(artifact) -> None:
    with pytest.raises(InputError, match="did you mean precision_mode"):
        opened(artifact, "cann", options=(("provider.precision", "fp16"),))


def test_the_processor_still_runs(artifact) -> None:
    session = opened(artifact, "cpu")
    assert session.placement().counts() == {"cpu": len(session.placement().nodes)}
    session.close()
