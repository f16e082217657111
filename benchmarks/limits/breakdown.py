"""From the events of ONNX Runtime's profiler to times by node, part, block and operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.limits.parts import Node, assign
from edgekit.benchmarks.limits.records import NodeTime, PartTime
from edgekit.errors import ExecutionError
from edgekit.runtimes.ort_placement import device_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_SUFFIX = "_kernel_time"


@dataclass(frozen=True)
class Run:
    """One inference: its milliseconds, and the events of its nodes in their order."""

    ms: float
    nodes: tuple[dict[str, Any], ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """What tells the nodes apart."""
        return tuple(f"{event['args'].get('node_index', '')} {event['name']}" for event in self.nodes)


def runs_of(events: Sequence[dict[str, Any]]) -> list[Run]:
    """Sort a profile's events into inferences.

    Args:
        events: as onnxruntime wrote them; times are in microseconds.

    Returns:
        The inferences in the order they were made.
    """
    whole = sorted((e for e in events if e.get("name") == "model_run"), key=lambda e: e["ts"])
    nodes = sorted((e for e in events if _is_node(e)), key=lambda e: e["ts"])
    found = []
    for event in whole:
        start, end = event["ts"], event["ts"] + event["dur"]
        inside = tuple(node for node in nodes if start <= node["ts"] <= end)
        found.append(Run(event["dur"] / 1e3, inside))
    return found


def summarise(runs: Sequence[Run], where: str) -> dict[str, Any]:
    """Average the inferences, those apart that were disturbed.

    Half of the inferences count: those whose whole times are nearest to the median. Means over them add up, as medians
    of single nodes would not.

    Args:
        runs: inferences.
        where: what was run, for messages.

    Returns:
        ``ms``, ``overhead``, ``parts``, ``blocks``, ``ops`` and ``nodes``, as `records.Profile` has them.

    Raises:
        ExecutionError: the profile holds no node.
    """
    if not runs or not runs[0].nodes:
        raise ExecutionError(f"{where}: onnxruntime's profile holds no node; profile another variant")
    ordered = sorted(runs, key=lambda run: run.ms)
    quarter = len(ordered) // 4
    kept = ordered[quarter : len(ordered) - quarter]
    ms = sum(run.ms for run in kept) / len(kept)
    totals: dict[str, float] = {}
    first: dict[str, dict[str, Any]] = {}
    for run in kept:
        for key, event in zip(run.keys, run.nodes, strict=True):
            totals[key] = totals.get(key, 0.0) + event["dur"] / 1e3
            first.setdefault(key, event)
    nodes = _nodes(first, {key: total / len(kept) for key, total in totals.items()}, ms)
    return {
        "ms": ms,
        "overhead": ms - sum(node.ms for node in nodes),
        "parts": _grouped(nodes, lambda node: node.part, ms, by_time=True),
        "blocks": _grouped((n for n in nodes if n.block), lambda node: node.block, ms, by_time=False),
        "ops": _grouped(nodes, lambda node: node.op, ms, by_time=True),
        "nodes": tuple(sorted(nodes, key=lambda node: -node.ms)),
    }


def _is_node(event: dict[str, Any]) -> bool:
    # Older releases also tell when a node's fence was reached.
    return event.get("cat") == "Node" and str(event.get("name", "")).endswith(_SUFFIX)


def _nodes(first: dict[str, dict[str, Any]], times: dict[str, float], whole: float) -> list[NodeTime]:
    plain = [
        Node(
            event["name"].removesuffix(_SUFFIX), event["args"]["op_name"], int(event["args"].get("parameter_size") or 0)
        )
        for event in first.values()
    ]
    return [
        NodeTime(
            node.name,
            node.op,
            part,
            block,
            device_of(event["args"].get("provider", "")),
            times[key],
            times[key] / whole,
        )
        for (key, event), node, (part, block) in zip(first.items(), plain, assign(plain), strict=True)
    ]


def _grouped(
    nodes: Iterable[NodeTime], name: Callable[[NodeTime], str], whole: float, *, by_time: bool
) -> tuple[PartTime, ...]:
    sums: dict[str, list[float]] = {}
    for node in nodes:
        sums.setdefault(name(node), []).append(node.ms)
    found = [PartTime(key, len(times), sum(times), sum(times) / whole) for key, times in sums.items()]
    return tuple(sorted(found, key=lambda part: -part.ms) if by_time else found)
