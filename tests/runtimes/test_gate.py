"""Who may be inside at once, and that closing waits."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgekit.errors import ExecutionError
from edgekit.runtimes.gate import Gate


def crowd(gate: Gate, size: int = 4) -> int:
    """Send threads in, and return how many were inside at once."""
    most, inside, lock = 0, 0, threading.Lock()

    def visit(_: int) -> None:
        nonlocal most, inside
        with gate:
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.02)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(size) as pool:
        list(pool.map(visit, range(size)))
    return most


def test_alone_means_one_at_a_time() -> None:
    assert crowd(Gate("m", alone=True)) == 1


def test_together_means_all_at_once() -> None:
    assert crowd(Gate("m", alone=False)) > 1


@pytest.mark.parametrize("alone", [True, False])
def test_a_closed_gate_says_whose_it_is(alone: bool) -> None:
    gate = Gate("a.onnx", alone=alone)
    gate.close(lambda: None)
    with pytest.raises(ExecutionError, match=r"a\.onnx: the session is closed"), gate:
        pytest.fail("went in")


@pytest.mark.parametrize("alone", [True, False])
def test_closing_waits_and_frees_once(alone: bool) -> None:
    gate, order = Gate("m", alone=alone), []
    entered, leave = threading.Event(), threading.Event()

    def run() -> None:
        with gate:
            entered.set()
            leave.wait(10)
            order.append("ran")

    runner = threading.Thread(target=run)
    runner.start()
    entered.wait(10)
    closers = [threading.Thread(target=gate.close, args=(lambda: order.append("freed"),)) for _ in range(2)]
    for closer in closers:
        closer.start()
    time.sleep(0.05)
    assert order == []
    leave.set()
    for thread in (runner, *closers):
        thread.join(10)
    assert order == ["ran", "freed"]


def test_who_queues_when_it_closes_is_turned_away() -> None:
    gate = Gate("m", alone=True)
    entered, leave, turned = threading.Event(), threading.Event(), []

    def first() -> None:
        with gate:
            entered.set()
            leave.wait(10)

    def second() -> None:
        try:
            with gate:
                turned.append(False)
        except ExecutionError:
            turned.append(True)

    threads = [threading.Thread(target=first)]
    threads[0].start()
    entered.wait(10)
    threads.append(threading.Thread(target=second))
    threads[1].start()
    time.sleep(0.05)
    closer = threading.Thread(target=gate.close, args=(lambda: None,))
    closer.start()
    threads[1].join(10)
    # The one inside is still there: nobody had to wait for it to be told.
    assert turned == [True]
    leave.set()
    closer.join(10)
    threads[0].join(10)
    assert not closer.is_alive()


def test_an_error_inside_leaves_the_gate_open() -> None:
    gate = Gate("m", alone=True)
    with pytest.raises(ZeroDivisionError), gate:
        1 / 0  # noqa: B018
    with gate:
        pass


def test_callers_who_never_pause_cannot_keep_it_open() -> None:
    gate, stopped = Gate("m", alone=False), threading.Event()

    def hammer() -> None:
        try:
            while True:
                with gate:
                    pass
        except ExecutionError:
            stopped.set()

    threads = [threading.Thread(target=hammer, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    gate.close(lambda: None)
    assert stopped.wait(10)


def test_an_error_while_freeing_is_told_once() -> None:
    gate = Gate("m", alone=True)

    def fail() -> None:
        raise RuntimeError("driver")

    with pytest.raises(RuntimeError, match="driver"):
        gate.close(fail)
    gate.close(fail)
