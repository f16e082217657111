"""What is built of a tower for Rockchip's chips, and in which order."""

from __future__ import annotations

import pytest

from edgekit.converters.targets.rknn_attempts import ADDED, FITTED, NORMAL, SUM, Attempt, attempts

CHOICES = [{"steps": 1, "nodes": ["a"]}, {"steps": 2, "nodes": ["a", "b", "c"]}]


def test_float16_has_one_way() -> None:
    assert attempts("fp16", (), plain=False) == (Attempt("fp16"),)


def test_eight_bits_have_two_ways_to_find_ranges() -> None:
    assert [one.algorithm for one in attempts("w8a8", (), plain=False)] == [NORMAL, FITTED]


def test_hybrid_begins_with_what_was_measured_and_ends_with_what_was_not() -> None:
    found = attempts("hybrid", CHOICES, plain=False)
    assert [one.nodes for one in found[:2]] == [("a",), ("a", "b", "c")]
    assert found[1].name == "hybrid, the 2 most sensitive parts in float16"
    assert [one.shape for one in found[2:4]] == [SUM, ADDED]
    assert [(one.algorithm, one.threshold) for one in found[4:]] == [(FITTED, x) for x in (0.98, 0.995, 0.9995)]
    # Nothing is asked for twice over in one attempt.
    assert all(sum(map(bool, (one.nodes, one.shape, one.threshold))) == 1 for one in found)


def test_where_eight_bits_do_that_is_said() -> None:
    first, *_ = attempts("hybrid", [{"steps": 0, "nodes": []}], plain=False)
    assert first == Attempt("hybrid, every layer in 8 bits")


def test_without_a_measurement_hybrid_is_what_needs_none() -> None:
    assert attempts("hybrid", (), plain=False) == attempts("hybrid", CHOICES, plain=False)[2:]


@pytest.mark.parametrize("precision", ["fp16", "hybrid", "w8a8"])
def test_plain_is_one_way_and_the_tools_own(precision) -> None:
    (only,) = attempts(precision, CHOICES, plain=True)
    assert only.name == precision
    assert (only.algorithm, only.nodes, only.shape) == (NORMAL, (), "")
    assert (only.threshold is not None) == (precision == "hybrid")


def test_names_tell_attempts_apart() -> None:
    names = [one.name for one in attempts("hybrid", CHOICES, plain=False)]
    assert len(set(names)) == len(names)
