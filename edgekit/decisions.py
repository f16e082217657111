"""Remember which variants passed the golden check here, so that the next load need not run it again.

A decision holds for one bundle, one set of engine versions, one processor and one set of settings; anything else is
another key.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from pathlib import Path

from edgekit import __version__, locations
from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.errors import InputError
from edgekit.results import Candidate

_CPU_FIELDS = ("model name", "flags", "Features", "CPU implementer", "CPU part", "isa", "uarch", "Hardware")


@dataclass(frozen=True)
class Decision:
    """What an earlier load found.

    Attributes:
        candidates: every candidate as it was judged.
        chosen: index of the one to use.
        files: state of each file whose digest was right, see `edgekit.unchanged`.
    """

    candidates: tuple[Candidate, ...]
    chosen: int
    files: dict[str, str]


def key(parts: dict[str, object]) -> str:
    """Return the name under which a decision is stored: a digest of `parts`, edgekit's version and the processor."""
    everything = {**parts, "edgekit": __version__, "processor": processor()}
    return hashlib.sha256(json.dumps(everything, sort_keys=True, default=str).encode()).hexdigest()


def processor() -> str:
    """Return what identifies this processor: machine type, model and instruction-set flags."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    facts = sorted({line for line in lines if line.partition(":")[0].strip() in _CPU_FIELDS})
    return "\n".join([platform.machine(), *facts])


def recall(name: str) -> Decision | None:
    """Return the decision stored under `name`; None when there is none or it cannot be understood."""
    try:
        text = _path(name).read_bytes()
        decision = schema.loads(Decision, text, name)
    except (OSError, InputError):
        return None
    return decision if 0 <= decision.chosen < len(decision.candidates) else None


def store(name: str, decision: Decision) -> str:
    """Store a decision.

    Args:
        name: its key.
        decision: what was found.

    Returns:
        An empty string, or why it could not be stored: a device may well have no writable disk.
    """
    try:
        path = _path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        # A refusal may name a file whose name is not UTF-8.
        write_bytes(path, schema.dumps(decision).encode("utf-8", "replace"))
    except (OSError, InputError) as error:
        return f"the judgement could not be stored, so each load repeats it: {error}"
    return ""


def _path(name: str) -> Path:
    return locations.cache_dir() / "decisions" / f"{name}.json"
