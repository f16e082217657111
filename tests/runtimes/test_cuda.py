"""CUDA's two libraries as edgekit calls them, against stand-ins compiled from C; the real ones are in tests/gpu."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

import cuda_stand_in
from edgekit.errors import ExecutionError, MissingDependencyError, PlacementError
from edgekit.runtimes import cuda_driver, cuda_memory
from edgekit.runtimes.cuda_driver import Gpu


@pytest.fixture(name="driver")
def _driver(tmp_path, monkeypatch):
    path = cuda_stand_in.driver(tmp_path)
    monkeypatch.setattr(cuda_driver, "LIBRARY", str(path))
    return ctypes.CDLL(str(path))


@pytest.fixture(name="runtime")
def _runtime(tmp_path, monkeypatch):
    path = cuda_stand_in.runtime(tmp_path)
    monkeypatch.setattr(cuda_memory, "LIBRARIES", ("libedgekit-none.so.1", str(path)))
    return cuda_memory.library()


def test_a_gpu_is_told_from_another(driver) -> None:
    found = cuda_driver.gpu()
    assert found == Gpu("Orin", (8, 7), "12.6")
    assert str(found) == "Orin sm_87 driver 12.6"
    driver.edgekit_set(0, 1, 11, 0, 13000)
    assert str(cuda_driver.gpu()) == "Orin sm_110 driver 13.0"


def test_without_a_driver_the_reason_is_one_line(monkeypatch) -> None:
    monkeypatch.setattr(cuda_driver, "LIBRARY", "libedgekit-none.so.1")
    with pytest.raises(PlacementError, match=r"no CUDA driver \(libedgekit-none\.so\.1: .*; install NVIDIA's driver"):
        cuda_driver.gpu()


def test_what_the_driver_says_is_told(driver) -> None:
    driver.edgekit_set(100, 0, 0, 0, 0)
    with pytest.raises(PlacementError, match=r"failed at starting the driver: no CUDA-capable device .* \(100\)"):
        cuda_driver.gpu()
    driver.edgekit_set(999, 0, 0, 0, 0)
    with pytest.raises(PlacementError, match=r"unknown error \(999\)"):
        cuda_driver.gpu()


@pytest.mark.parametrize("index", [-1, 1, 7])
def test_a_gpu_that_is_not_there_is_refused(driver, index: int) -> None:
    with pytest.raises(PlacementError, match=f"there is no GPU {index}: the CUDA driver finds 1"):
        cuda_driver.gpu(index)


def test_arrays_go_to_the_gpu_and_back(runtime) -> None:
    cuda = cuda_memory.Cuda(runtime)
    assert cuda.stream
    for dtype in ("uint8", "float16", "float32", "int64"):
        up, down = cuda.host((2, 3), dtype), cuda.host((2, 3), dtype)
        up[...] = np.arange(6).reshape(2, 3)
        address = cuda.device(up.nbytes)
        cuda.upload(address, up)
        cuda.download(down, address)
        cuda.wait()
        np.testing.assert_array_equal(down, up)
        assert down.dtype == dtype
    cuda.close()


def test_everything_is_freed_once(runtime) -> None:
    cuda = cuda_memory.Cuda(runtime)
    cuda.host((4,), "float32")
    cuda.device(16)
    cuda.device(0)
    assert runtime.edgekit_live() == 4
    cuda.close()
    cuda.close()
    assert runtime.edgekit_live() == 0


def test_memory_that_is_not_there_is_an_error_and_leaves_none_behind(runtime) -> None:
    runtime.edgekit_set(1000, 0)
    cuda = cuda_memory.Cuda(runtime)
    for reserve in (lambda: cuda.device(2000), lambda: cuda.host((2000,), "uint8")):
        with pytest.raises(ExecutionError, match=r"reserving 2000 bytes of the \w+: out of memory \(2\)"):
            reserve()
    # The next call does not report this failure again.
    assert runtime.edgekit_last() == 0
    cuda.close()
    runtime.edgekit_set(1 << 30, 0)


def test_work_that_failed_is_told_when_it_is_waited_for(runtime) -> None:
    cuda = cuda_memory.Cuda(runtime)
    runtime.edgekit_set(1 << 30, 700)
    with pytest.raises(ExecutionError, match=r"waiting for the GPU: an illegal memory access .*\(700\)"):
        cuda.wait()
    runtime.edgekit_set(1 << 30, 0)
    cuda.close()


def test_a_gpu_that_cannot_be_chosen_is_an_error(runtime) -> None:
    with pytest.raises(ExecutionError, match=r"choosing the GPU: other \(101\)"):
        cuda_memory.Cuda(runtime, 5)
    assert runtime.edgekit_live() == 0


def test_without_the_library_it_says_what_is_looked_for(monkeypatch) -> None:
    monkeypatch.setattr(cuda_memory, "LIBRARIES", ("libedgekit-none.so.1",))
    with pytest.raises(MissingDependencyError, match=r"not here \(libedgekit-none\.so\.1\); install CUDA or JetPack"):
        cuda_memory.library()
