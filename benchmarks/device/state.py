"""What may change between two runs on the same device, at one moment."""

from __future__ import annotations

from pathlib import Path

from edgekit.benchmarks.device import load
from edgekit.benchmarks.device.identity import memory
from edgekit.benchmarks.meters import battery, throttling
from edgekit.benchmarks.meters.cpufreq import Cpufreq, policies
from edgekit.benchmarks.meters.devfreq import Devfreq
from edgekit.benchmarks.meters.thermal import Thermal
from edgekit.benchmarks.results.context_records import State


def read(root: Path | None = None, seconds: float = 1.0, pid: int | None = None) -> State:
    """Read the state; it takes `seconds`, during which this process sleeps.

    Args:
        root: folder that holds ``proc`` and ``sys``; None for the running system's.
        seconds: over which the load by others is measured.
        pid: of the process that, with its descendants, is not "other"; None for this one.

    Returns:
        What the system tells. The load by others is None where it hides them.
    """
    top = Path("/") if root is None else root
    other = load.measure(seconds, top, pid)
    governors: dict[str, int] = {}
    for policy in policies(top):
        if policy.governor:
            governors[policy.governor] = governors.get(policy.governor, 0) + policy.processors
    clocks = {**Cpufreq(top).read(), **{n: v for n, v in Devfreq(top).read().items() if not n.endswith(" load")}}
    return State(
        governors=governors,
        clocks=clocks,
        temperatures=Thermal(top).read(),
        throttled=throttling.now(top),
        other_load=other,
        memory_free=memory(top).get("MemAvailable", 0),
        on_battery=battery.on_battery(top),
    )
