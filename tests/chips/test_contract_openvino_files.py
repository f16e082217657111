"""OpenVINO keeps the contract with files of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

import onnx_models
import openvino_models
from edgekit.errors import ExecutionError
from edgekit.runtimes import registry
from edgekit.runtimes.protocol import Blob
from runtime_contract import ONE_THREAD, RuntimeContract, Subject


class TestOpenVinoFiles(RuntimeContract):
    @pytest.fixture
    def subject(self, tmp_path) -> Subject:
        free = openvino_models.two_inputs(tmp_path)
        model = bytes(free.model.view)
        return Subject(
            runtime=registry.get("openvino"),
            device="cpu",
            free=free,
            fixed=openvino_models.two_inputs(None, 2, 5),
            in_memory=openvino_models.two_inputs(),
            expected=onnx_models.expected,
            malformed=(b"", b"\0", b"not a model", model[:-1], model[: len(model) // 2], model[1:], b"\xff" * 64),
        )


@pytest.mark.parametrize("content", [b"", b"\0", b"<net></net>", b"<net name='n' version='11'/>", b"\xff" * 64])
def test_a_malformed_graph_beside_good_weights_is_refused(content):
    free = openvino_models.two_inputs()
    with pytest.raises(ExecutionError, match=r"test\.xml"):
        registry.get("openvino").open(replace(free, model=Blob(memoryview(content))), "cpu", ONE_THREAD)


@pytest.mark.parametrize("kept", [0, 8, 100, -1])
def test_weights_that_are_too_short_are_refused(kept):
    free = openvino_models.two_inputs()
    weights = free.sidecars[openvino_models.SIDECAR].view
    short = {openvino_models.SIDECAR: Blob(weights[:kept])}
    with pytest.raises(ExecutionError, match=r"test\.xml"):
        registry.get("openvino").open(replace(free, sidecars=short), "cpu", ONE_THREAD)


def test_weights_that_are_missing_or_double_are_named():
    free = openvino_models.two_inputs()
    with pytest.raises(ExecutionError, match=r"one file beside it, \*\.bin with its weights; here are none"):
        registry.get("openvino").open(replace(free, sidecars={}), "cpu", ONE_THREAD)
    double = {**free.sidecars, "other.bin": free.sidecars[openvino_models.SIDECAR]}
    with pytest.raises(ExecutionError, match=r"here are \['model\.bin', 'other\.bin'\]"):
        registry.get("openvino").open(replace(free, sidecars=double), "cpu", ONE_THREAD)


def test_a_graph_cannot_read_another_file(tmp_path):
    # Weights are found by the graph's own name, never by one that it gives.
    free = openvino_models.two_inputs()
    pointing = bytes(free.model.view).replace(b"<net ", b'<net bin_path="/etc/passwd" ')
    session = registry.get("openvino").open(replace(free, model=Blob(memoryview(pointing))), "cpu", ONE_THREAD)
    assert {info.name for info in session.inputs} == {"pixels", "ids"}
    session.close()


def test_placement_is_of_the_device_alone():
    session = registry.get("openvino").open(openvino_models.two_inputs(), "cpu", ONE_THREAD)
    assert set(session.placement().counts()) == {"cpu"}
    assert "FullyConnected" in {node.op for node in session.placement().nodes}
    session.close()
