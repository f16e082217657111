"""What "best" means: figures made by hand, and properties of the order."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.bundle.manifest import Agreement, Tolerance
from edgekit.golden import GoldenCheck
from edgekit.policies import POLICIES, accuracy, rank
from edgekit.results import Candidate

BOTH = ("image", "text")


def agreement(mean: float) -> Agreement:
    return Agreement(8, 0.0, mean, mean, mean, mean)


def candidate(ms: float, processor: float, image: float = 1.0, text: float = 1.0) -> Candidate:
    checks = tuple(
        GoldenCheck(tower, agreement(mean), Tolerance(0.5, 0.5))
        for tower, mean in zip(BOTH, (image, text), strict=True)
    )
    return Candidate("v", "engine 1", "cpu", True, True, "", ms, checks, processor=processor)


def variant(image: float | None = None, text: float = 1.0) -> Any:
    found = None if image is None else SimpleNamespace(image=agreement(image), text=agreement(text))
    return cast("Any", SimpleNamespace(fidelity=found))


def test_latency_is_the_time_on_the_clock() -> None:
    assert rank("latency", candidate(3, 90), variant(), BOTH) < rank("latency", candidate(4, 1), variant(), BOTH)


def test_power_is_processor_time_and_then_the_clock() -> None:
    busy, idle = candidate(3, 12), candidate(9, 0.4)
    assert rank("power", idle, variant(), BOTH) < rank("power", busy, variant(), BOTH)
    assert rank("power", candidate(3, 5), variant(), BOTH) < rank("power", candidate(4, 5), variant(), BOTH)


def test_accuracy_is_the_worse_of_held_out_data_and_this_device() -> None:
    assert accuracy(candidate(1, 1, image=0.999), variant(0.98), ("image",)) == 0.98
    assert accuracy(candidate(1, 1, image=0.95), variant(0.98), ("image",)) == 0.95
    assert accuracy(candidate(1, 1, image=0.95, text=0.99), variant(), ("text",)) == 0.99
    assert accuracy(candidate(1, 1), variant(0.99, text=0.9), BOTH) == 0.9
    slow, quick = candidate(9, 1), candidate(1, 1)
    assert rank("accuracy", slow, variant(), BOTH) < rank("accuracy", quick, variant(0.9), BOTH)


def test_equally_accurate_ones_are_ranked_by_time() -> None:
    slow, quick = candidate(9, 1, image=0.99991), candidate(1, 1, image=0.99985)
    assert rank("accuracy", quick, variant(), BOTH) < rank("accuracy", slow, variant(), BOTH)


def test_nothing_measured_is_no_accuracy() -> None:
    assert accuracy(replace(candidate(1, 1), checks=()), variant(), BOTH) == 0.0


@pytest.mark.parametrize("policy", POLICIES)
@given(figures=st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1)), min_size=1, max_size=6))
def test_every_policy_orders_every_set(policy: Any, figures: list[tuple[float, float, float]]) -> None:
    ranks = [rank(policy, candidate(ms, cpu, image), variant(), BOTH) for ms, cpu, image in figures]
    best = min(ranks)
    assert all(best <= one for one in ranks)
    assert len({len(one) for one in ranks}) == 1
