"""The search for what stays in float32, on losses that are known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgekit.converters.targets import islands
from edgekit.converters.targets.islands import Part

PARTS = tuple(Part(f"p{i}", (f"n{i}", f"m{i}")) for i in range(8))


def additive(losses):
    """A tower whose parts' losses add up; a loss of infinity makes NaN."""

    def measure(kept):
        total = sum(loss for part, loss in zip(PARTS, losses, strict=True) if part.nodes[0] not in kept)
        return math.nan if math.isinf(total) else 1 - total

    return measure


def test_nothing_is_kept_where_nothing_is_lost() -> None:
    found = islands.choose(PARTS, additive([0.001] * 8), 0.99)
    assert found.kept == ()
    assert found.plain == found.reached == pytest.approx(0.992)
    assert found.measured == 1


def test_the_one_that_overflows_is_kept() -> None:
    found = islands.choose(PARTS, additive([0, 0, 0, math.inf, 0, 0, 0, 0]), 0.99)
    assert [part.name for part in found.kept] == ["p3"]
    assert math.isnan(found.plain)
    assert found.reached == 1


def test_the_worst_are_kept_and_no_more() -> None:
    found = islands.choose(PARTS, additive([0.05, 0.001, 0.2, 0.001, 0.1, 0.001, 0.0, 0.0]), 0.99)
    assert [part.name for part in found.kept] == ["p2", "p4", "p0"]
    assert found.reached >= 0.99


def test_a_goal_out_of_reach_keeps_all_that_could_help() -> None:
    found = islands.choose(PARTS, lambda kept: 0.5, 0.99)
    assert found.reached == 0.5
    assert len(found.kept) == len(PARTS)


def test_without_parts_there_is_one_measurement() -> None:
    assert islands.choose((), lambda kept: 0.1, 0.99) == islands.Choice((), 0.1, 0.1, 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.1, math.inf]), min_size=8, max_size=8))
def test_the_goal_is_reached_and_every_kept_part_is_needed(losses) -> None:
    measure = additive(losses)
    found = islands.choose(PARTS, measure, 0.99)
    assert found.reached >= 0.99
    for part in found.kept:
        others = {name for one in found.kept if one is not part for name in one.nodes}
        assert not measure(others) >= 0.99
    assert found.measured <= 2 * len(PARTS) + 6


def model(count: int):
    nodes = []
    for i in range(count):
        nodes += [
            helper.make_node("Relu", [f"y{i}"], [f"r{i}"], f"relu{i}"),
            helper.make_node("MatMul", [f"r{i}", "w"], [f"y{i + 1}"], f"product{i}"),
        ]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("y0", TensorProto.FLOAT, [1, 4])], [])
    return helper.make_model(graph)


def test_runs_end_with_products() -> None:
    made = model(3)
    names = [node.output[0] for node in made.graph.node]
    parts = islands.parts_of(made, names)
    assert [part.nodes for part in parts] == [("r0", "y1"), ("r1", "y2"), ("r2", "y3")]
    assert parts[0].name == "Relu relu0 to MatMul product0"
    alone = islands.parts_of(made, ["y1", "y2"])
    assert [part.name for part in alone] == ["MatMul product0", "MatMul product1"]
    assert islands.parts_of(made, []) == ()


def test_a_deep_graph_has_a_bounded_number_of_parts() -> None:
    made = model(2 * islands.MOST + 1)
    names = [node.output[0] for node in made.graph.node]
    parts = islands.parts_of(made, names)
    assert len(parts) <= islands.MOST
    assert [name for part in parts for name in part.nodes] == names
