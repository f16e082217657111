"""What is particular to ONNX Runtime: providers, settings, placement, and a package that is absent or broken."""

from __future__ import annotations

import sys
import threading
import types
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onnx_models
from edgekit.errors import ExecutionError, InputError, MissingDependencyError, PlacementError
from edgekit.runtimes import ort, ort_placement
from edgekit.runtimes.ort import OnnxRuntime
from edgekit.runtimes.ort_session import OrtSession
from edgekit.runtimes.protocol import NodePlacement, Placement, SessionSettings
from runtime_contract import ONE_THREAD, inputs

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.runtimes.protocol import Artifact


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return onnx_models.artifact(tmp_path, onnx_models.two_inputs(), {onnx_models.WEIGHTS: onnx_models.SIDECAR})


def options_of(artifact: Artifact, settings: SessionSettings) -> Any:
    return OnnxRuntime().open(artifact, "cpu", settings)._raw.get_session_options()


def test_settings_reach_the_session(artifact: Artifact) -> None:
    default = options_of(artifact, SessionSettings())
    assert default.intra_op_num_threads == 0
    assert default.inter_op_num_threads == 1
    assert default.enable_cpu_mem_arena
    assert default.get_session_config_entry("session.intra_op.allow_spinning") == "1"
    thrifty = options_of(artifact, SessionSettings(threads=3, spinning=False, arena=False))
    assert thrifty.intra_op_num_threads == 3
    assert not thrifty.enable_cpu_mem_arena
    assert thrifty.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("x64quantprecision", "session.x64quantprecision"),
        ("flush_denormals", "session.set_denormal_as_zero"),
        ("bfloat16_gemm", "mlas.enable_gemm_fastmath_arm64_bfloat16"),
    ],
)
def test_an_option_becomes_the_configuration_entry(artifact: Artifact, name: str, entry: str) -> None:
    assert _entry(options_of(artifact, SessionSettings()), entry) == ""
    for value in ("0", "1"):
        assert _entry(options_of(artifact, SessionSettings(options=((name, value),))), entry) == value


def test_graph_optimization_is_set_by_name(artifact: Artifact) -> None:
    levels = [
        options_of(artifact, SessionSettings(options=(("graph_optimization", value),))).graph_optimization_level
        for value in ("off", "basic", "extended", "all")
    ]
    level = ort._module().GraphOptimizationLevel
    assert levels[0] == level.ORT_DISABLE_ALL
    assert levels[-1] == level.ORT_ENABLE_ALL
    assert len({int(found) for found in levels}) == 4
    assert options_of(artifact, SessionSettings()).graph_optimization_level == level.ORT_ENABLE_ALL


@pytest.mark.parametrize("pair", [("turbo", "1"), ("x64quantprecision", "2"), ("", "")])
def test_an_unknown_option_is_refused_before_anything_is_opened(artifact: Artifact, pair: tuple[str, str]) -> None:
    with pytest.raises(InputError, match=r"onnxruntime has no option .*known: .*x64quantprecision|takes 0, 1"):
        OnnxRuntime().open(artifact, "cpu", SessionSettings(options=(pair,)))


def test_devices_are_providers_without_those_that_are_no_devices() -> None:
    devices = OnnxRuntime().devices()
    assert "cpu" in devices
    assert "azure" not in devices
    assert ort_placement.device_of("CUDAExecutionProvider") == "cuda"
    assert ort_placement.device_of("NvTensorRTRTXExecutionProvider") == "nvtensorrtrtx"


def test_a_provider_asked_for_but_absent_is_an_error(artifact: Artifact) -> None:
    with pytest.raises(PlacementError, match=r"test\.onnx: onnxruntime offers no device 'cuda' here, only .*cpu"):
        OnnxRuntime().open(artifact, "cuda", ONE_THREAD)
    # Not even with permission to use the CPU: the device itself is not there.
    with pytest.raises(PlacementError, match="no device 'cuda'"):
        OnnxRuntime().open(artifact, "cuda", SessionSettings(allow_cpu=True))


