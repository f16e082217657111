"""Interleaved blocks with contenders whose times are known."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.versus import rounds
from edgekit.benchmarks.versus.answering import Answer
from edgekit.benchmarks.versus.rounds import LEAST, block_size, interleave, narrow
from edgekit.ratios import ratio


class Clockwork:
    """Answers in times that a list of milliseconds gives, in turn, and notes what it was asked."""

    def __init__(self, log: list[tuple[str, object]], name: str, milliseconds: list[float]) -> None:
        self._log, self._name, self._ms = log, name, milliseconds
        self.asked: list[int] = []

    def ask(self, sample: int, *, tell: bool = False) -> Answer:
        self._log.append((self._name, sample))
        self.asked.append(sample)
        return Answer(int(1e6 * self._ms[(len(self.asked) - 1) % len(self._ms)]))

    def rest(self) -> None:
        self._log.append((self._name, "rest"))


def _pair(first: list[float], second: list[float]) -> tuple[dict[str, Clockwork], list[tuple[str, object]]]:
    log: list[tuple[str, object]] = []
    return {"a": Clockwork(log, "a", first), "b": Clockwork(log, "b", second)}, log


def test_every_contender_has_one_block_a_round_on_the_same_samples() -> None:
    contenders, log = _pair([1.0], [3.0])
    found = interleave(contenders, samples=5, queries=3, seconds=60, goal=0.04)
    assert found.ended == "narrow"  # the times do not vary at all
    assert len(found.orders) == LEAST
    assert found.blocks == {"a": [1.0] * LEAST, "b": [3.0] * LEAST}
    assert contenders["a"].asked == contenders["b"].asked
    assert contenders["a"].asked[:6] == [0, 1, 2, 3, 4, 0]
    blocks = [log[i : i + 4] for i in range(0, len(log), 4)]
    assert all(len({name for name, _ in block}) == 1 and block[-1][1] == "rest" for block in blocks)
    assert [tuple(block[0][0] for block in blocks[i : i + 2]) for i in range(0, len(blocks), 2)] == found.orders


def test_the_order_is_drawn_anew() -> None:
    contenders, _ = _pair([1.0, 2.0, 1.5, 9.0], [1.0, 7.0, 3.0])
    found = interleave(contenders, 4, 3, seconds=0.05, goal=1e-9)
    assert set(found.orders) == {("a", "b"), ("b", "a")}
    again = interleave(_pair([1.0], [2.0])[0], 4, 3, seconds=0.05, goal=0.1)
    assert again.orders == found.orders[: len(again.orders)]  # and repeats with the same seed
    other = interleave(_pair([1.0], [2.0])[0], 4, 3, seconds=0.05, goal=0.1, seed=7)
    assert other.orders != again.orders


def test_time_ends_what_does_not_become_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    contenders, _ = _pair(draw.uniform(1, 9, 997).tolist(), draw.uniform(1, 9, 1009).tolist())
    ticks = iter(range(10_000))
    monkeypatch.setattr(rounds.time, "perf_counter", lambda: float(next(ticks)))
    seen: list[int] = []
    found = interleave(contenders, 4, 3, seconds=20, goal=0.001, on_round=lambda now: seen.append(len(now.orders)))
    assert found.ended == "time"
    assert (found.seconds, len(found.orders)) == (20.0, 20)
    assert seen == list(range(1, 21))


def test_at_least_so_many_rounds_however_short_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    contenders, _ = _pair([1.0, 2.0, 5.0, 9.0, 3.0], [1.0, 4.0])
    assert len(interleave(contenders, 4, 3, seconds=1e-9, goal=1e-9).orders) == LEAST


def test_a_block_is_the_median_of_its_queries() -> None:
    contenders, _ = _pair([1.0, 100.0, 2.0], [4.0, 4.0, 50.0])
    found = interleave(contenders, 3, 3, seconds=60, goal=0.04)
    assert set(found.blocks["a"]) == {2.0}
    assert set(found.blocks["b"]) == {4.0}


@pytest.mark.parametrize(
    ("milliseconds", "queries"), [([50.0, 400.0], 4), ([1000.0, 400.0], 3), ([0.01], 200), ([10.0], 20), ([0.0], 200)]
)
def test_a_block_of_the_fastest_lasts_a_fifth_of_a_second(milliseconds: list[float], queries: int) -> None:
    assert block_size(milliseconds) == queries


def test_narrow_asks_for_every_interval() -> None:
    draw = np.random.default_rng(0)
    base = draw.uniform(0.99, 1.01, 40).tolist()
    steady, wild = draw.uniform(1.98, 2.02, 40).tolist(), draw.uniform(1, 9, 40).tolist()
    assert narrow({"a": base, "b": steady}, 0.02)
    assert not narrow({"a": base, "b": steady, "c": wild}, 0.02)
    assert not narrow({"a": base, "b": steady}, 0.0001)


def test_a_drift_of_the_machine_does_not_move_the_ratio() -> None:
    """Both slow down threefold over the run: blocks of one round share that, so the interval stays narrow."""
    slowing = np.linspace(1, 3, 4 * 3)
    log: list[tuple[str, object]] = []
    contenders = {
        "a": Clockwork(log, "a", np.repeat(slowing, 3).tolist()),
        "b": Clockwork(log, "b", np.repeat(2 * slowing, 3).tolist()),
    }
    found = interleave(contenders, 9, 3, seconds=60, goal=0.04)
    assert found.ended == "narrow"
    assert Counter(name for name, what in log if what == "rest") == {"a": LEAST, "b": LEAST}


def test_the_interval_holds_the_true_ratio() -> None:
    """Noisy blocks with a true ratio of 2: in 100 runs of 20 rounds, the 95 % interval misses it rarely."""
    draw = np.random.default_rng(3)
    held = 0
    for _ in range(100):
        base = draw.lognormal(0, 0.1, 20)
        other = 2 * draw.lognormal(0, 0.1, 20)
        found = ratio(other.tolist(), base.tolist())
        held += found.low <= 2 <= found.high
    assert 88 <= held <= 100


@given(st.lists(st.floats(0.001, 1e5), min_size=1, max_size=4))
def test_any_times_give_a_block_within_bounds(milliseconds: list[float]) -> None:
    queries = block_size(milliseconds)
    assert 3 <= queries <= 200
    # The fastest decides: a slower contender beside it changes nothing.
    assert block_size([*milliseconds, 1e6]) == queries


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 7), st.integers(1, 5), st.integers(2, 4), st.integers(0, 99))
def test_samples_are_taken_in_turn_whatever_their_number(samples: int, queries: int, many: int, seed: int) -> None:
    log: list[tuple[str, object]] = []
    contenders = {f"c{i}": Clockwork(log, f"c{i}", [1.0 + i]) for i in range(many)}
    found = interleave(contenders, samples, queries, seconds=60, goal=0.04, seed=seed)
    asked = [contender.asked for contender in contenders.values()]
    assert all(one == asked[0] for one in asked)
    assert asked[0] == [i % samples for i in range(LEAST * queries)]
    assert all(sorted(order) == sorted(contenders) for order in found.orders)
    assert {name: set(times) for name, times in found.blocks.items()} == {f"c{i}": {1.0 + i} for i in range(many)}
