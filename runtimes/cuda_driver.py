"""Which GPU is here, by the CUDA driver's own library: its name, compute capability and the driver's version."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from edgekit.errors import PlacementError

LIBRARY = "libcuda.so.1"
# Source of the numbers: cuda.h, CUdevice_attribute.
_MAJOR, _MINOR = 75, 76
_NAME_BYTES = 256


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        name: such as ``Orin``.
        capability: compute capability, such as (8, 7).
        driver: version of CUDA that the driver is for, such as ``12.6``.
    """

    name: str
    capability: tuple[int, int]
    driver: str

    def __str__(self) -> str:
        major, minor = self.capability
        return f"{self.name} sm_{major}{minor} driver {self.driver}"


def gpu(index: int = 0) -> Gpu:
    """Return a GPU.

    Args:
        index: in the driver's order.

    Returns:
        What tells it from another one.

    Raises:
        PlacementError: there is no driver, no GPU, or none of that number; the message says what to do.
    """
    try:
        driver: Any = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise PlacementError(f"there is no CUDA driver ({error}); install NVIDIA's driver, or JetPack") from error
    _check(driver, driver.cuInit(ctypes.c_uint(0)), "starting the driver")
    count = _number(driver, driver.cuDeviceGetCount, "counting GPUs")
    if not 0 <= index < count:
        raise PlacementError(f"there is no GPU {index}: the CUDA driver finds {count}")
    device = _number(driver, driver.cuDeviceGet, "opening the GPU", ctypes.c_int(index))
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _check(driver, driver.cuDeviceGetName(name, ctypes.c_int(_NAME_BYTES), ctypes.c_int(device)), "reading its name")
    major, minor = (
        _number(driver, driver.cuDeviceGetAttribute, "reading its capability", ctypes.c_int(kind), ctypes.c_int(device))
        for kind in (_MAJOR, _MINOR)
    )
    version = _number(driver, driver.cuDriverGetVersion, "reading the driver's version")
    # 12060 is 12.6, as cuda.h has it.
    return Gpu(name.value.decode(errors="replace"), (major, minor), f"{version // 1000}.{version % 1000 // 10}")


def _number(driver: Any, call: Any, what: str, *arguments: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _check(driver, call(ctypes.byref(value), *arguments), what)
    return value.value


def _check(driver: Any, code: int, what: str) -> None:
    if code:
        text = ctypes.c_char_p()
        known = driver.cuGetErrorString(ctypes.c_int(code), ctypes.byref(text)) == 0 and text.value
        told = text.value.decode() if known and text.value else "unknown error"
        raise PlacementError(f"the CUDA driver failed at {what}: {told} ({code})")
