"""CUDA's real runtime library and TensorRT's real bindings, as far as they go without a GPU."""

from __future__ import annotations

import ctypes
import re
from importlib.metadata import files
from pathlib import Path

import pytest

import tensorrt_stand_in
from edgekit.errors import ExecutionError
from edgekit.runtimes import cuda_memory, shared_libraries
from edgekit.runtimes.tensorrt import TensorRt


@pytest.fixture(name="bindings", scope="module")
def _bindings() -> Path:
    """The extension module of `tensorrt`; without TensorRT's libraries it cannot be imported, but read."""
    (found,) = [file for file in files("tensorrt-cu12-bindings") or () if file.name == "tensorrt.so"]
    return Path(str(found.locate()))


def test_the_real_package_has_every_name_that_the_stand_in_has(bindings) -> None:
    words = set(re.findall(rb"[A-Za-z_][A-Za-z0-9_]{2,}", bindings.read_bytes()))
    absent = sorted(name for name in tensorrt_stand_in.names() if name.encode() not in words)
    assert absent == []
    # The check can fail: what no version of TensorRT has is not found.
    assert b"edgekit_set" not in words
    assert {"execute_async_v3", "can_run_on_DLA", "set_timing_cache"} <= tensorrt_stand_in.names()


@pytest.mark.parametrize(
    "signature",
    [
        "serialized_timing_cache",  # create_timing_cache
        "ignore_mismatch",  # set_timing_cache
        "stream_handle",  # execute_async_v3
        "serialized_engine",  # deserialize_cuda_engine
    ],
)
def test_arguments_are_called_as_documented(bindings, signature: str) -> None:
    assert signature.encode() in bindings.read_bytes()


def test_it_needs_tensorrts_own_libraries(bindings) -> None:
    assert any(name.startswith("libnvinfer.so.10") for name in shared_libraries.needed(bindings))


@pytest.mark.usefixtures("no_gpu")
def test_the_runtime_is_absent_with_one_line() -> None:
    found = TensorRt().available()
    assert not found.ok
    assert "cannot be imported" in found.reason
    assert "\n" not in found.reason


def test_cudas_runtime_is_found_in_its_package() -> None:
    assert shared_libraries.packaged("libcudart.so.13")
    assert cuda_memory.library().cudaGetErrorString


@pytest.mark.usefixtures("no_gpu")
def test_cudas_own_words_for_a_machine_without_a_gpu(monkeypatch) -> None:
    path = shared_libraries.packaged("libcudart.so.13")[0]
    monkeypatch.setattr(cuda_memory, "LIBRARIES", (str(path),))
    told = r"CUDA failed at choosing the GPU: (CUDA driver version is insufficient.*\(35\)|no CUDA-capable device.*)"
    with pytest.raises(ExecutionError, match=told):
        cuda_memory.Cuda(cuda_memory.library())


def test_every_function_is_the_librarys() -> None:
    library = ctypes.CDLL(str(shared_libraries.packaged("libcudart.so.13")[0]))
    copying = ("cudaMalloc", "cudaFree", "cudaHostAlloc", "cudaFreeHost", "cudaMemcpyAsync")
    waiting = ("cudaSetDevice", "cudaStreamCreate", "cudaStreamDestroy", "cudaStreamSynchronize")
    for name in (*copying, *waiting, "cudaGetErrorString", "cudaGetLastError"):
        assert getattr(library, name)
