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
from typing import TypeVar

from edgekit import __version__, locations
from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.errors import InputError
from edgekit.results import Candidate

T = TypeVar("T")
_CPU_FIELDS = ("model name", "flags", "Features", "CPU implementer", "CPU part", "isa", "uarch", "Hardware")


@dataclass(frozen=True)
class Decision:
    """What an earlier load found.

    Attributes:
        candidates: every candidate as it was judged.
        chosen: index of the one to use.
        files: state of each file whose digest was right, see `edgekit.unchanged`.
        cut: seconds after which the remaining candidates were not tried; 0 when all were.
    """

    candidates: tuple[Candidate, ...]
    chosen: int
    files: dict[str, str]
    cut: float = 0.0


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
    decision = recall_record(name, Decision)
    return decision if decision is not None and 0 <= decision.chosen < len(decision.candidates) else None


def store(name: str, decision: Decision) -> str:
    """Store a decision.

    Args:
        name: its key.
        decision: what was found.

    Returns:
        An empty string, or why it could not be stored: a device may well have no writable disk.
    """
    problem = store_record(name, decision)
    return problem and f"the judgement could not be stored, so each load repeats it: {problem}"


def recall_record(name: str, kind: type[T]) -> T | None:
    """Return the record of a frozen dataclass stored under `name`; None when it is absent or not understood."""
    try:
        return schema.loads(kind, _path(name).read_bytes(), name)
    except (OSError, InputError):
        return None


def store_record(name: str, record: object) -> str:
    """Store a record under `name`; return an empty string, or why it could not be stored."""
    try:
        path = _path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        # A refusal may name a file whose name is not UTF-8.
        write_bytes(path, schema.dumps(record).encode("utf-8", "replace"))
    except (OSError, InputError) as error:
        return str(error)
    return ""


def _path(name: str) -> Path:
    return locations.cache_dir() / "decisions" / f"{name}.json"
