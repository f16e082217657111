"""Options of NVIDIA's providers, what a graph needs of them, and refusals; what a real build does is in tests/gpu."""

from __future__ import annotations

import types
from dataclasses import replace

import pytest

import edgekit
import onnx_models
from edgekit.errors import InputError, PlacementError, RuntimeUnavailableError
from edgekit.runtimes import ort, ort_provider_tables, ort_tensorrt, shared_libraries
from edgekit.runtimes.onnx_facts import Facts
from edgekit.runtimes.ort import OnnxRuntime
from edgekit.runtimes.protocol import SessionSettings

PLAIN = Facts(frozenset({"MatMul"}), frozenset({1}), static=True)
HALF = replace(PLAIN, stored=frozenset({1, 10}))
QUANTIZED = replace(PLAIN, operators=frozenset({"MatMul", "QuantizeLinear", "DequantizeLinear"}))


@pytest.mark.parametrize("table", [ort_tensorrt.CUDA, ort_tensorrt.TENSORRT])
def test_tables_are_whole(table) -> None:
    names = [option.name for option in table.options]
    assert len(set(names)) == len(names)
    assert all(option.meaning for option in table.options)
    assert ort_provider_tables.TABLES[table.device] is table
    assert "onnxruntime.ai" in table.source


@pytest.mark.parametrize(
    ("device", "given", "told"),
    [
        ("tensorrt", {"trt_fp16_enabel": "1"}, "no option 'trt_fp16_enabel'; did you mean trt_fp16_enable"),
        ("tensorrt", {"fp16": "1"}, "no option 'fp16'"),
        ("tensorrt", {"trt_builder_optimization_level": "6"}, "takes an integer from 0 up to 5, not '6'"),
        ("tensorrt", {"trt_max_workspace_size": "2GB"}, "takes an integer from 0, not '2GB'"),
        ("tensorrt:dla0", {"trt_dla_core": "2"}, "takes an integer from 0 up to 1"),
        ("cuda", {"cudnn_conv_algo_search": "FAST"}, "takes EXHAUSTIVE, HEURISTIC, DEFAULT, not 'FAST'"),
        ("cuda", {"gpu_mem_limit": "0"}, "takes an integer from 1"),
        ("cuda", {"use_tf32": "yes"}, "takes 0 or 1"),
    ],
)
def test_wrong_options_are_named(device: str, given, told: str) -> None:
    with pytest.raises(InputError, match=told):
        ort_provider_tables.options(device, given)


def test_float32_is_float32_unless_the_user_says_otherwise() -> None:
    assert ort_provider_tables.options("cuda", {}) == {"use_tf32": "0"}
    assert ort_provider_tables.options("cuda", {"use_tf32": "true"}) == {"use_tf32": "1"}


@pytest.mark.parametrize(
    ("facts", "version", "fp16", "int8"),
    [
        # From TensorRT 9 on a network has the graph's own types where neither is set.
        (PLAIN, 10, "0", "0"),
        (HALF, 10, "0", "0"),
        (QUANTIZED, 10, "0", "0"),
        (PLAIN, 8, "0", "0"),
        (HALF, 8, "1", "0"),
        (QUANTIZED, 8, "0", "1"),
        (replace(QUANTIZED, stored=HALF.stored), 8, "1", "1"),
    ],
)
def test_what_a_graph_needs(facts, version: int, fp16: str, int8: str) -> None:
    found = ort_tensorrt.fitted("tensorrt", {}, facts, version)
    assert found == {"trt_fp16_enable": fp16, "trt_int8_enable": int8}


def test_what_the_user_gave_stands() -> None:
    given = {"trt_fp16_enable": "1", "trt_max_workspace_size": "5"}
    assert ort_tensorrt.fitted("tensorrt", given, PLAIN, 10) == {**given, "trt_int8_enable": "0"}


