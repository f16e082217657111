"""Which instruction set this processor multiplies integers with, under the names of `methods.SATURATES`."""

from __future__ import annotations

from edgekit.processor import int8_here


def here() -> str:
    """Return this processor's instruction set, or an empty string where it cannot be told."""
    found = int8_here()
    return found.name if found else ""
