"""The measured process: ``main(folder)`` does the job that lies in the folder and leaves what it found there.

What was standard output carries one event a line; whatever Python or an engine prints goes to standard error, which
is the parent's log.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from edgekit.benchmarks.running.events import Event

_ORPHANED = 3


def main(folder: str) -> None:
    """Do the job in `folder`.

    Args:
        folder: has a job as `edgekit.benchmarks.running.job` writes it.
    """
    asked = threading.Event()
    answers = open_answers(asked)

    def step() -> None:
        # Only what Python itself brings was imported up to here.
        from edgekit.benchmarks.running.importing import import_engine

        runtime = json.loads((Path(folder) / "job.json").read_bytes())["runtime"]
        imported = import_engine(runtime)
        from edgekit.benchmarks.running.job import read_job, write_found
        from edgekit.benchmarks.running.measured import measure

        found, trace = measure(read_job(Path(folder)), imported, lambda event: send(answers, event), asked.is_set)
        write_found(Path(folder), found, trace)

    answer_errors(step, answers)


def answer_errors(step: Callable[[], None], answers: TextIO | None = None) -> None:
    """Do a step; an error that is meant for the user goes to the parent, any other is a crash.

    Args:
        step: what this process does.
        answers: as `open_answers` gives it; None opens it.
    """
    answers = answers or open_answers()
    try:
        step()
        return
    except MemoryError:
        failure = "ExecutionError", "out of memory; take a smaller batch, a smaller variant, or a larger device"
    except Exception as error:
        from edgekit.errors import EdgekitError

        if not isinstance(error, EdgekitError):
            raise
        failure = type(error).__name__, str(error)
    answers.write(json.dumps({"error": failure}) + "\n")
    answers.flush()
    sys.exit(1)


def send(answers: TextIO, event: Event) -> None:
    """Tell the parent what goes on; a parent that is gone ends this process by the broken pipe."""
    from edgekit.benchmarks.running.events import to_line

    answers.write(f"{to_line(event)}\n")
    answers.flush()


def open_answers(asked: threading.Event | None = None) -> TextIO:
    """Return what was standard output, and let it be standard error from now on: an engine's chatter is no answer.

    From now on, too, this process ends when its parent does.

    Args:
        asked: set when the parent asks this process to stop what it does and keep it; None where it cannot.

    Returns:
        Where to write answers.
    """
    threading.Thread(target=_end_with_parent, args=(asked,), daemon=True, name="lifeline").start()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _end_with_parent(asked: threading.Event | None) -> None:
    # Waits on a pipe, which costs nothing meanwhile: a byte asks to stop, its end tells that the parent is gone.
    while os.read(0, 1):
        if asked is not None:
            asked.set()
    os._exit(_ORPHANED)
