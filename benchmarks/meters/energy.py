"""Energy of a run's measured part, joules for one inference, and why they cannot be believed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgekit.benchmarks.meters import choosing, intervals, windows
from edgekit.benchmarks.results.energy_records import Baseline, Energy
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.benchmarks.meters.choosing import Chosen
    from edgekit.benchmarks.meters.protocol import Channel
    from edgekit.benchmarks.meters.samples import Key
    from edgekit.benchmarks.meters.windows import Window
    from edgekit.benchmarks.results.energy_records import Series

LEAST_POWER_SAMPLES = 30
"""Readings of power inside the measured part that an integral needs at least: ten blocks of three for its interval."""
LEAST_COUNTER_SAMPLES = 10
"""The same for a counter of energy, which misses nothing between two readings."""
GAP_INTERVALS, GAP_SHARE = 5.0, 0.02
"""A gap is an interval of more than five usual ones and more than 2 % of the measured part."""
BASELINE_SHARE, BASELINE_ERRORS = 0.05, 3.0
"""A baseline changed when it moved by more than 5 % of the run's mean power and more than three standard errors."""

_NO_SENSOR = "no sensor here gave power or energy; `python -m edgekit.benchmarks.meters` says which there are and why"


def energy(
    series: Sequence[Series],
    begin: float,
    end: float,
    samples: int,
    before: Mapping[Key, Baseline],
    after: Mapping[Key, Baseline],
    channels: Mapping[Key, Channel],
    device: str = "cpu",
) -> tuple[Energy, tuple[str, ...]]:
    """Work out the energy of the measured part.

    Args:
        series: what was sampled, see `Sampler.series`.
        begin: of the measured part in seconds, usually 0.
        end: of it.
        samples: inferences in it (queries times batch), at least 1.
        before: idle power before the run, see `baseline.idle`; may be empty.
        after: and after it.
        channels: see `Sampler.channels`.
        device: of the runtime, such as ``cpu``: a sensor that does not see it is refused.

    Returns:
        The energy and the reasons that make the run INVALID. Without a sensor the energy is unmeasured and there is
        no reason; with samples that cannot be believed it is unmeasured and there are. A changed baseline leaves the
        energy, takes `above_idle` away, and is a reason. The interval of `per_inference` joins the spread of the
        samples (`intervals.spread`) and the error of the sensor (`intervals.with_sensor`).

    Raises:
        InputError: `end` is not after `begin`, or there are no samples.
    """
    if not end > begin or samples < 1:
        raise InputError(f"energy: needs a window and samples, got {begin} to {end} s and {samples} samples")
    chosen = choosing.choose(series, channels, device)
    if chosen is None:
        return Energy("unmeasured", _only_rails(channels) or _NO_SENSOR), ()
    cuts = [windows.window(one, begin, end) or windows.EMPTY for one in chosen.series]
    reason = _refusal(chosen, cuts, begin, end, device)
    if reason:
        seen = min(cut.n for cut in cuts)
        refused = Energy("unmeasured", reason, chosen.meter, chosen.rail, chosen.scope, samples=seen)
        return refused, (f"energy: {reason}",)
    measured = _added(cuts)
    joules = float(measured.joules[-1])
    low, high = intervals.with_sensor(joules, *intervals.spread(measured.times, measured.joules), chosen.error)
    idle_before, idle_after = (_idle(chosen.keys, each) for each in (before, after))
    changed = _changed(idle_before, idle_after, joules / (end - begin))
    idle = _middle(idle_before, idle_after)
    found = Energy(
        status="measured",
        reason="",
        meter=chosen.meter,
        rail=chosen.rail,
        scope=chosen.scope,
        joules=joules,
        watts=joules / (end - begin),
        per_inference=joules / samples,
        per_inference_low=low / samples,
        per_inference_high=high / samples,
        above_idle=None if idle is None or changed else (joules - idle * (end - begin)) / samples,
        before=idle_before,
        after=idle_after,
        rate=measured.n / (end - begin),
        samples=measured.n,
        sensor_error=chosen.error,
        # The window's ends are no samples.
        jitter=float(np.std(gaps := np.diff(measured.times[1:-1])) / np.mean(gaps)),
    )
    return found, ((changed,) if changed else ())


def _only_rails(channels: Mapping[Key, Channel]) -> str:
    seen = [c.name for c in channels.values() if c.kind in ("power", "energy")]
    if not seen:
        return ""
    return (
        f"the sensors here see only parts of the device ({', '.join(seen)}), whose sum is not its power; where one "
        "feeds the whole board, say so: --meter ina2xx=device"
    )


def _refusal(chosen: Chosen, cuts: Sequence[Window], begin: float, end: float, device: str) -> str:
    what = f"{chosen.meter} {chosen.rail}"
    if not choosing.sees(chosen.scope, device):
        part = "processor" if chosen.scope == "package" else "accelerator"
        return f"{what} sees the {part} alone, and the work ran on {device}; use a sensor of the whole device"
    counter = chosen.series[0].kind == "energy"
    least = LEAST_COUNTER_SAMPLES if counter else LEAST_POWER_SAMPLES
    for one, cut in zip(chosen.series, cuts, strict=True):
        if cut.n < least:
            return (
                f"{what} gave {cut.n} samples in {end - begin:.1f} s and at least {least} are needed; "
                "run longer, or sample faster where the sensor can"
            )
        usual = float(np.median(np.diff(cut.times)))
        if cut.longest > GAP_INTERVALS * usual and cut.longest > GAP_SHARE * (end - begin):
            return (
                f"{what} gave no value for {cut.longest:.2f} s, usually one in {usual:.3f} s; "
                "keep the machine free of other work, and the sensor connected"
            )
        if counter and windows.backwards(one, begin, end):
            return f"{what} went backwards: the counter was reset, by sleep or by another program; run again"
    return ""


def _added(cuts: Sequence[Window]) -> Window:
    """Add disjoint windows on the sample times of the first; the others are interpolated."""
    first = cuts[0]
    joules = first.joules + sum((np.interp(first.times, c.times, c.joules) for c in cuts[1:]), np.float64(0))
    return windows.Window(first.times, joules, min(c.n for c in cuts), max(c.longest for c in cuts))


def _idle(keys: Sequence[Key], baselines: Mapping[Key, Baseline]) -> Baseline | None:
    parts = [baselines[key] for key in keys if key in baselines]
    if len(parts) < len(keys):
        return None
    error = math.sqrt(sum(part.error**2 for part in parts))
    return Baseline(sum(part.watts for part in parts), error, min(part.n for part in parts))


def _middle(before: Baseline | None, after: Baseline | None) -> float | None:
    # Warming up changes idle power steadily, and the middle of a straight line is its mean.
    found = [each.watts for each in (before, after) if each is not None]
    return sum(found) / len(found) if found else None


def _changed(before: Baseline | None, after: Baseline | None, watts: float) -> str:
    if before is None or after is None:
        return ""
    moved, error = after.watts - before.watts, math.hypot(before.error, after.error)
    if abs(moved) <= max(BASELINE_SHARE * abs(watts), BASELINE_ERRORS * error):
        return ""
    return (
        f"energy: idle power changed from {before.watts:.2f} to {after.watts:.2f} W, "
        f"by {abs(moved) / abs(watts) if watts else math.inf:.0%} of the run's mean {watts:.2f} W; "
        "let the device settle, end other programs and run again"
    )
