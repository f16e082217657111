"""How busy an accelerator is: NPUs and integrated GPUs whose driver tells."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from edgekit.benchmarks.meters import rails, sysfs
from edgekit.benchmarks.meters.protocol import Channel, Presence

Read = Callable[[], "dict[str, float]"]

# Rockchip's driver: "NPU load:  Core0: 23%, Core1:  0%, Core2:  0%," or "NPU load: 23%".
_ROCKCHIP = ("proc/rknpu/load", "sys/kernel/debug/rknpu/load")
_CORE = re.compile(r"(?:(Core\d+)\s*:)?\s*(\d+)\s*%")
# Jetson's GPU, in thousandths: JetPack 4; JetPack 5 and later by the address of the chip's generation.
_JETSON = ("sys/devices/gpu.0", "sys/devices/platform/gpu.0")
# AMD's integrated and other GPUs in percent; Intel's NPU as a counter of busy microseconds.
_AMD, _INTEL = "device/gpu_busy_percent", "device/npu_busy_time_us"


class NpuLoad:
    """Percent of the time that an accelerator was busy.

    Args:
        root: folder that holds ``sys`` and ``proc``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._readers = (*_rockchip(root), *_jetson(root), *_amd(root), *_intel(root))
        self._names = tuple(dict.fromkeys(name for read in self._readers for name in read()))

    @property
    def name(self) -> str:
        """``npu-load``."""
        return "npu-load"

    def present(self) -> Presence:
        """Say whether a driver tells its load."""
        if self._names:
            return Presence(True, "")
        hidden = self._root / _ROCKCHIP[1]
        try:
            hidden.read_bytes()
        except PermissionError:
            return Presence(False, "only root may read /sys/kernel/debug/rknpu/load: run as root")
        except OSError:
            pass
        return Presence(False, "no driver of an NPU or integrated GPU tells its load (Rockchip, Jetson, Intel, AMD do)")

    def channels(self) -> tuple[Channel, ...]:
        """Return one load a core or device."""
        return tuple(Channel(name, "load", "%") for name in self._names)

    def read(self) -> dict[str, float]:
        """Read every load."""
        return {name: value for read in self._readers for name, value in read().items()}

    def period(self) -> float:
        """Return 0.5 s: Rockchip's driver averages over a second, the others over less."""
        return 0.5


def _rockchip(root: Path) -> tuple[Read, ...]:
    path = next((root / name for name in _ROCKCHIP if sysfs.text(root / name)), None)
    if path is None:
        return ()
    found = path

    def read() -> dict[str, float]:
        said = sysfs.text(found) or ""
        return {f"NPU {core}".strip(): float(percent) for core, percent in _CORE.findall(said)}

    return (read,)


def _jetson(root: Path) -> tuple[Read, ...]:
    folders = [*(root / name for name in _JETSON), *sysfs.entries(root / "sys/devices/platform", "*.gpu")]
    path = next((folder / "load" for folder in folders if sysfs.number(folder / "load") is not None), None)
    if path is None:
        return ()
    found = path

    def read() -> dict[str, float]:
        value = sysfs.number(found)
        return {} if value is None else {"GPU": value / 10}

    return (read,)


def _amd(root: Path) -> tuple[Read, ...]:
    cards = [c for c in sysfs.entries(root / "sys/class/drm", "card?") if sysfs.number(c / _AMD) is not None]

    def reader(name: str, path: Path) -> Read:
        def read() -> dict[str, float]:
            value = sysfs.number(path)
            return {} if value is None else {name: value}

        return read

    return tuple(reader(f"GPU {card.name}", card / _AMD) for card in cards)


def _intel(root: Path) -> tuple[Read, ...]:
    devices = [d for d in sysfs.entries(root / "sys/class/accel", "accel*") if sysfs.number(d / _INTEL) is not None]
    names = rails.unique([f"NPU {device.name}" for device in devices])
    return tuple(_Busy(name, device / _INTEL).read for name, device in zip(names, devices, strict=True))


class _Busy:
    """A counter of busy microseconds, as percent since the last reading."""

    def __init__(self, name: str, path: Path) -> None:
        self._name, self._path = name, path
        self._last = (time.perf_counter(), sysfs.number(path) or 0.0)

    def read(self) -> dict[str, float]:
        value, now = sysfs.number(self._path), time.perf_counter()
        then, before = self._last
        if value is None or now <= then:
            return {}
        self._last = (now, value)
        return {self._name: min(100.0, max(0.0, (value - before) / 1e4 / (now - then)))}