class OtherBuild:
    """The installed package, as if its build also had the provider ``Npu``, which leaves some nodes to the CPU."""

    def __init__(self, real: Any, left_to_cpu: tuple[str, ...]) -> None:
        self._real, self._left = real, left_to_cpu
        self.asked: list[tuple[list[str], Any]] = []
        self.SessionOptions = real.SessionOptions

    def get_available_providers(self) -> list[str]:
        return ["NpuExecutionProvider", "CPUExecutionProvider"]

    def InferenceSession(self, model: bytes, options: Any, *, providers: list[str], enable_fallback: int) -> Any:  # noqa: N802
        assert not enable_fallback
        self.asked.append((providers, options))
        if self._left and _entry(options, "session.disable_cpu_ep_fallback") == "1":
            raise RuntimeError(
                "[ONNXRuntimeError] : 1 : FAIL : This session contains graph nodes that are assigned to the default "
                "CPU EP, but fallback to CPU EP has been explicitly disabled by the user."
            )
        plain = self._real.SessionOptions()
        plain.enable_profiling, plain.profile_file_prefix = options.enable_profiling, options.profile_file_prefix
        plain.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        return self._real.InferenceSession(model, plain, providers=["CPUExecutionProvider"])


def _entry(options: Any, key: str) -> str:
    try:
        return str(options.get_session_config_entry(key))
    except RuntimeError:
        return ""


@pytest.fixture
def inline(tmp_path: Path) -> Artifact:
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Abs", ["x"], ["a"], name="abs"), helper.make_node("Exp", ["a"], ["y"], name="exp")]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in ("x", "y")]
    model = onnx_models.model_of(helper.make_graph(nodes, "g", ends[:1], ends[1:]))
    return onnx_models.artifact(tmp_path, model.SerializeToString())


