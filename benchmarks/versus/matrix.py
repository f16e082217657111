"""All variants of a bundle on all runtimes that open them here, one run each, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.benchmarks.results.records import Result
    from edgekit.benchmarks.running.events import Event
    from edgekit.benchmarks.running.request import RunRequest
    from edgekit.benchmarks.versus.records import Matrix


def matrix(request: RunRequest, on_event: Callable[[Event], None]) -> tuple[Matrix, tuple[Result, ...]]:
    """Run every variant on every runtime that opens it here, one after another.

    Args:
        request: of each run; its variant and runtime, where given, narrow the choice.
        on_event: called with what happens.

    Returns:
        The table, and the results of those that ran.

    Raises:
        InputError: the request cannot be run.
        RuntimeUnavailableError: nothing here opens any variant.
    """
    raise ExecutionError(f"{request.bundle}: no variant was run")
