"""Say by what signal a child process was ended."""

from __future__ import annotations

import signal


def ended_by(number: int) -> str:
    """Return a signal's name, with the likely reason where there is one.

    Args:
        number: of the signal; one without a name is told by its number.

    Returns:
        Such as ``SIGSEGV``.
    """
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return name + (", most likely by the system for lack of memory" if number == signal.SIGKILL else "")
