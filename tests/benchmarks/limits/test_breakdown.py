"""Times of nodes summed into parts, blocks and operators: they add up whatever the profile holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmarks.limits.breakdown import Run, runs_of, summarise

OPS = ("MatMul", "Conv", "LayerNormalization", "Softmax", "Add", "Gather")


def _event(number: int, start: int, length: int) -> dict[str, Any]:
    op = OPS[number % len(OPS)]
    args = {"op_name": op, "provider": "XnnpackExecutionProvider", "node_index": str(number)}
    name = f"/layer.{number // 4}/m{number % 2}/{op}_kernel_time"
    return {"cat": "Node", "name": name, "ts": start, "dur": length, "args": args}


def _run(lengths: list[int], slack: int) -> Run:
    """An inference whose nodes take so many microseconds, and `slack` besides."""
    start, events = 0, []
    for number, length in enumerate(lengths):
        events.append(_event(number, start, length))
        start += length
    return Run((start + slack) / 1e3, tuple(events))


@given(
    st.integers(1, 12).flatmap(
        lambda nodes: st.lists(st.lists(st.integers(0, 9_999), min_size=nodes, max_size=nodes), min_size=1, max_size=9)
    ),
    st.integers(1, 500),
)
def test_every_grouping_adds_up_to_the_whole(runs: list[list[int]], slack: int) -> None:
    found = summarise([_run(lengths, slack) for lengths in runs], "here")
    nodes = sum(node.ms for node in found["nodes"])
    assert nodes + found["overhead"] == pytest.approx(found["ms"])
    assert found["overhead"] == pytest.approx(slack / 1e3)
    for groups in (found["parts"], found["ops"]):
        assert sum(group.ms for group in groups) == pytest.approx(nodes)
        assert sum(group.nodes for group in groups) == len(found["nodes"]) == len(runs[0])
        assert all(0 <= group.share <= 1 for group in groups)
    assert sum(block.ms for block in found["blocks"]) <= nodes + 1e-9


@given(st.lists(st.integers(1, 9_999), min_size=1, max_size=40))
def test_only_the_middle_half_counts(totals: list[int]) -> None:
    found = summarise([_run([total], 0) for total in totals], "here")
    ordered = sorted(totals)
    quarter = len(totals) // 4
    kept = ordered[quarter : len(ordered) - quarter]
    assert found["ms"] == pytest.approx(sum(kept) / len(kept) / 1e3)
    assert min(totals) / 1e3 <= found["ms"] + 1e-9
    assert found["ms"] <= max(totals) / 1e3 + 1e-9


def test_nodes_of_one_name_are_kept_apart() -> None:
    """An engine may give two nodes one name; their numbers differ."""
    first, second = _event(0, 0, 100), {**_event(0, 100, 300), "args": {**_event(0, 0, 0)["args"], "node_index": "77"}}
    found = summarise([Run(0.5, (first, second))], "here")
    assert [node.ms for node in found["nodes"]] == [0.3, 0.1]
    assert found["overhead"] == pytest.approx(0.1)


def test_the_device_is_the_providers() -> None:
    found = summarise([_run([5], 1)], "here")
    assert [node.device for node in found["nodes"]] == ["xnnpack"]


def test_a_node_that_one_run_did_not_reach_counts_where_it_ran() -> None:
    """A branch that is taken now and then."""
    long, short = _run([100, 100], 0), _run([100], 0)
    found = summarise([long, short], "here")
    assert sorted(node.ms for node in found["nodes"]) == pytest.approx([0.05, 0.1])
    assert found["ms"] == pytest.approx(0.15)


def test_events_outside_of_inferences_are_left_out() -> None:
    events = [
        _event(0, 10, 5),  # before the first inference, as a warm-up of the engine
        {"cat": "Session", "name": "model_run", "ts": 100, "dur": 50},
        _event(0, 110, 20),
        {"cat": "Session", "name": "SequentialExecutor::Execute", "ts": 105, "dur": 40},
        _event(0, 400, 5),
    ]
    (run,) = runs_of(events)
    assert run.ms == 0.05
    assert [event["dur"] for event in run.nodes] == [20]
    assert runs_of([]) == []
