"""A candidate that a process ended on gets another chance where it can do no harm: in a child process.

A process may have been ended by anybody, for memory or by impatience; that is not the candidate's fault.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.trials import marks
from edgekit.trials.process import TrialError, TrialProcess
from edgekit.trials.records import Request

if TYPE_CHECKING:
    from edgekit.bundle.reader import Bundle
    from edgekit.golden import TowerName
    from edgekit.judging import Choice
    from edgekit.runtimes.protocol import SessionSettings

SECONDS = 120
_GRACE = 5


def refusal(bundle: Bundle, choice: Choice, names: tuple[TowerName, ...], settings: SessionSettings) -> str:
    """Try a candidate that left a mark, in a child process; when it does well there, its marks go.

    Args:
        bundle: opened; one that lies in memory only cannot be handed to a child.
        choice: the candidate.
        names: which towers.
        settings: of the sessions.

    Returns:
        Why the candidate stays refused; empty when it does well.
    """
    path = Path(bundle.where)
    if not path.exists():
        return marks.CRASHED
    request = Request(
        trusted=tuple(sorted(bundle.checked)),
        variant=choice.variant.id,
        runtime=choice.runtime.name,
        device=choice.device,
        towers=names,
        threads=settings.threads,
        options=settings.options,
        batch=1,
        memory=0,
        seconds=SECONDS + _GRACE,
        allow_cpu=settings.allow_cpu,
    )
    try:
        with TrialProcess(path, request) as process:
            reason = process.result(SECONDS).reason
    except TrialError as error:
        reason = f"in a child process: {error}"
    if reason:
        return f"{marks.CRASHED}; {reason}"
    marks.forget(marks.mark_of(bundle, choice, settings, names))
    return ""
