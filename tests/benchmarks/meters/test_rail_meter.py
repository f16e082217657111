"""A meter of rails: names that are distinct, sums only of what was read, and reasons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmarks.meters.protocol import Meter
from edgekit.benchmarks.meters.rail_meter import RailMeter
from edgekit.benchmarks.meters.rails import SUM, TOTALS, unique

LABELS = st.sampled_from(["CPU", "GPU", "SOC", "CPU 2", *TOTALS])
WATTS = st.none() | st.floats(0, 100)


def meter(*rails: tuple[str, float | None]) -> RailMeter:
    return RailMeter("here", [(label, lambda watts=watts: watts) for label, watts in rails], "nothing here", 0.005)  # type: ignore[misc]


def test_it_is_a_meter() -> None:
    found: Meter = meter(("CPU", 1.0))
    assert (found.name, found.period()) == ("here", 0.01)


def test_without_a_rail_it_is_not_here_and_says_why() -> None:
    found = meter()
    assert (found.present().ok, found.present().reason) == (False, "nothing here")
    assert (found.channels(), found.read()) == ((), {})


def test_rails_that_do_not_answer_are_not_here_either() -> None:
    found = meter(("CPU", None), ("GPU", None)).present()
    assert not found.ok
    assert found.reason == "the kernel lists CPU, GPU, but none of them can be read; try as root"


@pytest.mark.parametrize("total", TOTALS)
def test_a_rail_that_feeds_the_others_is_the_device(total: str) -> None:
    found = meter(("CPU", 1.0), (total, 5.0), ("GPU", 2.0))
    assert found.read() == {"CPU": 1.0, total: 5.0, "GPU": 2.0}
    assert [channel.name for channel in found.channels() if channel.scope == "device"] == [total]
    assert {channel.error for channel in found.channels()} == {0.005}


def test_without_one_the_sum_is_given_only_where_every_rail_answered() -> None:
    assert meter(("CPU", 1.0), ("GPU", 2.0)).read() == {"CPU": 1.0, "GPU": 2.0, SUM: 3.0}
    assert meter(("CPU", 1.0), ("GPU", None)).read() == {"CPU": 1.0}
    assert meter(("CPU", 0.0), ("GPU", 0.0)).read()[SUM] == 0.0


@given(st.lists(st.tuples(LABELS, WATTS), max_size=6))
def test_what_is_read_is_what_was_announced(rails: list[tuple[str, float | None]]) -> None:
    found = meter(*rails)
    names = [channel.name for channel in found.channels()]
    read = found.read()
    assert set(read) <= set(names)
    values = [watts for _, watts in rails if watts is not None]
    assert sorted(watts for name, watts in read.items() if name != SUM) == sorted(values)
    if SUM in read:
        assert len(values) == len(rails)
        assert read[SUM] == pytest.approx(sum(values))


@given(st.lists(LABELS, max_size=8))
def test_labels_become_distinct_and_the_first_of_each_keeps_its_own(labels: list[str]) -> None:
    found = unique(labels)
    assert len(set(found)) == len(found) == len(labels)
    for label in set(labels):
        assert found[labels.index(label)] == label
    assert all(name.startswith(label) for name, label in zip(found, labels, strict=True))


def test_a_number_that_another_rail_bears_is_passed_over() -> None:
    assert unique(["CPU", "CPU", "CPU 2"]) == ("CPU", "CPU 3", "CPU 2")
    assert unique(["CPU 2", "CPU", "CPU", "CPU"]) == ("CPU 2", "CPU", "CPU 3", "CPU 4")


def test_rails_are_read_anew_each_time() -> None:
    values = iter([1.0, 2.0, None, 3.0])
    found = RailMeter("here", [("VDD_IN", lambda: next(values))], "", None)
    assert [found.read() for _ in range(4)] == [{"VDD_IN": 1.0}, {"VDD_IN": 2.0}, {}, {"VDD_IN": 3.0}]
