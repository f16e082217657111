"""The order of samples: every one in turn, in another order each time, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.benchmarks.scenarios.order import Order
from edgekit.errors import InputError

SAMPLES, BATCHES = st.integers(1, 40), st.integers(1, 20)


@given(SAMPLES, BATCHES, st.integers(0, 2**32), st.integers(0, 10**6))
def test_a_query_has_its_batch_of_samples_that_exist(samples, batch, seed, number):
    taken = Order(samples, batch, seed).take(number)
    assert len(taken) == batch
    assert all(type(index) is int and 0 <= index < samples for index in taken)


@given(SAMPLES, st.integers(0, 99))
def test_each_sample_comes_once_before_any_comes_again(samples, seed):
    order = Order(samples, 1, seed)
    drawn = [order.take(number)[0] for number in range(samples * 5)]
    for start in range(0, len(drawn), samples):
        assert sorted(drawn[start : start + samples]) == list(range(samples))


@given(st.integers(1, 12), BATCHES)
def test_batches_cut_the_same_sequence(samples, batch):
    single, batched = Order(samples, 1, 3), Order(samples, batch, 3)
    flat = [index for number in range(30) for index in batched.take(number)]
    assert flat == [single.take(number)[0] for number in range(30 * batch)]


def test_the_order_changes_from_turn_to_turn_and_with_the_seed():
    order = Order(50, 50, 0)
    assert order.take(0) != order.take(1)
    assert order.take(0) != Order(50, 50, 1).take(0)
    assert order.take(0) == Order(50, 50, 0).take(0)


def test_long_runs_use_every_sample_alike():
    order = Order(7, 3, 0)
    counts = Counter(index for number in range(70_000) for index in order.take(number))
    assert set(counts) == set(range(7))
    assert max(counts.values()) / min(counts.values()) < 1.01


@pytest.mark.parametrize(("samples", "batch", "said"), [(0, 1, "no samples"), (3, 0, "batch is 0")])
def test_nothing_to_order_is_refused(samples, batch, said):
    with pytest.raises(InputError, match=said):
        Order(samples, batch, 0)
