"""The choice of what stays in 16 bits, on towers whose losses are known."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.targets import mixing
from edgekit.converters.targets.fused import Step


def tower(losses, sizes):
    """Steps, and a chip on which the losses of those in 8 bits add up."""
    steps = [Step(f"s{i}", (f"n{i}", f"m{i}"), (f"m{i}",), size) for i, size in enumerate(sizes)]
    asked = []

    def measure(kept):
        asked.append(kept)
        return 1 - sum(loss for number, loss in enumerate(losses) if number not in kept)

    return steps, measure, asked


def test_the_goal_is_followed_by_two_that_lose_less() -> None:
    assert mixing.goals(0.99) == pytest.approx((0.99, 0.995, 0.9975))


def test_each_step_is_measured_alone() -> None:
    steps, measure, asked = tower([0.1, 0.0, 0.3], [5, 6, 7])
    found = mixing.sensitivities(steps, measure)
    assert [one.loss for one in found] == pytest.approx([0.1, 0.0, 0.3])
    assert asked == [frozenset({1, 2}), frozenset({0, 2}), frozenset({0, 1})]
    assert (found[2].name, found[2].nodes, found[2].size) == ("s2", ("n2", "m2"), 7)


def test_a_gain_by_chance_is_no_loss() -> None:
    steps, _, _ = tower([0.0], [1])
    assert mixing.sensitivities(steps, lambda kept: 1.0 + 1e-9)[0].loss == 0


def test_eight_bits_that_do_are_an_empty_mix() -> None:
    steps, measure, _ = tower([0.001, 0.002], [1, 1])
    (mix,) = mixing.mixes(mixing.sensitivities(steps, measure), measure, (0.99, 0.995))
    assert (mix.steps, mix.nodes, mix.size) == ((), (), 0)
    assert mix.reached == pytest.approx(0.997)


def test_the_cheap_are_kept_before_the_large() -> None:
    steps, measure, _ = tower([0.02, 0.02, 0.02], [1000, 10, 10])
    (mix,) = mixing.mixes(mixing.sensitivities(steps, measure), measure, (0.98 - 1e-9,))
    assert mix.steps == ("s1", "s2")
    assert mix.nodes == ("n1", "m1", "n2", "m2")
    assert mix.size == 20


def test_a_large_step_that_is_not_needed_is_given_up_again() -> None:
    # By loss for size the order is s0, s1, s2; with s2 the goal is reached, and then without s1.
    steps, measure, _ = tower([0.10, 0.011, 0.02], [10, 100, 1000])
    (mix,) = mixing.mixes(mixing.sensitivities(steps, measure), measure, (0.985,))
    assert mix.steps == ("s0", "s2")


def test_a_goal_that_nothing_reaches_keeps_everything() -> None:
    steps, _, _ = tower([0.1, 0.1], [1, 1])
    found = mixing.sensitivities(steps, lambda kept: 0.9)
    (mix,) = mixing.mixes(found, lambda kept: 0.9, (0.99, 0.995))
    assert mix.steps == ("s0", "s1")
    assert mix.reached == 0.9


@given(st.lists(st.tuples(st.floats(0, 0.2), st.integers(0, 1000)), min_size=1, max_size=9), st.floats(0.5, 0.999))
@settings(max_examples=60, deadline=None)
def test_a_mix_reaches_its_goal_and_none_costs_more_than_a_safer_one_must(pairs, goal: float) -> None:
    losses, sizes = [list(column) for column in zip(*pairs, strict=True)]
    steps, measure, _ = tower(losses, sizes)
    wanted = mixing.goals(goal)
    found = mixing.mixes(mixing.sensitivities(steps, measure), measure, wanted)
    assert 1 <= len(found) <= len(wanted)
    for mix in found:
        kept = frozenset(int(name[1:]) for name in mix.steps)
        # All in float lose nothing here, so that every goal can be reached.
        assert mix.reached >= mix.goal
        assert mix.reached == pytest.approx(measure(kept))
        assert mix.size == sum(sizes[number] for number in kept)
    # Not the very least, which is a knapsack; within the largest step of it by the rule for fractions.
    least = min(
        sum(sizes[i] for i in chosen)
        for count in range(len(steps) + 1)
        for chosen in itertools.combinations(range(len(steps)), count)
        if measure(frozenset(chosen)) >= found[0].goal
    )
    assert least <= found[0].size <= least + max(sizes)
