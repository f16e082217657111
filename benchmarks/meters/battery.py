"""Power that a device takes from its battery."""

from __future__ import annotations

from pathlib import Path

from edgekit.benchmarks.meters import sysfs
from edgekit.benchmarks.meters.protocol import Channel, Presence
from edgekit.errors import InputError

_POWER_SUPPLY = "sys/class/power_supply"
# No computer runs on less. Some Android drivers give mA in current_now although the kernel's documentation says µA.
_LEAST_WATTS = 0.05


class Battery:
    """Current times voltage, or power, of the batteries that feed the device; µA, µV and µW.

    The sign of ``current_now`` differs between drivers: the kernel's own mostly give a magnitude, Android asks for
    negative values while discharging, and vendors do both. So only the magnitude is used, and ``status`` says which way
    it flows: nothing but ``Discharging`` is the device's own power.

    Args:
        root: folder that holds ``sys``.
        setting: seconds after which this battery's gauge gives a new value, where that is known; empty for 1.

    Raises:
        InputError: `setting` is no number above 0.
    """

    def __init__(self, root: Path = Path("/"), setting: str = "") -> None:
        try:
            self._period = float(setting or 1.0)
        except ValueError:
            self._period = 0.0
        if not 0 < self._period < float("inf"):
            raise InputError(f"battery={setting}: the setting is the seconds between two values of its gauge")
        self._folders = batteries(root)

    @property
    def name(self) -> str:
        """``battery``."""
        return "battery"

    def present(self) -> Presence:
        """Say whether a battery feeds the device and tells its power."""
        if not self._folders:
            return Presence(
                False, "no battery under /sys/class/power_supply (on Android, readable by adb shell or root)"
            )
        statuses = [sysfs.text(folder / "status") or "unknown" for folder in self._folders]
        if "Discharging" not in statuses:
            return Presence(False, f"the battery's status is {', '.join(statuses)}: unplug the charger to measure")
        watts = self._watts()
        if watts is None:
            return Presence(False, "the battery tells neither power_now nor current_now with voltage_now")
        if watts < _LEAST_WATTS:
            return Presence(
                False,
                f"the battery says {watts * 1000:.3f} mW, which no device runs on: its unit is not µA; use a meter",
            )
        return Presence(True, "")

    def channels(self) -> tuple[Channel, ...]:
        """Return one channel: what all discharging batteries give together, screen and all."""
        return (Channel("battery", "power", "W", scope="device"),) if self._folders else ()

    def read(self) -> dict[str, float]:
        """Read the batteries; nothing while one is charging."""
        watts = self._watts()
        return {} if watts is None else {"battery": watts}

    def period(self) -> float:
        """Return the setting, or 1 s; many fuel gauges give a new value only every few seconds."""
        return self._period

    def _watts(self) -> float | None:
        found = 0.0
        discharging = 0
        for folder in self._folders:
            status = sysfs.text(folder / "status")
            if status in ("Full", "Not charging"):
                # Of two batteries one rests.
                continue
            watts = _watts(folder) if status == "Discharging" else None
            if watts is None:
                return None
            discharging, found = discharging + 1, found + watts
        return found if discharging else None


def batteries(root: Path) -> tuple[Path, ...]:
    """Return the folders of the batteries that feed the system (a mouse's has scope ``Device``)."""
    return tuple(
        folder
        for folder in sysfs.entries(root / _POWER_SUPPLY, "*")
        if sysfs.text(folder / "type") == "Battery"
        and sysfs.text(folder / "scope") != "Device"
        and sysfs.text(folder / "present") != "0"
    )


def on_battery(root: Path) -> bool | None:
    """Say whether a battery is being discharged; None where there is no battery."""
    found = batteries(root)
    return any(sysfs.text(folder / "status") == "Discharging" for folder in found) if found else None


def _watts(folder: Path) -> float | None:
    power = sysfs.number(folder / "power_now")
    if power is not None:
        return abs(power) / 1e6
    current, voltage = sysfs.number(folder / "current_now"), sysfs.number(folder / "voltage_now")
    return None if current is None or voltage is None else abs(current) * abs(voltage) / 1e12
