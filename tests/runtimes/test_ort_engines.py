"""Engines of the TensorRT provider are kept under a key; a provider that writes files stands in for the real one."""

from __future__ import annotations

import ctypes
import types
from pathlib import Path

import numpy as np
import pytest

import cuda_stand_in
import onnx_models
from edgekit.errors import PlacementError
from edgekit.runtimes import (
    compiled_cache,
    cuda_driver,
    ort,
    ort_engines,
    ort_placement,
    ort_tensorrt,
    shared_libraries,
)
from edgekit.runtimes.onnx_facts import Facts
from edgekit.runtimes.ort import OnnxRuntime
from edgekit.runtimes.protocol import NodePlacement, Placement, SessionSettings

STATIC = Facts(frozenset(), frozenset(), static=True)
ON_GPU = Placement((NodePlacement("all", "TRTKernel", "tensorrt"),))


@pytest.fixture(name="driver", autouse=True)
def _driver(tmp_path, monkeypatch):
    path = cuda_stand_in.driver(tmp_path)
    monkeypatch.setattr(cuda_driver, "LIBRARY", str(path))
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return ctypes.CDLL(str(path))


class Build:
    """onnxruntime with a TensorRT provider that compiles by writing a file, and reads the file that it finds."""

    def __init__(self, real, folder: Path) -> None:
        self._real, self.__file__ = real, str(folder / "__init__.py")
        self.compiled, self.given, self.version = 0, [], real.__version__

    @property
    def __version__(self) -> str:
        return self.version

    def __getattr__(self, name: str):
        return getattr(self._real, name)

    def get_available_providers(self):
        return ["TensorrtExecutionProvider", "CPUExecutionProvider"]

    def InferenceSession(self, model, options, **chosen):  # noqa: N802
        given = chosen["providers"][0][1]
        self.given.append(given)
        folder = Path(given.get("trt_engine_cache_path", "/nowhere"))
        if not list(folder.glob("*.engine")):
            self.compiled += 1
            if folder.is_dir():
                (folder / "TRTKernel_0_sm87.engine").write_bytes(b"engine")
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "0")
        raw = self._real.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return types.SimpleNamespace(
            get_providers=self.get_available_providers,
            get_inputs=raw.get_inputs,
            get_outputs=raw.get_outputs,
            run=raw.run,
        )


@pytest.fixture(name="build")
def _build(tmp_path, monkeypatch):
    (tmp_path / "capi").mkdir()
    (tmp_path / "capi" / "libonnxruntime_providers_tensorrt.so").touch()
    monkeypatch.setattr(shared_libraries, "needed", lambda path: ("libnvinfer.so.10",))
    monkeypatch.setattr(shared_libraries, "missing", lambda names: ())
    ort_tensorrt.lacking.cache_clear()
    build = Build(ort._module(), tmp_path)
    monkeypatch.setattr(ort, "_module", lambda: build)
    monkeypatch.setattr(ort_placement, "recorded", lambda raw: ON_GPU)
    yield build
    ort_tensorrt.lacking.cache_clear()


@pytest.fixture(name="artifact")
def _artifact(tmp_path):
    return onnx_models.artifact(tmp_path, onnx_models.two_inputs(2, 5), {onnx_models.WEIGHTS: onnx_models.SIDECAR})


def opened(artifact, device: str = "tensorrt", *options: tuple[str, str], allow: bool = False):
    return OnnxRuntime().open(artifact, device, SessionSettings(allow_cpu=allow, options=options))


def test_the_second_load_compiles_nothing_and_says_so(build, artifact) -> None:
    assert opened(artifact).placement().note == ""
    session = opened(artifact)
    assert build.compiled == 1
    assert session.placement().note == "compiled at an earlier load"
    given = {"pixels": np.ones((2, 4, 4, 3), np.uint8), "ids": np.ones((2, 5), np.int32)}
    np.testing.assert_allclose(session.run(given)["sum"], onnx_models.expected(given)["sum"], rtol=1e-4)
    (entry,) = compiled_cache.entries()
    assert build.given[1]["trt_engine_cache_path"] == str(entry.folder)
    assert entry.key.device == "tensorrt Orin sm_87 driver 12.6"
    assert entry.key.compiler.startswith("libnvinfer.so.10")


@pytest.mark.parametrize("what", ["onnxruntime", "gpu", "driver", "options", "tensorrt"])
def test_whatever_changes_compiles_again(build, artifact, driver, monkeypatch, what: str) -> None:
    opened(artifact)
    options = ()
    if what == "onnxruntime":
        build.version = "1.40.0"
    elif what == "tensorrt":
        monkeypatch.setattr(shared_libraries, "needed", lambda path: ("libnvinfer.so.11",))
    elif what == "options":
        options = (("provider.trt_builder_optimization_level", "5"),)
    else:
        driver.edgekit_set(
            0, 1, 11 if what == "gpu" else 8, 0 if what == "gpu" else 7, 12060 if what == "gpu" else 13000
        )
    session = opened(artifact, "tensorrt", *options)
    assert build.compiled == 2
    if what in ("onnxruntime", "tensorrt"):
        assert "is out of date" in session.placement().note


def test_a_changed_engine_is_compiled_again(build, artifact) -> None:
    opened(artifact)
    (entry,) = compiled_cache.entries()
    next(entry.folder.glob("*.engine")).write_bytes(b"edited")
    assert "damaged" in opened(artifact).placement().note
    assert build.compiled == 2


def test_it_can_be_turned_off(build, artifact) -> None:
    for _ in range(2):
        opened(artifact, "tensorrt", ("compiled_cache", "off"))
    assert build.compiled == 2
    assert compiled_cache.entries() == ()


def test_a_users_own_folder_is_left_to_the_user(build, artifact, tmp_path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    own = (("provider.trt_engine_cache_enable", "1"), ("provider.trt_engine_cache_path", str(mine)))
    opened(artifact, "tensorrt", *own)
    assert list(mine.glob("*.engine"))
    assert compiled_cache.entries() == ()


def test_engines_of_free_shapes_are_not_kept(build, tmp_path) -> None:
    free = onnx_models.artifact(tmp_path, onnx_models.two_inputs(), {onnx_models.WEIGHTS: onnx_models.SIDECAR})
    opened(free)
    assert "trt_engine_cache_path" not in build.given[0]
    assert compiled_cache.entries() == ()


def test_what_did_not_all_go_to_tensorrt_is_not_kept(build, artifact, monkeypatch) -> None:
    shared = Placement((*ON_GPU.nodes, NodePlacement("other", "Erf", "cuda")))
    monkeypatch.setattr(ort_placement, "recorded", lambda raw: shared)
    with pytest.raises(PlacementError, match="1 nodes did not go to tensorrt: Erf other"):
        opened(artifact)
    assert opened(artifact, allow=True).placement().counts() == {"tensorrt": 1, "cuda": 1}
    assert compiled_cache.entries() == ()


def test_without_a_gpu_there_is_no_key(build, artifact, driver) -> None:
    driver.edgekit_set(100, 0, 0, 0, 0)
    with pytest.raises(PlacementError, match="no CUDA-capable device"):
        opened(artifact)
    assert compiled_cache.entries() == ()


def test_when_it_is_wanted() -> None:
    assert ort_engines.wanted({"trt_fp16_enable": "1"}, STATIC)
    assert not ort_engines.wanted({"trt_engine_cache_path": "/mine"}, STATIC)
    assert not ort_engines.wanted({}, Facts(frozenset(), frozenset(), static=False))
