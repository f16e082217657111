"""The chain of steps that made a bundle; each step carries the digest of the one before."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from edgekit.bundle.manifest import Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def extend(chain: Sequence[Step], action: str, details: Mapping[str, str]) -> tuple[Step, ...]:
    """Return `chain` with one more step.

    Args:
        chain: the steps so far.
        action: what was done, such as ``convert``.
        details: settings and versions, as text.

    Returns:
        The longer chain.
    """
    previous = chain[-1].digest if chain else ""
    return (*chain, Step(action, dict(details), previous, _digest(action, details, previous)))


def problem(chain: Sequence[Step]) -> str:
    """Return what is wrong with a chain, or an empty string."""
    previous = ""
    for i, step in enumerate(chain):
        if step.previous != previous:
            return f"step {i} ({step.action}) does not follow the step before it"
        if step.digest != _digest(step.action, step.details, step.previous):
            return f"step {i} ({step.action}) was altered"
        previous = step.digest
    return "" if chain else "is empty"


def _digest(action: str, details: Mapping[str, str], previous: str) -> str:
    text = json.dumps([action, dict(details), previous], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
