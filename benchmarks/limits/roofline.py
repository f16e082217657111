"""How far an inference is from what this device can do: the roofline (Williams, Waterman, Patterson 2009)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Roofline
    from edgekit.bundle.manifest import TowerName
    from edgekit.bundle.reader import Bundle


def roofline(
    bundle: Bundle,
    variant: str,
    tower: TowerName,
    *,
    milliseconds: float,
    batch: int = 1,
    length: int | None = None,
    threads: int = 0,
) -> Roofline:
    """Compare a measured inference with this device's measured limits.

    Args:
        bundle: opened.
        variant: id.
        tower: that was run.
        milliseconds: median time of one inference.
        batch: samples of it.
        length: token ids of a text; None takes the bundle's context length.
        threads: of the inference; 0 takes one for each processor this process may use.

    Returns:
        The comparison.

    Raises:
        ExecutionError: the work cannot be counted, or a limit cannot be measured here; the message says which.
    """
    raise ExecutionError(f"{bundle.where}: {variant}: {tower} tower: its work is not counted")
