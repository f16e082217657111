"""Run one benchmark on several boards at the same time."""

from __future__ import annotations

import json
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import locations
from edgekit.atomic import write_bytes
from edgekit.benchmarks.remote import payload, wheel
from edgekit.benchmarks.remote.one_board import visit
from edgekit.benchmarks.remote.work import Work
from edgekit.bundle import schema
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgekit.benchmarks.remote.records import Board, Outcome, RemoteEvent, Settings

OUTCOMES = "outcomes.jsonl"
_MOST_AT_ONCE = 32


def run_on(
    boards: Sequence[Board],
    bundle: Path,
    arguments: Sequence[str | Path],
    output: Path,
    settings: Settings,
    on_event: Callable[[RemoteEvent], None],
) -> tuple[Outcome, ...]:
    """Run ``edgekit bench BUNDLE ARGUMENTS`` on every board, and bring the results back.

    Ctrl-C ends the runs on the boards and cleans up there before it goes on its way.

    Args:
        boards: each with another name and address.
        bundle: path of the ``.edge`` file or folder.
        arguments: of ``edgekit bench`` there, without the bundle, ``--json``, ``-o``, ``--report``, ``--on`` and
            ``--fleet``; each `Path` among them is a file or folder here, which is sent and replaced by its place there.
        output: folder here for ``BOARD.json`` (or ``BOARD-1.json``, …, where a run gives several results),
            ``BOARD.log`` and ``outcomes.jsonl``; made where it is missing.
        settings: how.
        on_event: called from the boards' threads, one event at a time.

    Returns:
        One outcome per board, in the order of `boards`; a board that fails takes none of the others with it.

    Raises:
        InputError: a board, an argument or the output folder cannot be used; nothing was sent.
        ExecutionError: this edgekit has no metadata to make a wheel of.
    """
    _check(boards)
    with tempfile.TemporaryDirectory(prefix="edgekit-send-") as folder:
        scratch = Path(folder)
        words, inputs = payload.of_arguments(arguments, scratch)
        subject = payload.of_path(bundle, f"bundle/{payload.plain_name(bundle)}", scratch / "bundle.tar")
        work = Work(_wheel(), subject, inputs, words)
        output = _made(output)
        lock, cancelled = threading.Lock(), threading.Event()

        def tell(event: RemoteEvent) -> None:
            with lock:
                on_event(event)

        with ThreadPoolExecutor(min(len(boards), _MOST_AT_ONCE), "edgekit-board") as pool:
            visits = [pool.submit(visit, board, work, output, settings, tell, cancelled) for board in boards]
            try:
                outcomes = tuple(future.result() for future in visits)
            except BaseException:
                # The pool waits until every board is left as it should be.
                cancelled.set()
                raise
    write_bytes(output / OUTCOMES, "".join(f"{_line(outcome)}\n" for outcome in outcomes).encode())
    return outcomes


def _check(boards: Sequence[Board]) -> None:
    if not boards:
        raise InputError("no board to run on; name one with --on or --fleet")
    for what, count in (
        ("name", Counter(board.name.lower() for board in boards)),
        ("address", Counter(board.address.machine for board in boards)),
    ):
        twice = [str(key) for key, n in count.items() if n > 1]
        if twice:
            raise InputError(f"{twice[0]}: two boards have the same {what}")


def _line(outcome: Outcome) -> str:
    """One outcome as JSON; its files by their names, as they stand beside it."""
    names = tuple(path.name for path in outcome.results)
    plain = schema.to_plain(replace(outcome, results=(), log=None))
    return json.dumps({**plain, "results": names, "log": outcome.log.name if outcome.log else None}, ensure_ascii=False)


def _wheel() -> payload.Payload:
    path = wheel.build(locations.cache_dir() / "wheels")
    return payload.of_file(path, f"wheels/{path.name}")


def _made(output: Path) -> Path:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output}: the folder for results cannot be made: {error.strerror}") from error
    return output
