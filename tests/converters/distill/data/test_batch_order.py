"""Which image a step uses: every one once in each epoch, the same for any number of processes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.distill.data.order import Order

COUNTS, BATCHES, SEEDS = st.integers(1, 40), st.integers(1, 50), st.integers(0, 2**31)


@given(count=COUNTS, batch=BATCHES, seed=SEEDS)
@settings(deadline=None, max_examples=60)
def test_every_epoch_uses_every_item_once(count, batch, seed):
    order = Order(count, batch, seed, 0)
    turns = [order.turn(step, 0, 1) for step in range(-(-2 * count // batch))]
    indices = np.concatenate([turn.indices for turn in turns])
    epochs = np.concatenate([turn.epochs for turn in turns])
    for epoch in (0, 1):
        assert sorted(indices[epochs == epoch][:count]) == list(range(count))
    assert (epochs == np.arange(len(epochs)) // count).all()
    assert all(len(turn.indices) == batch for turn in turns)


@given(count=COUNTS, batch=BATCHES, seed=SEEDS, step=st.integers(0, 100), world=st.integers(1, 5))
@settings(deadline=None, max_examples=60)
def test_processes_share_the_batch_of_one(count, batch, seed, step, world):
    order = Order(count, batch, seed, 0)
    whole = order.turn(step, 0, 1)
    parts = [order.turn(step, rank, world) for rank in range(world)]
    assert np.concatenate([part.indices for part in parts]).tolist() == whole.indices.tolist()
    assert np.concatenate([part.epochs for part in parts]).tolist() == whole.epochs.tolist()
    assert max(len(part.indices) for part in parts) - min(len(part.indices) for part in parts) <= 1


@given(seed=SEEDS, step=st.integers(0, 200))
@settings(deadline=None, max_examples=30)
def test_a_step_does_not_depend_on_the_steps_before(seed, step):
    walked = Order(17, 5, seed, 0)
    for earlier in range(0, step, 7):
        walked.turn(earlier, 0, 1)
    found, fresh = walked.turn(step, 0, 1), Order(17, 5, seed, 0).turn(step, 0, 1)
    assert found.indices.tolist() == fresh.indices.tolist()


def test_epochs_seeds_and_streams_differ():
    def whole(seed, stream, step):
        return tuple(Order(30, 30, seed, stream).turn(step, 0, 1).indices)

    assert len({whole(0, 0, 0), whole(0, 0, 1), whole(1, 0, 0), whole(0, 1, 0)}) == 4


def test_old_epochs_are_forgotten():
    order = Order(3, 3, 0, 0)
    for step in range(20):
        order.turn(step, 0, 1)
    assert len(order._known) <= 3
