"""The figures of a result by name: short names for the usual ones, dotted paths for every other number."""

from __future__ import annotations

import types
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from edgekit.benchmarks.results.records import Estimate, Result
from edgekit.errors import InputError

Better = Literal["lower", "higher", ""]


@dataclass(frozen=True)
class Metric:
    """A figure of a result.

    Attributes:
        name: as it is asked for.
        path: fields from the `Result` on, with dots.
        unit: of its values; empty for a bare number, or where only the record's documentation tells.
        better: which direction is; empty where nobody can say.
    """

    name: str
    path: str
    unit: str = ""
    better: Better = ""


@dataclass(frozen=True)
class Figure:
    """A metric's value in one result.

    Attributes:
        value: None where it is unmeasured.
        low: lower end of its 95 % interval; None where the result has none.
        high: upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


METRICS = (
    Metric("p50", "latency.p50", "ms", "lower"),
    Metric("p90", "latency.p90", "ms", "lower"),
    Metric("p99", "latency.p99", "ms", "lower"),
    Metric("mean", "latency.mean", "ms", "lower"),
    Metric("throughput", "throughput", "samples/s", "higher"),
    Metric("rss_peak", "memory.rss_peak", "MiB", "lower"),
    Metric("uss_peak", "memory.uss_peak", "MiB", "lower"),
    Metric("device_memory", "memory.device", "MiB", "lower"),
    Metric("per_inference", "energy.per_inference", "J", "lower"),
    Metric("above_idle", "energy.above_idle", "J", "lower"),
    Metric("watts", "energy.watts", "W", "lower"),
    Metric("first_ms", "phases.first_ms", "ms", "lower"),
    Metric("load_ms", "phases.load_ms", "ms", "lower"),
    Metric("prepare_ms", "phases.prepare_ms", "ms", "lower"),
    Metric("import_ms", "phases.import_ms", "ms", "lower"),
    Metric("warm_ms", "phases.warm_ms", "ms", "lower"),
    Metric("size", "subject.size", "B", "lower"),
    Metric("agreement", "accuracy.agreement", "", "higher"),
    Metric("cosine", "accuracy.after.cosine", "", "higher"),
    Metric("drift", "drift.latency", "", "lower"),
    Metric("leak", "drift.memory", "MiB/h", "lower"),
    Metric("overhead_us", "harness.overhead_us", "µs", "lower"),
    Metric("peak_share", "roofline.share", "", "higher"),
)
"""Short names, in the order in which tables show them."""

_BY_NAME = {metric.name: metric for metric in METRICS}
_BY_PATH = {metric.path: metric for metric in METRICS}


class UnknownMetricError(InputError):
    """A name stands for no figure; `part` is the index of the first part of the path that is wrong."""

    def __init__(self, message: str, part: int) -> None:
        super().__init__(message)
        self.part = part


def metric(name: str) -> Metric:
    """Find a metric.

    Args:
        name: short name, or dotted path from the `Result` to a number, such as ``stages.decode.p50``.

    Returns:
        The metric; `Metric.better` and `Metric.unit` are empty for paths that no short name stands for.

    Raises:
        UnknownMetricError: no result can have it; the message tells what is known there.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    _check(name.split("."))
    if name.startswith("stages.") and not name.endswith("share"):
        return Metric(name, name, "ms", "lower")
    return _BY_PATH.get(name) or Metric(name, name)


def figure(result: Result, asked: Metric) -> Figure:
    """Read a metric from a result.

    Args:
        result: to read from.
        asked: the metric.

    Returns:
        Its value with the interval where the result has one; a value of None where the result leaves it out.

    Raises:
        InputError: this result has no such entry, for example a stage that its pipeline lacks.
    """
    holder: Any = None
    found: Any = result
    for part in asked.path.split("."):
        holder = found
        if holder is None:
            return Figure(None)
        if isinstance(holder, dict):
            if part not in holder:
                raise InputError(f"{asked.name}: this result has no {part!r} there; it has {_listed(holder)}")
            found = holder[part]
        else:
            found = getattr(holder, part)
    if isinstance(found, Estimate):
        return Figure(found.value, found.low, found.high)
    low, high = (getattr(holder, f"{part}_{end}", None) for end in ("low", "high"))
    return Figure(None) if found is None else Figure(float(found), low, high)


def _check(parts: list[str]) -> None:
    kind: Any = Result
    for index, part in enumerate(parts):
        if get_origin(kind) is dict:
            kind = _plain(get_args(kind)[1])
            continue
        hints = get_type_hints(kind) if is_dataclass(kind) else {}
        if part not in hints:
            raise UnknownMetricError(_unknown(parts, index, kind), index)
        kind = _plain(hints[part])
    if kind not in (int, float, Estimate):
        raise UnknownMetricError(_unknown(parts, len(parts), kind), len(parts) - 1)


def _unknown(parts: list[str], index: int, kind: Any) -> str:
    if index == 0:
        names = ", ".join(_BY_NAME)
        return f"unknown metric {parts[0]!r}; known: {names}; or a path in the result, such as stages.inference.p50"
    where = ".".join(parts[:index])
    if get_origin(kind) is dict:
        return f"{where} is no number; go on with one of its names, such as {where}.NAME"
    if not is_dataclass(kind):
        return f"{where} is no number" if index == len(parts) else f"{where} has no parts"
    names = ", ".join(field.name for field in fields(kind))
    wrong = "is no number" if index == len(parts) else f"has no {parts[index]!r}"
    return f"{where} {wrong}; it has {names}"


def _plain(kind: Any) -> Any:
    """Return the type without its None."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(arg for arg in get_args(kind) if arg is not type(None))
    return kind


def _listed(names: dict[str, Any]) -> str:
    return ", ".join(map(repr, sorted(names))) or "nothing"
