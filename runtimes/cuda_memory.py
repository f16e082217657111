"""Memory of a GPU and a stream of its work, by CUDA's runtime library alone: no package of Python is needed."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ExecutionError, MissingDependencyError
from edgekit.runtimes import shared_libraries

if TYPE_CHECKING:
    import numpy.typing as npt

LIBRARIES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so")
"""Names of CUDA's runtime library, the newest first."""
# Source of the numbers: driver_types.h, cudaMemcpyKind and cudaHostAllocDefault.
_TO_DEVICE, _TO_HOST, _DEFAULT = 1, 2, 0


def library() -> Any:
    """Load CUDA's runtime library.

    Returns:
        The library.

    Raises:
        MissingDependencyError: it is not here.
    """
    for name in LIBRARIES:
        # In the system's folders, or where a package of NVIDIA's put it.
        if not shared_libraries.missing([name]):
            return ctypes.CDLL(name)
    raise MissingDependencyError(
        f"CUDA's runtime library is not here ({', '.join(LIBRARIES)}); install CUDA or JetPack"
    )


class Cuda:
    """One GPU's stream, and the memory that goes with it. Not for several threads at once: the owner has a lock."""

    def __init__(self, runtime: Any, index: int = 0) -> None:
        """Take the GPU `index` of a loaded runtime library."""
        self._runtime = runtime
        self._index = index
        self._freed: list[tuple[Any, ctypes.c_void_p]] = []
        self._check(runtime.cudaSetDevice(ctypes.c_int(index)), "choosing the GPU")
        stream = ctypes.c_void_p()
        self._check(runtime.cudaStreamCreate(ctypes.byref(stream)), "making a stream")
        self._stream = stream
        self._freed.append((runtime.cudaStreamDestroy, stream))

    @property
    def stream(self) -> int:
        """Handle of the stream."""
        return int(self._stream.value or 0)

    def device(self, size: int) -> int:
        """Reserve memory of the GPU, which `close` frees.

        Args:
            size: in bytes.

        Returns:
            Its address.

        Raises:
            ExecutionError: there is not so much.
        """
        pointer = ctypes.c_void_p()
        # Nothing is reserved for nothing, and an engine wants an address all the same.
        wanted = ctypes.c_size_t(max(1, size))
        self._check(self._runtime.cudaMalloc(ctypes.byref(pointer), wanted), f"reserving {size} bytes of the GPU")
        self._freed.append((self._runtime.cudaFree, pointer))
        return int(pointer.value or 0)

    def host(self, shape: tuple[int, ...], dtype: str) -> npt.NDArray[np.generic]:
        """Reserve an array in memory that the GPU copies from and to directly; `close` frees it.

        Args:
            shape: of the array.
            dtype: NumPy's name of its type.

        Returns:
            The array; it must not be used after `close`.

        Raises:
            ExecutionError: there is not so much.
        """
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        pointer = ctypes.c_void_p()
        call = self._runtime.cudaHostAlloc(
            ctypes.byref(pointer), ctypes.c_size_t(max(1, size)), ctypes.c_uint(_DEFAULT)
        )
        self._check(call, f"reserving {size} bytes of the host")
        self._freed.append((self._runtime.cudaFreeHost, pointer))
        raw = (ctypes.c_byte * size).from_address(int(pointer.value or 0))
        made: npt.NDArray[np.generic] = np.frombuffer(memoryview(raw), np.dtype(dtype)).reshape(shape)
        return made

    def upload(self, address: int, array: npt.NDArray[np.generic]) -> None:
        """Copy an array of `host` to the GPU, in the stream's order."""
        self._copy(address, array.ctypes.data, array.nbytes, _TO_DEVICE)

    def download(self, array: npt.NDArray[np.generic], address: int) -> None:
        """Copy memory of the GPU into an array of `host`, in the stream's order."""
        self._copy(array.ctypes.data, address, array.nbytes, _TO_HOST)

    def wait(self) -> None:
        """Wait until the stream's work is done.

        Raises:
            ExecutionError: some of it failed.
        """
        self._check(self._runtime.cudaStreamSynchronize(self._stream), "waiting for the GPU")

    def enter(self) -> None:
        """Make this GPU the calling thread's, as each thread has its own."""
        self._check(self._runtime.cudaSetDevice(ctypes.c_int(self._index)), "choosing the GPU")

    def close(self) -> None:
        """Free everything, the newest first; closing twice is harmless."""
        while self._freed:
            free, pointer = self._freed.pop()
            free(pointer)

    def _copy(self, target: int, source: int, size: int, kind: int) -> None:
        call = self._runtime.cudaMemcpyAsync(
            ctypes.c_void_p(target), ctypes.c_void_p(source), ctypes.c_size_t(size), ctypes.c_int(kind), self._stream
        )
        self._check(call, "copying")

    def _check(self, code: int, what: str) -> None:
        if code:
            text = self._runtime.cudaGetErrorString
            text.restype = ctypes.c_char_p
            told = (text(ctypes.c_int(code)) or b"unknown error").decode(errors="replace")
            # Otherwise the next call would report this one's failure.
            self._runtime.cudaGetLastError()
            raise ExecutionError(f"CUDA failed at {what}: {told} ({code})")
