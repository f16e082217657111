"""The name of what ended a process."""

from __future__ import annotations

import signal

import pytest

from edgekit.trials.endings import ended_by


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGSEGV, "SIGSEGV"),
        (signal.SIGABRT, "SIGABRT"),
        (signal.SIGKILL, "SIGKILL, most likely by the system for lack of memory"),
        (40, "signal 40"),
    ],
    ids=["segv", "abrt", "kill", "unnamed"],
)
def test_a_signal_is_named(number: int, said: str) -> None:
    assert ended_by(int(number)) == said
