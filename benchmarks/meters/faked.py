"""Devices that umockdev shows to an unmodified process, with a power that is known at every moment."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Faked:
    """One device.

    Attributes:
        title: for people.
        meter: that reads it, as `registry.create` takes it.
        folder: of its files under ``/sys``.
        description: of the device, in umockdev's format.
        power: watts at a time in seconds.
        files: text of each file in `folder` that changes, from watts and the joules since the begin.
        links: further places of `folder`, under ``/sys``.
        others: further files: path from ``/`` and text.
    """

    title: str
    meter: str
    folder: str
    description: str
    power: Callable[[float], float]
    files: Callable[[float, float], dict[str, str]]
    links: tuple[str, ...] = ()
    others: tuple[tuple[str, str], ...] = ()


def _described(folder: str, subsystem: str, attributes: dict[str, str]) -> str:
    shown = [f"A: {name}={text}\\n" for name, text in attributes.items()]
    return "\n".join([f"P: /{folder}", f"E: SUBSYSTEM={subsystem}", *shown]) + "\n\n"


def _sine(mean: float, swing: float, period: float) -> Callable[[float], float]:
    return lambda t: mean + swing * math.sin(2 * math.pi * t / period)


def _ramps(low: float, high: float, period: float) -> Callable[[float], float]:
    return lambda t: low + (high - low) * abs(2 * ((t / period) % 1) - 1)


def _bursts(idle: float, busy: float, period: float) -> Callable[[float], float]:
    # Work at a rate, with rises of a tenth of the period, as a converter's capacitors make them.
    def power(t: float) -> float:
        phase = (t / period) % 1
        return idle + (busy - idle) * min(1.0, max(0.0, min(phase, 0.6 - phase) * 10))

    return power


_VOLTS = 5.0
_RANGE = 40.0

_INA3221 = "devices/platform/bus@0/c240000.i2c/i2c-1/1-0040/hwmon/hwmon0"
_IIO = "devices/7000c400.i2c/i2c-6/6-0040/iio:device0"
_INA238 = "devices/platform/bus@0/810c680000.i2c/i2c-2/2-0044/hwmon/hwmon1"
_METER = "devices/LNXSYSTM:00/ACPI000D:00/hwmon/hwmon2"
_RAPL = "devices/virtual/powercap/intel-rapl/intel-rapl:0"
_BATTERY = "devices/platform/battery/power_supply/BAT0"


def _rails(watts: float, joules: float) -> dict[str, str]:
    # VDD_IN feeds the two others; channel 7 is the sum of the shunts and no rail.
    milli = {1: watts, 2: watts * 0.6, 3: watts * 0.2}
    return {f"curr{n}_input": f"{1000 * part / _VOLTS:.0f}" for n, part in milli.items()}


FAKED = (
    Faked(
        "Jetson INA3221, hwmon (JetPack 5 and later)",
        "ina3221",
        _INA3221,
        _described(
            _INA3221,
            "hwmon",
            {
                "name": "ina3221",
                "in1_label": "VDD_IN",
                "in2_label": "VDD_CPU_GPU_CV",
                "in3_label": "VDD_SOC",
                "in7_label": "sum of shunt voltages",
                **{f"in{n}_input": f"{1000 * _VOLTS:.0f}" for n in (1, 2, 3)},
                "in7_input": "99999",
                **{f"curr{n}_input": "0" for n in (1, 2, 3)},
            },
        ),
        _sine(9.0, 4.0, 1.9),
        _rails,
    ),
    Faked(
        "Jetson INA3221, iio (JetPack 4)",
        "ina3221-iio",
        _IIO,
        _described(
            _IIO,
            "iio",
            {
                "rail_name_0": "POM_5V_IN",
                "rail_name_1": "POM_5V_GPU",
                "rail_name_2": "NC",
                **{f"in_power{n}_input": "0" for n in (0, 1, 2)},
            },
        ),
        _ramps(2.0, 10.0, 1.3),
        lambda watts, _: {"in_power0_input": f"{1000 * watts:.0f}", "in_power1_input": f"{500 * watts:.0f}"},
        links=("bus/i2c/drivers/ina3221x/6-0040/iio:device0",),
    ),
    Faked(
        "Jetson Thor INA238, hwmon (µW)",
        "ina2xx",
        _INA238,
        _described(_INA238, "hwmon", {"name": "ina238", "power1_input": "0"}),
        _bursts(30.0, 90.0, 2.0),
        lambda watts, _: {"power1_input": f"{1e6 * watts:.0f}"},
        others=(("proc/device-tree/compatible", "nvidia,p3971-0089+p3834-0008\0nvidia,tegra264\0"),),
    ),
    Faked(
        "ACPI power meter, hwmon (µW)",
        "hwmon-power",
        _METER,
        _described(_METER, "hwmon", {"name": "power_meter", "power1_average": "0", "power1_average_interval": "20"}),
        lambda t: 120.0 + 30.0 * math.sin(2.1 * t) + 10.0 * math.sin(9.0 * t),
        lambda watts, _: {"power1_average": f"{1e6 * watts:.0f}"},
    ),
    Faked(
        f"RAPL package, begins again at {_RANGE:.0f} J",
        "rapl",
        _RAPL,
        _described(
            _RAPL,
            "powercap",
            {"name": "package-0", "energy_uj": "0", "max_energy_range_uj": f"{1e6 * _RANGE:.0f}"},
        ),
        _sine(28.0, 9.0, 1.1),
        lambda _, joules: {"energy_uj": f"{1e6 * ((0.6 * _RANGE + joules) % _RANGE):.0f}"},
    ),
    Faked(
        "Battery, discharging (µA, µV)",
        # The gauge of this one is read as fast as the others: a real one is slower.
        "battery=0.02",
        _BATTERY,
        _described(
            _BATTERY,
            "power_supply",
            {"type": "Battery", "status": "Discharging", "present": "1", "voltage_now": "7400000", "current_now": "0"},
        ),
        _ramps(4.0, 12.0, 2.7),
        # Android's sign.
        lambda watts, _: {"current_now": f"{-1e6 * watts / 7.4:.0f}"},
    ),
)
