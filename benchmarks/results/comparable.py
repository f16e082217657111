"""What must be the same for two results to be comparable, and what differs between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Result


@dataclass(frozen=True)
class Difference:
    """A setting or fact that two results do not share.

    Attributes:
        field: its path in the result.
        old: value there, as text.
        new: likewise.
        forbids: whether a comparison of figures makes no sense because of it.
    """

    field: str
    old: str
    new: str
    forbids: bool


# The model, the machine and the work of a query: with another one of these, a figure is of something else.
_SAME = (
    "subject.space",
    "context.device.board",
    "context.device.soc",
    "context.device.architecture",
    "context.device.cores",
    "context.device.core_kinds",
    "context.device.power_mode",
    "context.device.virtual",
    "plan.scenario",
    "plan.pipeline",
    "plan.batch",
    "plan.streams",
    "plan.target_qps",
    "plan.labels",
    "plan.data",
)
# What a comparison may be about; told, so that nobody takes its effect for another's.
_TOLD = (
    "edgekit",
    "subject.bundle",
    "subject.version",
    "subject.digest",
    "subject.variant",
    "subject.runtime",
    "subject.runtime_version",
    "subject.device",
    "plan.generator",
    "plan.threads",
    "plan.options",
    "plan.seconds",
    "plan.sustained",
    "plan.samples",
    "plan.latency_bound",
    "context.device.hostname",
    "context.device.system",
    "context.device.kernel",
    "context.before.governors",
    "context.packages",
    "context.python",
)


def differences(old: Result, new: Result) -> tuple[Difference, ...]:
    """List what two results do not share.

    Args:
        old: one result.
        new: the other.

    Returns:
        Differences, those that forbid a comparison first.
    """
    found = []
    for path, forbids in (*((p, True) for p in _SAME), *((p, False) for p in _TOLD)):
        before, after = _at(old, path), _at(new, path)
        if before == after:
            continue
        if path == "context.packages" and isinstance(before, dict) and isinstance(after, dict):
            before, after = _apart(before, after), _apart(after, before)
        found.append(Difference(path, _shown(before), _shown(after), forbids))
    return tuple(found)


def key(result: Result, across: bool) -> tuple[str, ...]:
    """Return what tells a result from the others of its folder.

    Args:
        result: to be named.
        across: whether results of other devices and bundles belong together.

    Returns:
        Texts, equal for two results that belong together.
    """
    paths = [
        "subject.variant",
        "subject.runtime",
        "subject.device",
        "plan.scenario",
        "plan.pipeline",
        "plan.batch",
        "plan.threads",
        "plan.options",
        "plan.streams",
        "plan.target_qps",
    ]
    if not across:
        paths += ["subject.bundle", "context.device.board", "context.device.soc", "context.device.power_mode"]
    return tuple(_shown(_at(result, path)) for path in paths)


def exact(value: float) -> str:
    """Write a number in few digits, or in as many as it needs to read back: two that differ never look alike."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _at(result: Result, path: str) -> object:
    found: object = result
    for part in path.split("."):
        found = getattr(found, part)
    return found


def _apart(packages: dict[str, str], others: dict[str, str]) -> dict[str, str]:
    return {name: version for name, version in packages.items() if others.get(name) != version}


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in sorted(value.items())) or "none"
    if isinstance(value, tuple):
        return ", ".join("=".join(map(str, item)) if isinstance(item, tuple) else str(item) for item in value) or "none"
    return exact(value) if isinstance(value, float) else str(value) or "none"
