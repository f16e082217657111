"""A real external delegate, compiled here: it gets the work it takes, and every way it can fail is told."""

from __future__ import annotations

import ctypes.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from signal import SIGABRT
from typing import TYPE_CHECKING

import numpy as np
import pytest

import litert_files
from edgekit.errors import ExecutionError, PlacementError
from edgekit.runtimes.litert import LiteRt
from edgekit.runtimes.protocol import NodePlacement, Session, SessionSettings

if TYPE_CHECKING:
    import numpy.typing as npt

X = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
BIAS = np.array([1, 2, 3], np.float32)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> str:
    return litert_files.compiled(tmp_path_factory.mktemp("delegate"))


def opened(model: str, device: str, mode: str = "right", *, allow_cpu: bool = False, **more: str) -> Session:
    options = (("delegate.mode", mode), *((name, value) for name, value in more.items()))
    settings = SessionSettings(threads=1, allow_cpu=allow_cpu, options=options)
    return LiteRt().open(litert_files.artifact(model), device, settings)


def y(session: Session, x: npt.NDArray[np.float32] = X) -> npt.NDArray[np.generic]:
    return session.run({"x": x})["y"]


def test_the_delegates_own_default_needs_no_option(device: str) -> None:
    session = LiteRt().open(litert_files.artifact("adds"), device, SessionSettings())
    np.testing.assert_array_equal(y(session), X + BIAS + X)


def test_a_graph_it_takes_whole_runs_on_it(device: str) -> None:
    session = opened("adds", device)
    np.testing.assert_array_equal(y(session), X + BIAS + X)
    assert session.placement().nodes == (NodePlacement("middle", "ADD", device), NodePlacement("y", "ADD", device))
    session.close()


def test_its_numbers_come_from_it_and_not_from_the_cpu(device: str) -> None:
    # The session cannot know; the golden check refuses it (tests/edgekit/test_litert_bundle.py).
    np.testing.assert_array_equal(y(opened("adds", device, "wrong")), X - BIAS - X)


def test_what_it_leaves_is_an_error(device: str) -> None:
    with pytest.raises(
        PlacementError,
        match=r"mixed\.tflite: .*libadd_delegate\.so took 2 of the model's 4 nodes and left SQUARE \(2\)",
    ):
        opened("mixed", device)


@pytest.mark.parametrize("xnnpack", ["on", "off"])
def test_what_it_leaves_goes_to_the_cpu_when_allowed(device: str, xnnpack: str) -> None:
    session = opened("mixed", device, allow_cpu=True, xnnpack=xnnpack)
    np.testing.assert_allclose(y(session), ((X + X) ** 2 + X) ** 2)
    # With XNNPACK, the interpreter lists its parts like the delegate's.
    assert session.placement().counts() == {device: 2, "cpu": 2}
    assert [node.device for node in session.placement().nodes] == [device, "cpu", device, "cpu"]


@pytest.mark.parametrize("allow_cpu", [False, True])
@pytest.mark.parametrize("model", ["adds", "mixed"])
def test_a_delegate_that_takes_nothing_is_an_error(device: str, model: str, allow_cpu: bool) -> None:
    with pytest.raises(
        PlacementError, match=r"libadd_delegate\.so took none of the model's \d nodes; use the device cpu"
    ):
        opened(model, device, "nothing", allow_cpu=allow_cpu)


def test_a_refusal_to_start_is_told_with_its_reason_and_options(device: str) -> None:
    with pytest.raises(
        PlacementError, match=r"\.so refused to start: the adder is not plugged in \(options: mode=refuse\)"
    ):
        opened("adds", device, "refuse")


def test_an_option_it_does_not_know_is_its_own_refusal(device: str) -> None:
    settings = SessionSettings(options=(("delegate.speed", "right"),))
    with pytest.raises(PlacementError, match=r"knows no such option or mode \(options: speed=right\)"):
        LiteRt().open(litert_files.artifact("adds"), device, settings)


@pytest.mark.parametrize("allow_cpu", [False, True])
def test_a_delegate_that_fails_on_the_model_is_not_replaced(device: str, allow_cpu: bool) -> None:
    # Both engines put the graph back as it was; whoever goes on then has a session on the CPU.
    with pytest.raises(PlacementError, match=r"libadd_delegate\.so failed on the model: .*EdgekitTestAdder.*prepare"):
        opened("adds", device, "unprepared", allow_cpu=allow_cpu)


