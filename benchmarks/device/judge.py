"""Why a run's figures are not those of the device in a steady state of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.benchmarks.device.virtual import EMULATED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.results.context_records import Device, State
    from edgekit.benchmarks.results.energy_records import Series

OTHER_LOAD = 0.2
"""Processors that others may keep busy on average, before, during and after."""
OTHER_LOAD_PEAK = 0.5
"""The same in 19 of 20 readings during the run."""
CLOCK_SHARE = 0.9
"""The fastest clock must stay above this share of its median in 19 of 20 readings."""
OTHER_SERIES = "load other processes"
"""Series of `edgekit.benchmarks.meters.other_load`, in percent of one processor."""

_FEW, _LOW = 10, 0.05
_SAVING = ("low-power", "quiet", "power-saver", "cool")


def reasons(
    before: State, after: State, series: Sequence[Series], sustained: bool, device: Device | None = None
) -> tuple[str, ...]:
    """Judge what surrounds a run.

    Args:
        before: state before the measured part.
        after: and after it.
        series: of the run; samples before the measured part (negative times) are left out.
        sustained: whether the chip was meant to reach its steady temperature; then being slowed down by heat is no
            reason, but a weak power supply still is.
        device: what it is, for its power mode and emulation; None to leave them out.

    Returns:
        One line a reason, with figures and what to do; empty when nothing is wrong.
    """
    inside = [one for one in series if one.times and one.times[-1] >= 0]
    found = [*_throttled(before, after, inside, sustained), *_governor(before, after)]
    if not sustained:
        found += _clocks(inside)
    found += _other(before, after, inside)
    if device is not None:
        found += _mode(device)
    return tuple(dict.fromkeys(found))


def _values(one: Series) -> list[float]:
    return [value for time, value in zip(one.times, one.values, strict=True) if time >= 0]


def _throttled(before: State, after: State, series: Sequence[Series], sustained: bool) -> list[str]:
    names = dict.fromkeys((*before.throttled, *after.throttled), "")
    for one in series:
        if one.kind != "throttle":
            continue
        values = _values(one)
        name = one.name.removeprefix("throttle ")
        if one.unit == "flag" and any(values):
            names[name] = f" in {sum(map(bool, values))} of {len(values)} readings"
        elif one.unit == "count" and values and values[-1] > values[0]:
            names[name] = f" {values[-1] - values[0]:.0f} times"
    found = []
    for name, times in names.items():
        if "under-voltage" in name or "over-current" in name:
            found.append(f"power supply: {name}{times}; use a stronger supply and a shorter cable, then run again")
        elif not sustained:
            found.append(f"throttling: {name}{times}; cool the device, or measure that with --sustained")
    return found


def _clocks(series: Sequence[Series]) -> list[str]:
    clocks = [one for one in series if one.kind == "clock" and one.meter == "cpufreq"]
    rows = [_values(one) for one in clocks]
    n = min((len(row) for row in rows), default=0)
    if n < _FEW:
        return []
    # Clusters that idle run slowly by right: what counts is the fastest clock at each moment.
    fastest = np.max([row[:n] for row in rows], axis=0)
    median, low = float(np.median(fastest)), float(np.quantile(fastest, _LOW))
    if low >= CLOCK_SHARE * median:
        return []
    told = f"the fastest processor was at {low:.0f} MHz or less in 5 % of the readings, usually at {median:.0f}"
    return [f"clocks: {told}; set the governor performance, or cool the device"]


def _governor(before: State, after: State) -> list[str]:
    slow = {**before.governors, **after.governors}
    n = slow.get("powersave", 0) + sum(
        count for name, count in slow.items() if name.startswith("powersave (") and name.endswith(", power)")
    )
    if not n:
        return []
    how = "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor"
    return [f"governor: {n} processors are held at their lowest clock by powersave; set another: {how}"]


def _other(before: State, after: State, series: Sequence[Series]) -> list[str]:
    found = []
    for when, load in (("before", before.other_load), ("after", after.other_load)):
        if load is not None and load > OTHER_LOAD:
            found.append(_busy(f"other programs kept {load:.2f} processors busy {when} the run"))
    values = [value / 100 for one in series if one.name == OTHER_SERIES for value in _values(one)]
    if values:
        mean, high = float(np.mean(values)), float(np.quantile(values, 1 - _LOW))
        if mean > OTHER_LOAD or (high > OTHER_LOAD_PEAK and len(values) >= _FEW):
            share = f"{mean:.2f} processors busy during the run ({high:.2f} at the 95th percentile)"
            found.append(_busy(f"other programs kept {share}"))
    return found


def _busy(what: str) -> str:
    return f"other load: {what} (allowed: {OTHER_LOAD:.2f}); end them and run again"


def _mode(device: Device) -> list[str]:
    found = []
    profile = device.power_mode.partition("platform_profile ")[2]
    if profile in _SAVING:
        found.append(
            f"power mode: the platform profile is {profile}; "
            "set another: echo performance | sudo tee /sys/firmware/acpi/platform_profile"
        )
    if device.virtual.startswith(EMULATED):
        found.append(f"the machine is {device.virtual}: its times say nothing about a device; run on hardware")
    return found
