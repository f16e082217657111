"""The choice of one option per group, held against trying every combination."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.quantize.choose import Option, front, hull, last_that_passes

NUMBERS = st.integers(0, 40).map(lambda n: n / 8)
COSTS = st.integers(-40, 40).map(lambda n: n / 8)
OPTIONS = st.lists(st.builds(Option, st.sampled_from("abcdef"), NUMBERS, COSTS), min_size=1, max_size=4)
GROUPS = st.dictionaries(st.sampled_from(["g0", "g1", "g2", "g3"]), OPTIONS, min_size=1, max_size=4)


def every(groups):
    """Loss and cost of every combination."""
    for taken in itertools.product(*groups.values()):
        yield sum(o.loss for o in taken), sum(o.cost for o in taken)


@settings(deadline=None, max_examples=150)
@given(GROUPS)
def test_no_combination_beats_a_choice_at_its_own_loss(groups):
    combinations = list(every(groups))
    for choice in front(groups):
        assert (choice.loss, choice.cost) in combinations
        best = min(cost for loss, cost in combinations if loss <= choice.loss)
        assert choice.cost == best


@settings(deadline=None, max_examples=100)
@given(GROUPS)
def test_the_front_goes_from_the_least_loss_to_the_least_cost(groups):
    found = front(groups)
    combinations = list(every(groups))
    assert found[0].loss == min(loss for loss, _ in combinations)
    assert found[-1].cost == min(cost for _, cost in combinations)
    for before, after in itertools.pairwise(found):
        assert after.loss > before.loss
        assert after.cost < before.cost
        assert sum(before.options[g] != after.options[g] for g in groups) == 1


@settings(deadline=None, max_examples=60)
@given(GROUPS, st.randoms())
def test_the_order_of_groups_and_options_means_nothing(groups, random):
    names = list(groups)
    random.shuffle(names)
    shuffled = {name: random.sample(groups[name], len(groups[name])) for name in names}
    assert front(shuffled) == front(groups)


@settings(deadline=None, max_examples=100)
@given(OPTIONS)
def test_a_hull_is_convex_and_falls(options):
    line = hull(options)
    slopes = [(b.cost - a.cost) / (b.loss - a.loss) for a, b in itertools.pairwise(line)]
    assert all(slope < 0 for slope in slopes)
    assert slopes == sorted(slopes)


def test_a_method_that_is_slower_and_worse_is_never_taken():
    slow = Option("conv_integer", 0.01, 6.0)
    found = front({"stem": [Option("", 0, 0), slow], "mlp": [Option("", 0, 0), Option("int8", 0.01, -0.5)]})
    assert [{name: option.name for name, option in choice.options.items()} for choice in found] == [
        {"stem": "", "mlp": ""},
        {"stem": "", "mlp": "int8"},
    ]


@pytest.mark.parametrize(
    "options",
    [[], [Option("a", -1.0, 0.0)], [Option("a", float("nan"), 0.0)], [Option("a", 0.0, float("nan"))]],
    ids=["none", "negative", "nan-loss", "nan-cost"],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=r"option"):
        front({"g": options})


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 60), st.integers(0, 59))
def test_where_passing_is_monotone_the_cheapest_that_passes_is_found_in_few_trials(count, last):
    last = min(last, count - 1)
    tried = []

    def passes(index):
        tried.append(index)
        return index <= last

    assert last_that_passes(count, passes) == last
    assert len(tried) <= count.bit_length() + 1
    assert 0 not in tried


def test_the_cheapest_is_tried_first():
    tried = []
    assert last_that_passes(9, lambda index: tried.append(index) or True) == 8
    assert tried == [8]


def test_when_time_runs_out_the_best_so_far_is_kept():
    answers = iter([False, True, None])
    assert last_that_passes(9, lambda index: next(answers)) == 4
