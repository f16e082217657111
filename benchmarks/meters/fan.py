"""Fans: their speed, and how far they are driven."""

from __future__ import annotations

from pathlib import Path

from edgekit.benchmarks.meters import hwmon, rails, sysfs
from edgekit.benchmarks.meters.protocol import Channel, Presence

_FULL = 255
# Jetson with JetPack 4.
_PWM_FAN = "sys/devices/pwm-fan"


class Fan:
    """``fanN_input`` in revolutions a minute and ``pwmN`` of 255, in percent.

    Args:
        root: folder that holds ``sys``.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._speeds, self._drives = _files(root)

    @property
    def name(self) -> str:
        """``fan``."""
        return "fan"

    def present(self) -> Presence:
        """Say whether a fan tells anything."""
        if self.read():
            return Presence(True, "")
        return Presence(False, "no fan tells its speed; a device without one is cooled by air alone")

    def channels(self) -> tuple[Channel, ...]:
        """Return speeds and drives."""
        speeds = [Channel(name, "fan", "rpm") for name in self._speeds]
        return (*speeds, *(Channel(name, "fan", "%") for name in self._drives))

    def read(self) -> dict[str, float]:
        """Read every fan."""
        speeds = {name: sysfs.number(path) for name, path in self._speeds.items()}
        drives = {name: sysfs.number(path) for name, path in self._drives.items()}
        return {
            **{name: value for name, value in speeds.items() if value is not None},
            **{name: 100 * value / _FULL for name, value in drives.items() if value is not None},
        }

    def period(self) -> float:
        """Return 1 s: a fan's speed is counted over about as long."""
        return 1.0


def _files(root: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    speeds, drives = [], []
    for chip in hwmon.chips(root):
        for number, path in hwmon.inputs(chip, "fan").items():
            speeds.append((f"{chip.name} {sysfs.text(chip.folder / f'fan{number}_label') or f'fan{number}'}", path))
        for path in sysfs.entries(chip.folder, "pwm?"):
            drives.append((f"{chip.name} {path.name}", path))
    old = root / _PWM_FAN
    speeds += [("pwm-fan", old / "rpm_measured")] if (old / "rpm_measured").exists() else []
    drives += [("pwm-fan drive", old / "cur_pwm")] if (old / "cur_pwm").exists() else []
    return _named(speeds), _named(drives)


def _named(files: list[tuple[str, Path]]) -> dict[str, Path]:
    return dict(zip(rails.unique([name for name, _ in files]), [path for _, path in files], strict=True))
