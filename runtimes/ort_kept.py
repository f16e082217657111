"""What ONNX Runtime's providers share that compile a model: it is kept where all of it went to the device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgekit.runtimes import compiled_cache, ort_placement

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.runtimes.compiled_entry import Key
    from edgekit.runtimes.protocol import Placement


def compile_and_keep(
    key: Key,
    device: str,
    compiling: Callable[[Path], Any],
    wrote: Callable[[Path], bool],
    plain: Callable[[], Any],
) -> tuple[Any, Placement | None, str]:
    """Open a model so that its provider writes what it compiles, and keep that.

    Args:
        key: of the model.
        device: of the runtime.
        compiling: opens it, and lets the provider write into a folder.
        wrote: whether the provider did; one that compiles nothing in advance writes nothing.
        plain: opens it without; where nothing can be kept.

    Returns:
        The session, which node runs where, and why nothing could be kept; empty where it was, or there was nothing.
    """
    opened: list[tuple[Any, Placement | None]] = []

    def make(folder: Path) -> Placement | None:
        raw = compiling(folder)
        placement = ort_placement.recorded(raw)
        opened.append((raw, placement))
        whole = placement is not None and not ort_placement.elsewhere(placement, device)
        return placement if whole and wrote(folder) else None

    problem = compiled_cache.keep(key, make)
    if not opened:
        raw = plain()
        opened.append((raw, ort_placement.recorded(raw)))
    return (*opened[0], problem)


def noted(placement: Placement | None, *notes: str) -> Placement | None:
    """Return a placement with notes joined; as it is where there are none, or where the placement is not known."""
    note = joined(*notes)
    return replace(placement, note=note) if placement and note else placement


def joined(*notes: str) -> str:
    """Return notes in one line, empty ones left out."""
    return "; ".join(filter(None, notes))