def test_an_inference_that_fails_is_an_error_each_time(device: str) -> None:
    session = opened("adds", device, "fail")
    for _ in range(2):
        with pytest.raises(ExecutionError, match=r"adds\.tflite: LiteRT failed: the adder is out of order"):
            session.run({"x": X})
    session.close()


def test_a_model_of_any_batch_runs_on_it_with_each(device: str) -> None:
    session = opened("adds_free", device)
    for rows in (1, 5, 2):
        x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
        np.testing.assert_array_equal(y(session, x), x + BIAS + x)


def test_a_delegate_that_drops_a_larger_batch_is_caught(device: str) -> None:
    session = opened("adds_free", device, "small")
    np.testing.assert_array_equal(y(session), X + BIAS + X)
    for _ in range(2):
        with pytest.raises(PlacementError, match="took none of the model's 2 nodes"):
            y(session, np.ones((3, 3), np.float32))
    np.testing.assert_array_equal(y(session), X + BIAS + X)
    shared = opened("adds_free", device, "small", allow_cpu=True)
    np.testing.assert_array_equal(y(shared, np.ones((3, 3), np.float32)), np.ones((3, 3)) * 2 + BIAS)


def test_sessions_have_a_delegate_each(device: str) -> None:
    right, wrong = opened("adds", device), opened("adds", device, "wrong")
    right.close()
    np.testing.assert_array_equal(y(wrong), X - BIAS - X)
    np.testing.assert_array_equal(y(opened("adds", device)), X + BIAS + X)
    wrong.close()


def test_a_broken_model_is_not_blamed_on_the_delegate(device: str) -> None:
    artifact = litert_files.in_memory("adds")
    cut = replace(artifact, model=replace(artifact.model, view=artifact.model.view[:-8]))
    with pytest.raises(ExecutionError, match=r"adds\.tflite: LiteRT refused the model") as caught:
        LiteRt().open(cut, device, SessionSettings())
    assert not isinstance(caught.value, PlacementError)


def test_a_missing_library_is_told_by_its_path() -> None:
    with pytest.raises(
        PlacementError, match=r"adds\.tflite: the delegate /nowhere/lib\.so cannot be loaded.*full path"
    ):
        opened("adds", "delegate:/nowhere/lib.so")


def test_a_file_that_is_no_library_is_told(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_text("text")
    with pytest.raises(PlacementError, match=r"lib\.so cannot be loaded"):
        opened("adds", f"delegate:{tmp_path}/lib.so")


def test_a_library_that_is_no_delegate_is_told() -> None:
    library = ctypes.util.find_library("m")
    assert library is not None
    with pytest.raises(
        PlacementError, match=r"not an external delegate: it does not export tflite_plugin_create_deleg"
    ):
        opened("adds", f"delegate:{library}")


@pytest.mark.parametrize("device", ["delegate:", "delegate", "npu", ""])
def test_a_device_without_a_path_is_none(device: str) -> None:
    with pytest.raises(PlacementError, match="only cpu, delegate:PATH"):
        LiteRt().open(litert_files.artifact("adds"), device, SessionSettings())


def test_a_crash_ends_a_child_only(device: str) -> None:
    """What happens in a delegate happens to the process: who does not trust one tries it in a child."""
    program = (
        "import sys, numpy as np; import litert_files; from edgekit.runtimes.litert import LiteRt;"
        "from edgekit.runtimes.protocol import SessionSettings;"
        "session = LiteRt().open(litert_files.artifact('adds'), sys.argv[1],"
        " SessionSettings(options=(('delegate.mode', 'abort'),)));"
        "print('opened', flush=True); session.run({'x': np.ones((2, 3), np.float32)}); print('survived')"
    )
    environment = {"PYTHONPATH": str(Path(litert_files.__file__).parent)}
    child = subprocess.run(
        [sys.executable, "-c", program, device], capture_output=True, text=True, timeout=120, env=environment
    )
    assert child.stdout == "opened\n"
    assert child.returncode == -SIGABRT
