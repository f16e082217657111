"""What was typed, as words again: for a board that is to do the same, and for the line that repeats a run."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.benchmarks.cli_asked import Asked
from edgekit.benchmarks.running.command import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_FLAGS = {
    "quick": "--quick",
    "publish": "--publish",
    "sustained": "--sustained",
    "everything": "--all",
    "profile": "--profile",
    "roofline": "--roofline",
}
_VALUES = {
    "pipeline": "--pipeline",
    "scenario": "--scenario",
    "generator": "--generator",
    "soak": "--soak",
    "seconds": "--seconds",
    "queries": "--queries",
    "target_qps": "--target-qps",
    "latency_bound": "--latency-bound",
    "data": "--data",
    "labels": "--labels",
    "variant": "--variant",
    "runtime": "--runtime",
    "device": "--device",
}
_SWEEPS = {"batch": "--batch", "threads": "--threads", "streams": "--streams"}
_REPEATED = {
    "engine_options": "--option",
    "meters": "--meter",
    "vs": "--vs",
    "vs_runtime": "--vs-runtime",
    "vs_peer": "--vs-peer",
}
# Where it runs and what becomes of the result is no part of what is measured.
_ELSEWHERE = frozenset(
    {
        "bundle",
        "hosts",
        "fleet",
        "on_python",
        "on_wheels",
        "on_keep",
        "on_patience",
        "output",
        "reports",
        "as_json",
        "require_valid",
    }
)


def words(asked: Asked) -> tuple[str | Path, ...]:
    """Return the options that say what is measured.

    Args:
        asked: as it was typed.

    Returns:
        Words for ``edgekit bench BUNDLE``; files and folders as paths. Options at their defaults are left out.
    """
    return tuple(_words(asked))


def _words(asked: Asked) -> Iterator[str | Path]:
    for name, option in _FLAGS.items():
        if getattr(asked, name):
            yield option
    for name, option in _VALUES.items():
        value = getattr(asked, name)
        if value not in (None, 0.0, DEFAULTS.get(name)):
            yield option
            yield value if isinstance(value, Path) else shown(value)
    for name, option in _SWEEPS.items():
        numbers = getattr(asked, name)
        if numbers != DEFAULTS.get(name, ()):
            yield from (option, ",".join(map(str, numbers)))
    for name, option in _REPEATED.items():
        for value in getattr(asked, name):
            yield from (option, value)


DEFAULTS: dict[str, object] = {
    "pipeline": "photo",
    "scenario": "single-stream",
    "generator": "edgekit",
    "device": "auto",
    "queries": 0,
    "batch": (1,),
    "streams": (1,),
}


def uncovered() -> frozenset[str]:
    """Return the fields of `Asked` that no table here knows; none, unless an option was added without its word."""
    known = {*_FLAGS, *_VALUES, *_SWEEPS, *_REPEATED, *_ELSEWHERE}
    return frozenset(field.name for field in fields(Asked)) - known
