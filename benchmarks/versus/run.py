"""A side-by-side run: two or more contenders, each in its own process, in interleaved blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.benchmarks.running.events import Event
    from edgekit.benchmarks.versus.records import Versus
    from edgekit.benchmarks.versus.request import VersusRequest


def run(request: VersusRequest, on_event: Callable[[Event], None]) -> Versus:
    """Run contenders side by side.

    Args:
        request: what to compare.
        on_event: called with what happens, for a person who watches.

    Returns:
        What was found.

    Raises:
        InputError: the request cannot be run.
        MissingDependencyError: a peer is not installed; the message names the command that installs it.
        ExecutionError: a contender failed.
    """
    raise ExecutionError("side by side: no contender was opened")
