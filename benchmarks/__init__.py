"""Benchmarks on the device: `bench` measures a bundle as ``edgekit bench`` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.benchmarks.running.api import bench as bench

__all__ = ["bench"]


def __getattr__(name: str) -> object:
    # Imported when it is used, so that the measured process does not import the measuring one.
    if name not in __all__:
        raise AttributeError(f"module 'edgekit.benchmarks' has no attribute {name!r}")
    from edgekit.benchmarks.running.api import bench

    return bench
