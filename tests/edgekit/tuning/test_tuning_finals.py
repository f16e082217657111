"""The last rounds: who takes part, in which order, and what is made of the times."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.results import Candidate, Cost
from edgekit.trials.process import TrialError
from edgekit.trials.records import Round
from edgekit.tuning import finals
from edgekit.tuning.finals import Finalist, Finalists, free_megabytes, median_interval
from edgekit.tuning.objective import best, score

ORDER: list[str] = []


@dataclass
class FakeProcess:
    """A candidate whose times are known."""

    name: str
    times: list[float] = field(default_factory=list)
    open: bool = True

    def again(self, duration: float, seconds: float) -> Round:
        ORDER.append(self.name)
        if not self.times:
            raise TrialError("ended by SIGKILL; it printed nothing")
        return Round({"image": self.times.pop(0), "text": 1.0})

    def close(self) -> None:
        self.open = False


def candidate(milliseconds: float, *, threads: int = 1, peak: float | None = 100.0) -> Candidate:
    cost = Cost(milliseconds, milliseconds, {"image": milliseconds}, 10.0, peak)
    return Candidate("fp32", "ort 1", "cpu", True, True, "", milliseconds, (), threads, (), cost)


def finalists(*times: float, peak: float = 100.0) -> tuple[Finalists, list[FakeProcess]]:
    ORDER.clear()
    finalists = Finalists(lambda times: sum(times.values()))
    processes = []
    for i, milliseconds in enumerate(times):
        processes.append(FakeProcess(str(i), [milliseconds] * finals.ROUNDS))
        process: Any = processes[-1]
        finalists.offer(Finalist(i, candidate(milliseconds, peak=peak), process))
    return finalists, processes


def later() -> float:
    return time.monotonic() + 60


def test_the_fastest_four_stay_and_run_in_turn() -> None:
    some, processes = finalists(10.0, 11.0, 9.0, 12.0, 10.5, 13.0)
    assert [p.open for p in processes] == [True, True, True, False, True, False]
    found = some.rounds(later())
    assert ORDER == ["2", "0", "4", "1"] * finals.ROUNDS
    assert {i: c.milliseconds for i, c in found.items()} == {2: 10.0, 0: 11.0, 4: 11.5, 1: 12.0}
    assert all(c.cost and c.cost.towers["text"] == 1.0 for c in found.values())
    with some:
        pass
    assert not any(p.open for p in processes)


def test_what_is_far_behind_is_not_timed_again() -> None:
    some, _ = finalists(10.0, 14.9, 15.1)
    assert set(some.rounds(later())) == {0, 1}


def test_a_lone_candidate_needs_no_rounds() -> None:
    some, _ = finalists(10.0, 20.0)
    assert some.rounds(later()) == {}
    assert not ORDER


def test_no_round_begins_after_the_deadline() -> None:
    some, _ = finalists(10.0, 11.0)
    assert some.rounds(time.monotonic() - 1) == {}


def test_memory_bounds_how_many_stay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finals, "free_megabytes", lambda: 1000.0)
    _, processes = finalists(10.0, 11.0, 12.0, peak=200.0)
    assert [p.open for p in processes] == [True, True, False]
    _, processes = finalists(11.0, 10.0, peak=5000.0)
    assert [p.open for p in processes] == [False, True]  # one always stays


def test_one_that_dies_is_refused_and_the_others_go_on() -> None:
    some, processes = finalists(10.0, 11.0)
    processes[0].times = [10.0]
    found = some.rounds(later())
    assert (found[0].accepted, found[0].reason) == (False, "passed, but ended by SIGKILL; it printed nothing")
    assert found[1].accepted
    assert ORDER.count("1") == finals.ROUNDS
    assert ORDER.count("0") == 2


def test_the_interval_of_nine_is_the_second_and_the_eighth() -> None:
    assert median_interval([9, 1, 8, 2, 7, 3, 6, 4, 5]) == (2, 8)
    assert median_interval([3.0]) == (3.0, 3.0)
    assert median_interval([2.0, 1.0]) == (1.0, 2.0)
    assert median_interval(list(range(6))) == (0, 5)  # 96.9 %


@settings(max_examples=100, deadline=None)
@given(st.integers(6, 60))
def test_the_interval_has_the_confidence_it_states(n: int) -> None:
    low, high = median_interval([float(i) for i in range(n)])
    assert low + high == n - 1

    def outside(rank: int) -> float:
        return 2 * sum(math.comb(n, k) for k in range(rank + 1)) / 2**n

    assert 1 - outside(int(low)) >= 0.95
    assert 1 - outside(int(low) + 1) < 0.95  # and no narrower one has


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=40))
def test_the_interval_holds_the_samples_median(values: list[float]) -> None:
    low, high = median_interval(values)
    assert min(values) <= low <= sorted(values)[len(values) // 2] or low == high
    assert low <= high <= max(values)


def test_free_memory_is_what_linux_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_: "MemTotal: 9 kB\nMemAvailable:    1000000 kB\n")
    assert free_megabytes() == 1024.0
    monkeypatch.setattr(Path, "read_text", lambda *_: "")
    assert free_megabytes() == 512.0

    def missing(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert free_megabytes() == 512.0


def test_among_equals_fewer_threads_and_less_memory_win() -> None:
    all_of_them = [
        candidate(10.0, threads=4),
        candidate(10.2, threads=2, peak=300.0),
        candidate(10.25, threads=2, peak=200.0),
        candidate(10.4, threads=1),
    ]
    assert best(all_of_them, frozenset()) == 2
    assert best(all_of_them[:1], frozenset()) == 0
    assert best([], frozenset()) is None


def test_only_finalists_win_while_one_of_them_stands() -> None:
    refused = Candidate("fp32", "ort 1", "cpu", True, False, "passed, but", 1.0, ())
    assert best([candidate(5.0), candidate(10.0)], frozenset({1})) == 1
    assert best([candidate(5.0), refused], frozenset({1})) == 0
    assert best([refused], frozenset({0})) is None


@pytest.mark.parametrize(("objective", "wanted"), [("pair", 40.0), ("photo", 32.0), ("photos", 2.0)])
def test_the_objective_makes_one_figure(objective: Any, wanted: float) -> None:
    assert score(objective, {"image": 32.0, "text": 8.0}) == wanted
