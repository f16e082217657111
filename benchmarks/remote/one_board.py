"""A visit to one board, with whatever may go wrong turned into an outcome."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from edgekit.benchmarks.remote import collecting
from edgekit.benchmarks.remote.diary import Diary
from edgekit.benchmarks.remote.link import Link
from edgekit.benchmarks.remote.reaching import Reach
from edgekit.benchmarks.remote.records import Outcome
from edgekit.benchmarks.remote.ssh_errors import BoardError, LinkDownError
from edgekit.benchmarks.remote.visit import Visit
from edgekit.errors import EdgekitError, InputError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.benchmarks.remote.records import Board, RemoteEvent, Settings
    from edgekit.benchmarks.remote.work import Work

# Seconds for cleaning up after a failure, when the link may be gone for good.
_CLEANING = 20.0


def visit(
    board: Board,
    work: Work,
    output: Path,
    settings: Settings,
    on_event: Callable[[RemoteEvent], None],
    cancelled: threading.Event,
) -> Outcome:
    """Do the work at one board; whatever goes wrong there is in the outcome.

    Args:
        board: where.
        work: what.
        output: folder here for results and the log.
        settings: how.
        on_event: called as things happen.
        cancelled: set from outside to end the visit; the board is left as clean as otherwise.

    Returns:
        How it ended.
    """
    log = output / f"{board.name}.log"
    guard = _Guard(cancelled)
    try:
        diary = Diary(board.name, log, on_event)
    except OSError as error:
        reason = f"{log}: the log cannot be written: {error.strerror}"
        return Outcome(board.name, str(board.address), "failed", reason)
    link = Link(board.address, settings, guard)
    reach = Reach(link, diary, settings.patience, guard)
    there = Visit(board, work, settings, reach, diary)
    found: tuple[tuple[Path, ...], tuple[str, ...]] = ((), ())
    end = BoardError("done", "")
    try:
        try:
            _steps(there, diary, link)
        except Exception as error:
            # Whatever it is, the board is to be left clean, and the other boards are to go on.
            end = _as_end(error)
        guard.begin_cleaning(_CLEANING if end.ending != "done" else settings.patience)
        if end.ending not in ("lost", "unreachable", "refused"):
            found, end = _collected(there, diary, end, board.name, output)
        left = _cleaned(there, diary, end, settings.keep)
        try:
            diary.say(f"{end.ending}: {end}" if str(end) else end.ending)
        except Exception as error:
            # An observer that fails only now harms no other board either.
            end = _as_end(error)
    finally:
        link.close()
        diary.close()
    return Outcome(
        board=board.name,
        address=str(board.address),
        ending=end.ending,
        reason=str(end),
        results=found[0],
        verdicts=found[1],
        notes=(*there.notes, *([board.notes] if board.notes else [])),
        facts=there.facts,
        seconds={step: round(seconds, 3) for step, seconds in diary.seconds.items()},
        drops=reach.drops,
        log=log,
        left=left,
    )


class _Guard:
    """Ends what waits: when the visit is cancelled, and cleaning when it takes too long."""

    def __init__(self, cancelled: threading.Event) -> None:
        self._cancelled = cancelled
        self._until: float | None = None

    def begin_cleaning(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def __call__(self) -> None:
        if self._until is None and self._cancelled.is_set():
            raise BoardError("cancelled", "ended from here")
        if self._until is not None and time.monotonic() > self._until:
            raise BoardError("lost", "the board did not answer any more")


def _steps(there: Visit, diary: Diary, link: Link) -> None:
    with diary.during("connect"):
        try:
            link.open()
        except LinkDownError as error:
            raise BoardError("unreachable", str(error)) from error
        diary.say("connected")
        there.take()
    with diary.during("inspect"):
        facts = there.inspect()
    with diary.during("send"):
        plan = there.send(facts)
    with diary.during("environment"):
        there.prepare(plan)
    with diary.during("run"):
        there.run(plan)


def _collected(
    there: Visit, diary: Diary, end: BoardError, board: str, output: Path
) -> tuple[tuple[tuple[Path, ...], tuple[str, ...]], BoardError]:
    """Bring back what is whole; after a failure too, as a sweep may have finished some of its runs."""
    with diary.during("collect"):
        try:
            if end.ending != "done":
                there.stop()
            found = collecting.store(there.collect(), board, output)
        except Exception as error:
            # What went wrong first is what is told.
            return ((), ()), _as_end(error) if end.ending == "done" else end
        if end.ending == "done" and not found[0]:
            return found, BoardError("failed", "edgekit bench ended there without an error and left no result")
        return found, end


def _cleaned(there: Visit, diary: Diary, end: BoardError, keep: bool) -> str:
    """Clean up, and say what is left."""
    if not there.folder or end.ending == "lost":
        return there.folder
    with diary.during("clean"):
        try:
            there.clean()
        except (EdgekitError, OSError) as error:
            with suppress(OSError):
                diary.say(f"could not clean up: {error}")
            return there.folder
    return there.folder if keep else ""


def _as_end(error: Exception) -> BoardError:
    if isinstance(error, BoardError):
        return error
    if isinstance(error, LinkDownError):
        return BoardError("lost", str(error))
    if isinstance(error, InputError):
        return BoardError("failed", f"what the board brought, or what was to be sent, cannot be used: {error}")
    if isinstance(error, OSError):
        return BoardError("failed", f"{error.filename or 'this machine'}: {error.strerror or error}")
    return BoardError("failed", str(error) if isinstance(error, EdgekitError) else f"{type(error).__name__}: {error}")
