"""Qualcomm's provider in its own simulator of the Hexagon processor, through the ONNX Runtime adapter."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

import qnn_models
from edgekit.errors import ExecutionError, PlacementError
from edgekit.runtimes import registry
from edgekit.runtimes.protocol import SessionSettings


def reference(pixels):
    model = qnn_models.tower(reduce_l2=False).SerializeToString()
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"pixels": pixels})[0]


def opened(artifact, device, **settings):
    return registry.get("onnxruntime").open(artifact, device, SessionSettings(threads=1, **settings))


def cosines(session):
    rows = np.concatenate([session.run({"pixels": pixels})["embedding"] for pixels in qnn_models.PIXELS])
    wanted = np.concatenate([reference(pixels) for pixels in qnn_models.PIXELS])
    return (rows * wanted).sum(axis=1) / np.linalg.norm(rows, axis=1)


def test_the_simulator_is_offered_and_must_be_named():
    assert "qnn:" in registry.get("onnxruntime").devices()


@pytest.mark.parametrize("chip", ["QCS6490", "QCS8550", "8 Gen 3", "X Elite", "8 Elite"])
@pytest.mark.parametrize("bits", [16, 8])
def test_a_quantized_tower_runs_whole_on_each_chip_and_is_right(tmp_path, chip, bits):
    artifact = qnn_models.quantized(tmp_path, reduce_l2=False, bits=bits)
    session = opened(artifact, f"qnn:{chip}")
    assert set(session.placement().counts()) == {"qnn"}
    assert cosines(session).min() > (0.9999 if bits == 16 else 0.999)
    session.close()


def test_a_node_that_the_chip_does_not_have_is_named(tmp_path):
    artifact = qnn_models.quantized(tmp_path, reduce_l2=True)
    with pytest.raises(PlacementError, match=r"tower\.onnx: .* did not go to qnn:QCS6490: .*ReduceL2"):
        opened(artifact, "qnn:QCS6490")
    session = opened(artifact, "qnn:QCS6490", allow_cpu=True)
    counts = session.placement().counts()
    assert counts["qnn"] > counts["cpu"] > 0
    assert cosines(session).min() > 0.9999
    session.close()
    opened(artifact, "qnn:8 Gen 3").close()


def test_a_float_tower_is_wrong_in_the_simulator_without_a_word_which_is_what_the_golden_check_is_for():
    session = opened(qnn_models.artifact(qnn_models.tower(reduce_l2=False).SerializeToString()), "qnn:8 Gen 3")
    assert set(session.placement().counts()) == {"qnn"}
    assert cosines(session).min() < 0.9
    session.close()


def test_a_float_tower_is_refused_by_a_chip_without_float16():
    with pytest.raises(ExecutionError, match=r"tower\.onnx: onnxruntime on qnn:QCS6490 refused the model"):
        opened(qnn_models.artifact(qnn_models.tower(reduce_l2=False).SerializeToString()), "qnn:QCS6490")


@pytest.mark.parametrize(
    ("device", "told"), [("qnn", "only cpu, qnn:"), ("qnn:", "only"), ("qnn:abc", "known: QCS6490")]
)
def test_a_wrong_chip_is_told(tmp_path, device, told):
    with pytest.raises(PlacementError, match=told):
        opened(qnn_models.quantized(tmp_path, reduce_l2=False), device)