@pytest.mark.parametrize(("facts", "flag"), [(HALF, "trt_fp16_enable"), (QUANTIZED, "trt_int8_enable")])
def test_an_accelerator_is_asked_for_with_the_flag_without_which_it_is_not(facts, flag: str) -> None:
    found = ort_tensorrt.fitted("tensorrt:dla1", {}, facts, 10)
    assert (found["trt_dla_enable"], found["trt_dla_core"], found[flag]) == ("1", "1", "1")


def test_an_accelerator_computes_nothing_in_float32() -> None:
    with pytest.raises(PlacementError, match="computes in float16 and int8 alone; compile the bundle"):
        ort_tensorrt.fitted("tensorrt:dla0", {}, PLAIN, 10)


@pytest.mark.parametrize("given", [{"trt_dla_core": "1"}, {"trt_dla_enable": "0"}])
def test_an_option_may_not_contradict_the_device(given) -> None:
    with pytest.raises(InputError, match="contradicts the device tensorrt:dla0"):
        ort_tensorrt.fitted("tensorrt:dla0", given, HALF, 10)


def test_shapes_of_a_profile_belong_together() -> None:
    shapes = dict.fromkeys(("trt_profile_min_shapes", "trt_profile_opt_shapes", "trt_profile_max_shapes"), "x:1x4")
    assert shapes.items() <= ort_tensorrt.fitted("tensorrt", shapes, PLAIN, 10).items()
    del shapes["trt_profile_opt_shapes"]
    with pytest.raises(InputError, match="belong together; give all three"):
        ort_tensorrt.fitted("tensorrt", shapes, PLAIN, 10)


def test_an_accelerator_is_strict_elsewhere() -> None:
    with pytest.raises(PlacementError, match=r"m: onnxruntime does not tell .* use the runtime 'tensorrt'"):
        ort_tensorrt.check_placement("tensorrt:dla0", "m", allow_cpu=False)
    ort_tensorrt.check_placement("tensorrt:dla0", "m", allow_cpu=True)
    ort_tensorrt.check_placement("tensorrt", "m", allow_cpu=False)


def test_devices_and_their_members() -> None:
    assert all(map(ort_tensorrt.is_known, ("tensorrt", "cuda", "tensorrt:dla0", "tensorrt:dla1")))
    assert not any(map(ort_tensorrt.is_known, ("tensorrt:", "tensorrt:dla2", "cuda:1", "cpu", "qnn:SM8550")))


def test_a_provider_that_was_left_out_is_an_error() -> None:
    with pytest.raises(
        PlacementError, match=r"m: onnxruntime left out the provider cuda.*nothing was given to the CPU"
    ):
        ort_tensorrt.check_made(lambda: ["CPUExecutionProvider"], "cuda", "m")
    both = ["TensorrtExecutionProvider", "CPUExecutionProvider"]
    ort_tensorrt.check_made(lambda: both, "tensorrt:dla0", "m")
    ort_tensorrt.check_made(lambda: ["CPUExecutionProvider"], "npu", "m")


@pytest.fixture(name="build")
def _build(tmp_path, monkeypatch):
    """An onnxruntime whose provider's library names what a real one does."""
    (tmp_path / "capi").mkdir()
    library = tmp_path / "capi" / "libonnxruntime_providers_tensorrt.so"
    library.touch()
    needed = ["libcudart.so.13", "libnvinfer.so.10", "libnvinfer_plugin.so.10", "libstdc++.so.6", "libdl.so.2"]
    monkeypatch.setattr(shared_libraries, "needed", lambda path: tuple(needed))
    monkeypatch.setattr(shared_libraries, "missing", lambda names: tuple(n for n in names if "nvinfer" in n))
    ort_tensorrt.lacking.cache_clear()
    yield types.SimpleNamespace(
        __file__=str(tmp_path / "__init__.py"), __version__="1.31.1", needed=needed, library=library
    )
    ort_tensorrt.lacking.cache_clear()


def test_the_version_is_the_librarys(build) -> None:
    assert ort_tensorrt.version(build) == 10
    build.needed[1] = "libnvinfer.so.8"
    assert ort_tensorrt.version(build) == 8
    # Built into onnxruntime itself: taken for one that keeps types.
    build.library.unlink()
    assert ort_tensorrt.version(build) == 9


