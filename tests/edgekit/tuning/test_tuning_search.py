"""Which candidates are tried, in which order, without starting a process for each."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import tiny_bundle as tiny
from edgekit.bundle.reader import open_bundle
from edgekit.judging import Choice
from edgekit.trials.process import TrialError
from edgekit.trials.records import Request, Result
from edgekit.tuning import search
from edgekit.tuning.finals import Finalists
from edgekit.tuning.search import Search, Terms
from spy_runtime import SpyRuntime

if TYPE_CHECKING:
    from collections.abc import Callable

CURES = ((("cure", "mild"),), (("cure", "strong"),))


def passed(milliseconds: float, peak: float | None = 50.0) -> Result:
    return Result("", False, (), 5.0, {"image": milliseconds}, peak)


WRONG = Result("wrong numbers on this device: …", True, (), 0.0, {}, None)
CLOSED: list[Request] = []


class FakeProcess:
    """Answers what the test says."""

    answer: Callable[[Request], Result]

    def __init__(self, bundle: Path, request: Request) -> None:
        self.request = request

    def result(self, seconds: float) -> Result:
        return type(self).answer(self.request)

    def close(self) -> None:
        CLOSED.append(self.request)


@pytest.fixture(scope="module")
def choices(tmp_path_factory: pytest.TempPathFactory) -> list[Choice]:
    bundle = tiny.build(tmp_path_factory.mktemp("two") / "two.edge", variants=("fp32", "static"))
    return [Choice(variant, SpyRuntime(), "9.9", "cpu") for variant in open_bundle(bundle).manifest.variants]


@pytest.fixture
def run(choices: list[Choice], monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Search among two variants; return (variant, threads, options, accepted, reason) of each trial."""
    CLOSED.clear()
    monkeypatch.setattr(search, "TrialProcess", FakeProcess)
    monkeypatch.setattr(search, "extras", lambda runtime, device, when: CURES if when == "wrong numbers" else ())

    def run(
        answer: Callable[[Request], Result], threads: tuple[int, ...] = (1,), seconds: float = 60.0, memory: int = 0
    ) -> list[Any]:
        monkeypatch.setattr(FakeProcess, "answer", staticmethod(answer), raising=False)
        terms = Terms(
            Path("b.edge"), ("a",), ("image",), 1, memory, 9.0, time.monotonic() + seconds, _sum, lambda _: None
        )
        search = Search(terms, Finalists(_sum))
        search.run(choices, threads)
        return [(c.variant, c.threads, c.options, c.accepted, c.reason) for _, c in search.tried]

    return run


def _sum(times: dict[str, float]) -> float:
    return sum(times.values())


def test_each_variant_first_with_the_most_threads_then_the_near_ones_with_fewer(run: Callable[..., list[Any]]) -> None:
    times = {"fp32": 50.0, "static": 20.0}
    found = run(lambda request: passed(times[request.variant]), (1, 2, 4))
    assert [(variant, threads) for variant, threads, *_ in found] == [
        ("fp32", 4),
        ("static", 4),
        ("static", 2),
        ("static", 1),
    ]


def test_the_fastest_is_tried_first_with_other_threads(run: Callable[..., list[Any]]) -> None:
    times = {"fp32": 30.0, "static": 20.0}
    found = run(lambda request: passed(times[request.variant]), (1, 2))
    assert [(v, n) for v, n, *_ in found] == [("fp32", 2), ("static", 2), ("static", 1), ("fp32", 1)]


def test_wrong_numbers_are_cured_by_the_mildest_that_works(run: Callable[..., list[Any]]) -> None:
    found = run(lambda request: passed(9.0) if request.options or request.variant == "static" else WRONG)
    assert [(v, options, accepted) for v, _, options, accepted, _ in found] == [
        ("fp32", (), False),
        ("fp32", CURES[0], True),
        ("static", (), True),
    ]


def test_the_next_cure_is_tried_when_the_first_does_not_help(run: Callable[..., list[Any]]) -> None:
    found = run(lambda request: passed(9.0) if request.options == CURES[1] else WRONG)
    assert [(options, accepted) for _, _, options, accepted, _ in found] == [
        ((), False),
        (CURES[0], False),
        (CURES[1], True),
    ] * 2


def test_a_refusal_of_another_kind_needs_no_cure(run: Callable[..., list[Any]]) -> None:
    found = run(lambda request: Result("no such operator", False, (), 0.0, {}, None))
    assert [reason for *_, reason in found] == ["no such operator"] * 2
    assert len(CLOSED) == 2


def test_a_crash_is_a_refusal(run: Callable[..., list[Any]]) -> None:
    def answer(request: Request) -> Result:
        raise TrialError("ended by SIGABRT; it printed nothing")

    assert [reason for *_, reason in run(answer)] == ["ended by SIGABRT; it printed nothing"] * 2
    late = run(answer, seconds=5.0)
    assert late[0][-1] == "ended by SIGABRT; it printed nothing; the time for tuning was up"


def test_an_interrupt_ends_the_child(run: Callable[..., list[Any]]) -> None:
    def answer(request: Request) -> Result:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(answer)
    assert len(CLOSED) == 1


def test_what_there_is_no_time_for_is_listed(run: Callable[..., list[Any]]) -> None:
    found = run(lambda request: passed(1.0), seconds=-1.0)
    assert [reason for *_, reason in found] == ["not tried: the time for tuning was up; give more --minutes"] * 2


def test_what_needs_too_much_memory_is_refused(run: Callable[..., list[Any]]) -> None:
    found = run(lambda request: passed(1.0, 120.4 if request.variant == "fp32" else None), memory=100)
    assert found[0][-2:] == (False, "needs 120 MB at its peak, at most 100 MB are allowed")
    assert found[1][-2:] == (True, "")


def test_the_child_is_told_everything(run: Callable[..., list[Any]]) -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Result:
        seen.append(request)
        return passed(1.0)

    run(answer, (3,), memory=700)
    assert seen[0] == Request(("a",), "fp32", "onnxruntime", "cpu", ("image",), 3, (), 1, 700, 19)
