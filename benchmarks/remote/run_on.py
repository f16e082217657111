"""Run one benchmark on several boards at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgekit.benchmarks.remote.records import Board, Outcome, RemoteEvent, Settings


def run_on(
    boards: Sequence[Board],
    bundle: Path,
    arguments: Sequence[str | Path],
    output: Path,
    settings: Settings,
    on_event: Callable[[RemoteEvent], None],
) -> tuple[Outcome, ...]:
    """Run ``edgekit bench BUNDLE ARGUMENTS`` on every board, and bring the results back.

    Args:
        boards: each with another name and address.
        bundle: path of the ``.edge`` file.
        arguments: of ``edgekit bench`` there, without the bundle, ``--json``, ``-o``, ``--report``, ``--on`` and
            ``--fleet``; each `Path` among them is a file or folder here, which is sent and replaced by its place there.
        output: folder here for ``BOARD.json`` (or ``BOARD-NAME.json``, where a run gives several results),
            ``BOARD.log`` and ``fleet.json``; made where it is missing.
        settings: how.
        on_event: called from the boards' threads, one event at a time.

    Returns:
        One outcome per board, in the order of `boards`; a board that fails takes none of the others with it.

    Raises:
        InputError: a board, an argument or the output folder cannot be used; nothing was sent.
    """
    raise InputError("not yet")
