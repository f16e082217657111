"""Signals that end a process reach the clean-up of what it was doing."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from edgekit.converters.stopping import stopping_cleanly


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["term", "hup"])
def test_a_signal_leaves_through_the_blocks(number: signal.Signals) -> None:
    before, cleaned = signal.getsignal(number), []
    with pytest.raises(SystemExit) as caught, stopping_cleanly():
        try:
            os.kill(os.getpid(), number)
        finally:
            cleaned.append(True)
    assert caught.value.code == 128 + number
    assert cleaned == [True]
    assert signal.getsignal(number) == before


def test_handlers_are_put_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyError), stopping_cleanly():
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) == before


def test_another_thread_sets_no_handlers() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with stopping_cleanly():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
