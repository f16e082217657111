"""What Ctrl-C does at which moment, by real signals to this process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import bench_results
from edgekit.benchmarks.running.interrupting import Interrupts, RunInterruptedError, interrupts


@pytest.fixture(autouse=True)
def _python_s_own_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press() -> None:
    """Ctrl-C, as the terminal sends it."""
    os.kill(os.getpid(), signal.SIGINT)


def test_before_anything_was_measured_it_ends_the_run() -> None:
    with pytest.raises(KeyboardInterrupt), interrupts():
        press()


def test_the_first_one_asks_and_the_second_one_ends() -> None:
    asked: list[str] = []
    with interrupts() as heard:
        heard.ask = lambda: asked.append("stop")
        press()
        assert asked == ["stop"]
        assert heard.asked
        with pytest.raises(KeyboardInterrupt):
            press()
        with pytest.raises(KeyboardInterrupt):
            press()
    assert asked == ["stop"]


def test_a_request_that_fails_does_not_let_a_third_be_needed() -> None:
    def broken() -> None:
        raise OSError("no pipe")

    with interrupts() as heard:
        heard.ask = broken
        with pytest.raises(OSError, match="no pipe"):
            press()
        with pytest.raises(KeyboardInterrupt):
            press()


@pytest.mark.parametrize("fault", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_afterwards_it_is_as_before_however_the_block_ended(fault: type[BaseException] | None) -> None:
    def block() -> None:
        with interrupts() as heard:
            heard.ask = lambda: None
            assert signal.getsignal(signal.SIGINT) == heard.hear
            if fault:
                raise fault

    if fault:
        with pytest.raises(fault):
            block()
    else:
        block()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _own(number: int, frame: Any) -> None:
    """A program's own way with Ctrl-C."""


@pytest.mark.parametrize("handler", [signal.SIG_IGN, _own], ids=["ignored", "its own"])
def test_a_program_with_its_own_way_keeps_it(handler: Any) -> None:
    signal.signal(signal.SIGINT, handler)
    with interrupts() as heard:
        heard.ask = lambda: pytest.fail("was asked")
        assert signal.getsignal(signal.SIGINT) is handler
        press()
    assert not heard.asked
    assert signal.getsignal(signal.SIGINT) is handler


def test_other_threads_leave_signals_alone() -> None:
    seen: list[Any] = []

    def body() -> None:
        with interrupts() as heard:
            seen.append((signal.getsignal(signal.SIGINT), heard.asked))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [(signal.default_int_handler, False)]


def test_blocks_within_each_other_are_each_restored() -> None:
    with interrupts() as outer:
        mine: Callable[..., None] = outer.hear
        # The inner one finds a handler that is not Python's, and leaves it.
        with interrupts() as inner:
            assert signal.getsignal(signal.SIGINT) == mine
            outer.ask = lambda: None
            press()
        assert (outer.asked, inner.asked) == (True, False)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_heard_needs_no_signal() -> None:
    heard = Interrupts()
    with pytest.raises(KeyboardInterrupt):
        heard.hear(2, None)
    assert not heard.asked


@pytest.mark.parametrize("reasons", [(), ("interrupted in the measured part", "other load")])
def test_the_error_is_a_keyboard_interrupt_with_a_result(reasons: tuple[str, ...]) -> None:
    found = bench_results.result(reasons=reasons)
    error = RunInterruptedError(found)
    assert isinstance(error, KeyboardInterrupt)
    assert not isinstance(error, Exception)
    assert error.result is found
    assert str(error) == (reasons[0] if reasons else "")
