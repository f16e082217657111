"""NVIDIA GPUs by the driver's own library: energy or power, temperature, clock, load, memory, slow-down."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.meters.protocol import Channel, Presence
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_INSTALL = 'pip install "edgekit[nvml]"'
# nvml.h: reasons for slow clocks that are no choice of the user; the others are idle, settings and synchronisation.
_SLOW = {0x4: "power cap", 0x8: "hardware slowdown", 0x20: "thermal", 0x40: "hardware thermal", 0x80: "power brake"}


class Nvml:
    """One NVIDIA GPU.

    From Volta on the driver counts energy in mJ. Before, it tells power in mW; newer drivers average that over a second
    on chips from Ampere on, so the counter is taken wherever there is one. Their documentation states no error for
    current chips.

    Args:
        root: unused, the library knows where to look; a root other than ``/`` has no GPU.
        setting: number of the GPU as ``nvidia-smi`` has it; empty for the first.

    Raises:
        InputError: `setting` is no number.
    """

    def __init__(self, root: Path = Path("/"), setting: str = "") -> None:
        if setting and not setting.isdecimal():
            raise InputError(f"nvml={setting}: the setting is the number of a GPU, as nvidia-smi lists them")
        self._reason, self._gpu, self._index = "", None, int(setting or 0)
        self._sources: dict[Channel, Callable[[], float]] = {}
        if root != Path("/"):
            self._reason = "NVML asks the driver of the running system, not files under another root"
            return
        try:
            import pynvml
        except ImportError:
            self._reason = f"the package nvidia-ml-py is not installed: {_INSTALL}"
            return
        try:
            pynvml.nvmlInit()
            self._gpu = pynvml.nvmlDeviceGetHandleByIndex(self._index)
        except pynvml.NVMLError as error:
            self._reason = f"NVML has no GPU {self._index}: {error} (NVIDIA's driver is needed)"
            return
        self._sources = _sources(pynvml, self._gpu, f"GPU {self._index}")
        if not self._sources:
            self._reason = f"NVML tells nothing of GPU {self._index} (usual on Jetson; it has the meter ina3221)"

    @property
    def name(self) -> str:
        """``nvml``."""
        return "nvml"

    def present(self) -> Presence:
        """Say whether the driver tells anything of this GPU."""
        return Presence(bool(self._sources), self._reason)

    def channels(self) -> tuple[Channel, ...]:
        """Return what the driver tells: energy (else power) of scope ``accelerator``, and the rest."""
        return tuple(self._sources)

    def read(self) -> dict[str, float]:
        """Ask the driver for everything once."""
        found = {}
        for channel, ask in self._sources.items():
            value = _answer(ask)
            if value is not None:
                found[channel.name] = value
        return found

    def period(self) -> float:
        """Return 0.1 s: drivers give a new value of energy or power every 20 to 100 ms."""
        return 0.1


def _sources(nvml: Any, gpu: Any, name: str) -> dict[Channel, Callable[[], float]]:
    energy = Channel(name, "energy", "J", scope="accelerator")
    power = Channel(name, "power", "W", scope="accelerator")
    asked: dict[Channel, Callable[[], float]] = {
        energy: lambda: float(nvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1000,
        power: lambda: float(nvml.nvmlDeviceGetPowerUsage(gpu)) / 1000,
        Channel(f"{name} chip", "temperature", "°C"): lambda: float(
            nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)
        ),
        Channel(f"{name} clock", "clock", "MHz"): lambda: float(nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM)),
        Channel(f"{name} load", "load", "%"): lambda: float(nvml.nvmlDeviceGetUtilizationRates(gpu).gpu),
        Channel(f"{name} memory", "memory", "MiB"): lambda: float(nvml.nvmlDeviceGetMemoryInfo(gpu).used) / 2**20,
    }
    for bit, reason in _SLOW.items():
        asked[Channel(f"{name} {reason}", "throttle", "flag")] = partial(_slowed, nvml, gpu, bit)
    found = {channel: ask for channel, ask in asked.items() if _answer(ask) is not None}
    if energy in found:
        found.pop(power, None)
    return found


def _slowed(nvml: Any, gpu: Any, bit: int) -> float:
    return float(bool(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu) & bit))


def _answer(ask: Callable[[], float]) -> float | None:
    import pynvml

    try:
        return ask()
    # The driver does not know the question for this chip, or the chip is gone.
    except pynvml.NVMLError:
        return None
