"""Batches made in the background are those that were asked for."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgekit.converters.distill.data.ahead import Ahead


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as found:
        yield found


class Maker:
    """Notes what it makes, and on which thread."""

    def __init__(self):
        self.made = []
        self.threads = []

    def __call__(self, step, rank, world):
        self.made.append((step, rank, world))
        self.threads.append(threading.current_thread())
        return f"{step} {rank} {world}"


def test_without_a_pool_nothing_is_made_beforehand():
    make = Maker()
    ahead = Ahead(make, None)
    assert [ahead.get(step, 0, 1) for step in (3, 4)] == ["3 0 1", "4 0 1"]
    assert make.made == [(3, 0, 1), (4, 0, 1)]


def test_the_next_step_is_made_once_in_the_background(pool):
    make = Maker()
    ahead = Ahead(make, pool)
    assert [ahead.get(step, 1, 2) for step in range(4)] == [f"{step} 1 2" for step in range(4)]
    pool.shutdown()
    assert make.made == [(step, 1, 2) for step in range(5)]
    assert make.threads[0] is threading.current_thread()
    assert all(thread is not threading.current_thread() for thread in make.threads[1:])


@pytest.mark.parametrize("wanted", [(7, 0, 1), (1, 1, 2), (0, 0, 1)], ids=["a jump", "another rank", "again"])
def test_another_step_than_expected(pool, wanted):
    ahead = Ahead(Maker(), pool)
    ahead.get(0, 0, 1)
    assert ahead.get(*wanted) == "{} {} {}".format(*wanted)
    assert ahead.get(wanted[0] + 1, *wanted[1:]) == "{} {} {}".format(wanted[0] + 1, *wanted[1:])


def test_an_error_comes_with_its_own_step(pool):
    def make(step, rank, world):
        if step == 1:
            raise ValueError("no such step")
        return step

    ahead = Ahead(make, pool)
    assert ahead.get(0, 0, 1) == 0
    with pytest.raises(ValueError, match="no such step"):
        ahead.get(1, 0, 1)
    assert ahead.get(2, 0, 1) == 2
