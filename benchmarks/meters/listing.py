"""What meters there are on a device, for people and programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.meters import registry
from edgekit.benchmarks.meters.samples import values

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.benchmarks.meters.protocol import Meter


def text(root: Path | None = None) -> str:
    """Describe the meters of a device.

    Args:
        root: see `registry.look`.

    Returns:
        One line a meter: those that work with what they read now, then the others with the reason of each.
    """
    found, missing = registry.look(root)
    width = max(len(name) for name in registry.names())
    lines = [f"{meter.name:<{width}}  {_values(meter)}" for meter in found]
    lines += [f"{each.name:<{width}}  not here: {each.reason}" for each in missing]
    if not any(c.kind in ("power", "energy") and c.scope != "rail" for m in found for c in m.channels()):
        lines.append("energy will be unmeasured: no sensor here sees the device, its processor or its accelerator")
    return "\n".join(lines)


def as_json(root: Path | None = None) -> str:
    """Return the same as JSON: ``present`` (name, channels, values) and ``absent`` (name, reason)."""
    found, missing = registry.look(root)
    present = [_plain(meter) for meter in found]
    absent = [{"name": each.name, "reason": each.reason} for each in missing]
    return json.dumps({"present": present, "absent": absent}, indent=2, ensure_ascii=False)


def _plain(meter: Meter) -> dict[str, Any]:
    now = values(meter)
    return {
        "name": meter.name,
        "period": meter.period(),
        "channels": [{**asdict(channel), "now": now.get(channel.name)} for channel in meter.channels()],
    }


def _values(meter: Meter) -> str:
    now = values(meter)
    parts = []
    for channel in meter.channels():
        value = f"{now[channel.name]:.4g} {channel.unit}" if channel.name in now else f"no value ({channel.unit})"
        parts.append(f"{channel.name} = {value}{f' [{channel.scope}]' if channel.scope else ''}")
    return "; ".join(parts)
