"""Models that an engine aborts on, or computes wrongly without a word: each refusal is shown to be deserved."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from signal import SIGABRT
from typing import Any

import numpy as np
import pytest

import litert_files
from edgekit.errors import ExecutionError
from edgekit.runtimes import litert_defects, litert_engine, litert_placement
from edgekit.runtimes.litert import LiteRt
from litert_files import CHANNEL_SCALES, CHANNEL_WEIGHTS
from runtime_contract import ONE_THREAD

ENGINE = litert_engine.find()
WEIGHTS = CHANNEL_WEIGHTS * np.array(CHANNEL_SCALES, np.float32)[:, None]
X = np.linspace(-1, 1, 8, dtype=np.float32)
BLIND = ("batch_matmul", "embedding_lookup", "fully_connected")


def raw(name: str, **options: Any) -> Any:
    interpreter = ENGINE.module.Interpreter(
        model_path=str(litert_files.artifact(name).model.path), num_threads=1, **options
    )
    interpreter.allocate_tensors()
    return interpreter


def y(name: str, x: np.ndarray[Any, Any], **options: Any) -> np.ndarray[Any, Any]:
    """Return what the engine itself computes, without edgekit."""
    interpreter = raw(name, **options)
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.set_tensor(source["index"], x.reshape(source["shape"]))
    interpreter.invoke()
    found: np.ndarray[Any, Any] = interpreter.get_tensor(result["index"])
    return found


def case(op: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return an input of ``channels_{op}`` and what it should give, in float arithmetic."""
    if op == "embedding_lookup":
        return np.array([3, 1, 2], np.int32), WEIGHTS[[3, 1, 2]]
    if op == "depthwise_conv_2d":
        x = np.repeat(X, 4)  # each channel sees the same eight numbers
        return x, X @ WEIGHTS.T
    return X, X @ WEIGHTS.T


@pytest.mark.parametrize("op", [*BLIND, "conv_2d", "depthwise_conv_2d"])
def test_a_scale_per_channel_is_right_or_refused(op: str) -> None:
    name = f"channels_{op}"
    x, wanted = case(op)
    found = y(name, x).reshape(wanted.shape)
    if ENGINE.scales_channels or op not in BLIND:
        np.testing.assert_allclose(found, wanted, atol=0.1)
        LiteRt().open(litert_files.artifact(name), "cpu", ONE_THREAD).close()
        return
    assert not found.any()  # the weights are taken for zeros
    told = rf"{name}\.tflite: tflite-runtime .* takes the weights of {op.upper()} for zeros.*use ai-edge-litert"
    with pytest.raises(ExecutionError, match=told):
        LiteRt().open(litert_files.artifact(name), "cpu", ONE_THREAD)


def test_a_scale_per_tensor_is_right_on_both() -> None:
    np.testing.assert_allclose(y("tensor_fully_connected", X)[0], X @ (CHANNEL_WEIGHTS * 0.01).T, atol=0.05)
    LiteRt().open(litert_files.artifact("tensor_fully_connected"), "cpu", ONE_THREAD).close()


def test_zeros_become_nan_or_a_plausible_embedding() -> None:
    """Checking for NaN is not enough: with a bias before the norm, the wrong rows are finite and of unit length."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    normed, biased = y("tower_channels", pixels[0, :4, :4]), y("converted_dynamic_int8", pixels)
    right = np.load(litert_files.FIXTURES / "converted.npy")
    assert np.isfinite(biased).all()
    if ENGINE.scales_channels:
        assert np.isfinite(normed).all()
        np.testing.assert_allclose(biased, right, atol=0.02)
        return
    assert np.isnan(normed).all()
    assert np.abs(biased - right).max() > 0.1
    np.testing.assert_array_equal(biased[0], biased[1])  # whatever the image is
    for name in ("tower_channels", "converted_dynamic_int8"):
        with pytest.raises(ExecutionError, match="takes the weights of FULLY_CONNECTED for zeros"):
            LiteRt().open(litert_files.artifact(name), "cpu", ONE_THREAD)


def test_an_older_engine_is_told_by_the_model_alone() -> None:
    # The rule itself, on whichever engine is here.
    old = replace(ENGINE, package="tflite-runtime", version="2.14.0", scales_channels=False)
    for name, refused in (("converted_dynamic_int8", True), ("channels_conv_2d", False), ("quantized", False)):
        interpreter = ENGINE.module.Interpreter(model_path=str(litert_files.artifact(name).model.path))
        problem = litert_defects.problem(old, interpreter, litert_placement.nodes(interpreter))
        assert bool(problem) is refused
    new = replace(ENGINE, scales_channels=True)
    interpreter = ENGINE.module.Interpreter(model_path=str(litert_files.artifact("converted_dynamic_int8").model.path))
    assert litert_defects.problem(new, interpreter, litert_placement.nodes(interpreter)) == ""


def test_an_infinite_scale_is_refused_before_the_engine_aborts() -> None:
    with pytest.raises(
        ExecutionError, match=r"mask_static_int8\.tflite: the tensor 'mask' .* not finite.*quantize again"
    ):
        LiteRt().open(litert_files.artifact("mask_static_int8"), "cpu", ONE_THREAD)


def child(program: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(Path(litert_files.__file__).parent)}
    return subprocess.run(
        [sys.executable, "-c", f"import litert_files\n{program}"],
        capture_output=True,
        text=True,
        timeout=600,  # it must end, not be fast
        env=environment,
    )


def test_the_engine_does_abort_on_it() -> None:
    path = litert_files.artifact("mask_static_int8").model.path
    program = (
        f"from {ENGINE.module.__name__} import Interpreter; Interpreter(model_path={str(path)!r}).allocate_tensors()"
    )
    assert child(program).returncode == -SIGABRT


def test_a_model_that_no_check_can_tell_ends_a_child_only() -> None:
    """Why converters try each file in a child process before they deliver it."""
    program = (
        "from edgekit.runtimes.litert import LiteRt; from edgekit.runtimes.protocol import SessionSettings;"
        "print('begun', flush=True);"
        "LiteRt().open(litert_files.artifact('huge_scale'), 'cpu', SessionSettings(threads=1)); print('survived')"
    )
    ended = child(program)
    assert (ended.stdout, ended.returncode) == ("begun\n", -SIGABRT)


def test_a_file_damaged_anywhere_ends_no_process() -> None:
    """Each word in turn becomes a reference far outside, which tflite-runtime alone would follow."""
    program = (
        "import struct; from edgekit.errors import ExecutionError; from edgekit.runtimes.litert import LiteRt;"
        "from edgekit.runtimes.protocol import Artifact, Blob, SessionSettings\n"
        "whole, refused = bytes(litert_files.artifact('two_inputs').model.view), 0\n"
        "for place in range(0, len(whole), 4):\n"
        "    for value in (0x7FFFFFFF, 0xFFFFFFF0):\n"
        "        data = bytearray(whole)\n"
        "        struct.pack_into('<I', data, place, value)\n"
        "        try:\n"
        "            LiteRt().open(Artifact('x', 'tflite', Blob(memoryview(data))), 'cpu', SessionSettings(1))\n"
        "        except ExecutionError as error:\n"
        "            assert str(error).startswith('x: '), error\n"
        "            refused += 1\n"
        "print(refused)\n"
    )
    ended = child(program)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert int(ended.stdout) > 500