def test_a_device_that_leaves_nodes_to_the_cpu_is_refused(inline: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    build = OtherBuild(ort._module(), ("exp",))
    monkeypatch.setattr(ort, "_module", lambda: build)
    with pytest.raises(PlacementError, match="explicitly disabled"):
        OnnxRuntime().open(inline, "npu", ONE_THREAD)
    assert build.asked[0][0] == ["NpuExecutionProvider"]


def test_a_device_whose_record_shows_other_nodes_is_refused(inline: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    # An engine that ignores the strict setting is still caught by what it records.
    build = OtherBuild(ort._module(), ())
    record = Placement((NodePlacement("abs", "Abs", "npu"), NodePlacement("exp", "Exp", "cpu")))
    monkeypatch.setattr(ort, "_module", lambda: build)
    monkeypatch.setattr(ort_placement, "recorded", lambda _: record)
    with pytest.raises(PlacementError, match="1 nodes did not go to npu: Exp exp; allow the CPU explicitly"):
        OnnxRuntime().open(inline, "npu", ONE_THREAD)


def test_a_device_may_share_with_the_cpu_when_allowed(inline: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    build = OtherBuild(ort._module(), ("exp",))
    monkeypatch.setattr(ort, "_module", lambda: build)
    session = OnnxRuntime().open(inline, "npu", SessionSettings(allow_cpu=True))
    assert set(session.placement().counts()) == {"cpu"}  # and the caller can see that all of it went there
    providers, options = build.asked[0]
    assert providers == ["NpuExecutionProvider", "CPUExecutionProvider"]
    assert _entry(options, "session.disable_cpu_ep_fallback") in ("", "0")
    session.close()


def test_without_a_record_a_session_on_another_device_is_trusted_to_the_strict_setting(
    inline: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = OtherBuild(ort._module(), ())
    monkeypatch.setattr(ort, "_module", lambda: build)
    monkeypatch.setattr(ort_placement, "recorded", lambda _: None)
    OnnxRuntime().open(inline, "npu", ONE_THREAD)
    assert _entry(build.asked[0][1], "session.disable_cpu_ep_fallback") == "1"


def test_the_record_and_a_profile_tell_the_same(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort_placement, "recorded", lambda _: None)
    session = OnnxRuntime().open(artifact, "cpu", ONE_THREAD)
    profiled = session.placement()
    assert session.placement() is profiled
    monkeypatch.undo()
    raw = session._raw
    recorded = ort_placement.recorded(raw)
    if not hasattr(raw, "get_provider_graph_assignment_info"):
        assert recorded is None  # onnxruntime before 1.24; there the profile is all there is
        return
    assert recorded is not None
    assert sorted(node.op for node in recorded.nodes) == sorted(node.op for node in profiled.nodes)
    assert recorded.counts() == profiled.counts()


def test_profiling_leaves_no_file(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    temporary, here = tmp_path_factory.mktemp("temporary"), tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(ort_placement, "recorded", lambda _: None)
    OnnxRuntime().open(artifact, "cpu", ONE_THREAD).placement()
    assert not [*temporary.iterdir(), *here.iterdir()]


def test_an_absent_package_is_told_with_what_installs_it(monkeypatch: pytest.MonkeyPatch, artifact: Artifact) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    runtime = OnnxRuntime()
    state = runtime.available()
    assert (state.ok, state.version) == (False, "")
    assert 'pip install "edgekit[onnx]"' in state.reason
    assert runtime.devices() == ()
    with pytest.raises((MissingDependencyError, PlacementError)):
        runtime.open(artifact, "cpu", ONE_THREAD)


def test_a_package_of_which_only_the_folder_is_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", types.ModuleType("onnxruntime"))
    state = OnnxRuntime().available()
    assert not state.ok
    assert "not completely installed" in state.reason


def test_a_package_that_breaks_on_import_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text("raise AttributeError('_ARRAY_API not found')")
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    state = OnnxRuntime().available()
    assert not state.ok
    assert "_ARRAY_API not found" in state.reason


class BlockingRaw:
    """An inference that lasts until the test lets it end."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def get_inputs(self) -> list[Any]:
        return [types.SimpleNamespace(name="x", type="tensor(double)", shape=["N"])]

    def get_outputs(self) -> list[Any]:
        return [types.SimpleNamespace(name="y", type="tensor(uint8)", shape=["N", 2])]

    def run(self, names: list[str], given: dict[str, Any]) -> list[Any]:
        self.begun.set()
        assert self.go_on.wait(30)
        return [given["x"]]


def test_closing_waits_for_what_runs_and_admits_nothing_new() -> None:
    raw = BlockingRaw()
    session = OrtSession(raw, "slow", Placement(()), lambda _: None)
    assert (session.inputs[0].dtype, session.outputs[0].dtype, session.outputs[0].shape) == (
        "float64",
        "uint8",
        (None, 2),
    )
    results: list[Any] = []
    running = threading.Thread(target=lambda: results.append(session.run({"x": np.zeros(1)})))
    running.start()
    assert raw.begun.wait(30)
    closing = threading.Thread(target=session.close)
    closing.start()
    # New callers are turned away while the old one still runs; before that, close has not begun.
    while not session._gate.closed:
        threading.Event().wait(0.005)
    with pytest.raises(ExecutionError, match="closed"):
        session.run({"x": np.zeros(1)})
    assert closing.is_alive()
    raw.go_on.set()
    running.join(30)
    closing.join(30)
    assert not closing.is_alive()
    assert len(results) == 1


def test_an_engine_failure_frees_the_place_it_took() -> None:
    raw = BlockingRaw()
    raw.run = lambda *_: 1 / 0  # type: ignore[assignment,return-value]
    session = OrtSession(raw, "broken", Placement(()), lambda _: None)
    with pytest.raises(ExecutionError, match="broken: onnxruntime failed: division by zero"):
        session.run({"x": np.zeros(1)})
    session.close()  # would wait for ever if the failed run still counted


def test_messages_are_one_line(artifact: Artifact) -> None:
    with pytest.raises(ExecutionError) as caught:
        OnnxRuntime().open(replace(artifact, model=replace(artifact.model, view=memoryview(b""))), "cpu", ONE_THREAD)
    assert "\n" not in str(caught.value)
    assert "[ONNXRuntimeError]" not in str(caught.value)
    assert inputs(1)