def test_the_reason_names_what_is_missing_and_what_to_do(build) -> None:
    told = ort_tensorrt.absent(build, "tensorrt:dla0")
    assert "the provider tensorrt:dla0 of onnxruntime 1.31.1 needs libnvinfer.so.10, libnvinfer_plugin.so.10," in told
    assert "LD_LIBRARY_PATH" in told
    assert ort_tensorrt.absent(build, "cuda") == ""


class Providers:
    """The installed onnxruntime, in a build that has NVIDIA's providers and loads none."""

    def __init__(self, real, folder) -> None:
        self._real = real
        self.__file__ = folder.__file__
        self.asked: list[list] = []

    def __getattr__(self, name: str):
        return getattr(self._real, name)

    def get_available_providers(self):
        return ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]

    def InferenceSession(self, model, options, **chosen):  # noqa: N802
        self.asked.append(chosen["providers"])
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "0")
        return self._real.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@pytest.fixture(name="artifact")
def _artifact(tmp_path):
    return onnx_models.artifact(tmp_path, onnx_models.two_inputs(), {onnx_models.WEIGHTS: onnx_models.SIDECAR})


def test_a_provider_that_cannot_load_is_no_device_and_says_why(build, artifact, monkeypatch) -> None:
    providers = Providers(ort._module(), build)
    monkeypatch.setattr(ort, "_module", lambda: providers)
    assert OnnxRuntime().devices() == ("cuda", "cpu")
    for allow in (False, True):
        with pytest.raises(PlacementError, match=r"test\.onnx: the provider tensorrt of .* needs libnvinfer"):
            OnnxRuntime().open(artifact, "tensorrt", SessionSettings(allow_cpu=allow))
    assert not providers.asked


def test_one_that_seemed_to_load_gives_nothing_to_the_cpu(build, artifact, monkeypatch) -> None:
    monkeypatch.setattr(shared_libraries, "missing", lambda names: ())
    providers = Providers(ort._module(), build)
    monkeypatch.setattr(ort, "_module", lambda: providers)
    with pytest.raises(PlacementError, match="left out the provider tensorrt"):
        OnnxRuntime().open(
            artifact, "tensorrt", SessionSettings(allow_cpu=True, options=(("provider.device_id", "1"),))
        )
    expected = {"device_id": "1", "trt_fp16_enable": "0", "trt_int8_enable": "0"}
    asked = [("TensorrtExecutionProvider", expected), "CUDAExecutionProvider", "CPUExecutionProvider"]
    assert providers.asked[0] == asked


@pytest.mark.parametrize("device", ["tensorrt:dla7", "cpu:x", "cuda:0"])
def test_a_member_that_does_not_exist_is_refused(build, artifact, monkeypatch, device: str) -> None:
    providers = Providers(ort._module(), build)
    monkeypatch.setattr(ort, "_module", lambda: providers)
    with pytest.raises(PlacementError, match=f"offers no device '{device}' here, only cuda, cpu"):
        OnnxRuntime().open(artifact, device, SessionSettings(allow_cpu=True))


def test_a_load_that_names_the_device_gets_the_reason_and_no_result(build, monkeypatch) -> None:
    providers = Providers(ort._module(), build)
    monkeypatch.setattr(ort, "_module", lambda: providers)
    with pytest.raises(
        RuntimeUnavailableError, match=r"\(tensorrt\) +refused: the provider tensorrt of .* needs libnv"
    ):
        edgekit.load("starter", runtime="onnxruntime", device="tensorrt")
    monkeypatch.setattr(shared_libraries, "missing", lambda names: ())
    ort_tensorrt.lacking.cache_clear()
    assert OnnxRuntime().devices() == ("tensorrt", "cuda", "cpu", "tensorrt:")
    with pytest.raises(RuntimeUnavailableError, match="does not tell which layers ran on tensorrt:dla0"):
        edgekit.load("starter", runtime="onnxruntime", device="tensorrt:dla0")
    assert not providers.asked
