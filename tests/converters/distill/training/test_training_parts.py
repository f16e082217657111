from __future__ import annotations

import os
import signal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from distill_material import PAD, Clusters, make_recipe, make_student
from edgekit.converters.distill.batches import Bank, TextBatch
from edgekit.converters.distill.recipe import Training
from edgekit.converters.distill.training import held_out, inputs, normalization
from edgekit.converters.distill.training.choice import choose, prompts_of, trimmed
from edgekit.converters.distill.training.interrupts import stop_requests
from edgekit.converters.distill.training.learner import Learner, mean_of_prompts
from edgekit.converters.distill.training.optimizer import make_optimizer, set_rate
from edgekit.converters.distill.training.processes import Processes, bounds, share_gradient, sizes
from edgekit.converters.distill.training.state import identity_of
from edgekit.converters.distill.training.step import seed_of
from edgekit.errors import InputError


def make_bank(count=5, prompts=1, *, ids=True):
    token_ids = torch.arange(1, count * prompts * 3 + 1).reshape(count * prompts, 3) if ids else None
    return Bank(tuple(map(str, range(count))), token_ids, prompts, (torch.eye(count),))


def test_a_kept_text_tower_takes_the_whole_bank():
    labels = torch.tensor([3, -1])
    found = choose(make_bank(ids=False), labels, 0, None)
    assert found.texts is None
    assert found.token_ids is None
    assert found.labels.tolist() == [3, -1]


def test_a_large_bank_is_cut_down():
    found = choose(make_bank(5000, ids=False), torch.tensor([4000, -1, 7, 4000]), 0, None)
    assert found.texts.tolist() == [7, 4000]
    assert found.labels.tolist() == [1, -1, 0, 1]
    assert found.token_ids is None


def test_a_learning_text_tower_gets_the_ids_of_the_batch():
    found = choose(make_bank(prompts=2), torch.tensor([4, 1, -1]), 0, PAD)
    assert found.texts.tolist() == [1, 4]
    assert found.labels.tolist() == [1, 0, -1]
    assert found.token_ids.tolist() == [[[7, 8, 9], [10, 11, 12]], [[25, 26, 27], [28, 29, 30]]]


@pytest.mark.parametrize("bank", [make_bank(0), make_bank()], ids=["no bank", "no labels"])
def test_no_texts(bank):
    assert choose(bank, torch.tensor([-1, -1]), 0, PAD) is None


def test_many_prompts_take_turns():
    assert prompts_of(7, 4) == [0, 1, 2, 3]
    turns = [prompts_of(step, 6) for step in range(3)]
    assert turns == [[0, 1, 2, 3], [4, 5, 0, 1], [2, 3, 4, 5]]


def test_trimming_leaves_inner_padding():
    assert trimmed(torch.tensor([[5, 0, 6, 0], [1, 0, 0, 0]]), 0).tolist() == [[5, 0, 6], [1, 0, 0]]
    assert trimmed(torch.zeros(2, 4, dtype=torch.int64), 0).tolist() == [[0], [0]]


def test_mean_of_prompts_is_the_sdks():
    rows = torch.tensor([[2.0, 0], [0, 5], [3, 0], [3, 0]])
    assert torch.allclose(mean_of_prompts(rows, 2), torch.tensor([[0.5**0.5] * 2, [1, 0]]))


def test_decay_is_for_matrices_only():
    module = nn.ModuleDict(
        {"table": nn.Embedding(4, 3), "norm": nn.LayerNorm(3), "conv": nn.Conv2d(1, 2, 3), "last": nn.Linear(3, 2)}
    )
    module.scale = nn.Parameter(torch.tensor(1.0))
    module["last"].bias.requires_grad_(False)
    made = make_optimizer(module, Training(steps=1, decay=0.3))
    decayed, others = made.param_groups
    assert {tuple(p.shape) for p in decayed["params"]} == {(2, 1, 3, 3), (2, 3)}
    assert decayed["weight_decay"] == 0.3
    assert {tuple(p.shape) for p in others["params"]} == {(), (4, 3), (3,), (2,)}
    assert len(others["params"]) == 5
    assert others["weight_decay"] == 0
    set_rate(made, 0.125)
    assert [group["lr"] for group in made.param_groups] == [0.125, 0.125]


@given(count=st.integers(0, 100), world=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_shares_are_the_whole_and_even(count, world):
    ranges = [bounds(count, rank, world) for rank in range(world)]
    assert [place for start, stop in ranges for place in range(start, stop)] == list(range(count))
    assert sizes(count, world) == [stop - start for start, stop in ranges]
    assert max(sizes(count, world)) - min(sizes(count, world)) <= 1


def test_a_shared_gradient_keeps_the_value():
    value = torch.tensor(17.3, requires_grad=True)
    used = share_gradient(value, 4)
    used.backward()
    assert used.item() == value.item()
    assert value.grad.item() == 0.25


class Fake(Processes):
    """The first of two processes, the other having sent `other`, padded to the length of what this one sends."""

    def __init__(self, other):
        self.rank, self.world, self.device, self.other = 0, 2, torch.device("cpu"), other

    def _gathered(self, own):
        padded = own.new_zeros(own.shape)
        padded[: len(self.other)] = self.other
        return torch.stack([own, padded])


def test_gathering_keeps_integers_and_the_own_gradient():
    theirs = torch.cat([torch.full((2,), 7.0), torch.tensor([-1, 2**40 + 1]).view(torch.float32)])
    mine = torch.ones(2, 1, requires_grad=True)
    rows, labels = Fake(theirs).gather([mine, torch.tensor([5, -1])], [[2, 2], [2, 2]])
    assert rows.flatten().tolist() == [1, 1, 7, 7]
    assert labels.tolist() == [5, -1, -1, 2**40 + 1]
    (rows * torch.arange(4.0)[:, None]).sum().backward()
    assert mine.grad.flatten().tolist() == [0, 1]


def test_gathering_parts_of_different_sizes():
    rows, bank = Fake(torch.arange(6.0)).gather([torch.ones(3, 2), torch.zeros(0, 4)], [[3, 1], [0, 1]])
    assert rows.tolist() == [[1, 1]] * 3 + [[0, 1]]
    assert bank.tolist() == [[2, 3, 4, 5]]


def test_running_averages_are_those_of_all_processes():
    norm = nn.BatchNorm1d(2)
    norm.running_mean.copy_(torch.tensor([1.0, 2.0]))
    fake = Fake(torch.tensor([3.0, 4.0, 5.0, 1.0]))
    with normalization.as_delivered(norm, fake):
        assert not norm.training
        assert norm.running_mean.tolist() == [2, 3]
        assert norm.running_var.tolist() == [3, 1]
    assert norm.training
    assert norm.running_mean.tolist() == [1, 2]
    assert norm.running_var.tolist() == [1, 1]


def test_frozen_parts_run_as_at_inference():
    module = nn.Sequential(nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)), nn.BatchNorm2d(2), nn.Dropout())
    module[0].requires_grad_(False)
    normalization.set_training(module)
    assert [part.training for part in (module[0], module[0][1], module[1], module[2])] == [False, False, True, True]


def test_seeds_differ_and_stay():
    seeds = {seed_of(seed, step, rank) for seed in range(3) for step in range(20) for rank in range(4)}
    assert len(seeds) == 240
    assert seed_of(1, 2, 3) == seed_of(1, 2, 3)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_identity_ignores_what_changes_nothing():
    teachers, recipe = Clusters().teachers, make_recipe()
    assert identity_of(recipe, teachers) == identity_of(make_recipe(checkpoint=3.0), teachers)
    assert identity_of(recipe, teachers) != identity_of(make_recipe(rate=0.5), teachers)
    assert identity_of(recipe, teachers) != identity_of(recipe, Clusters(dimensions=(6, 7)).teachers)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [("feature", (False, False)), ("labels", (True, False)), ("sigmoid", (True, True))],
    ids=["feature", "labels", "sigmoid"],
)
def test_which_logits_learn(loss, expected):
    recipe = make_recipe(losses={loss: 1.0})
    assert inputs.uses(recipe, 6, Clusters().teachers, labelled=True) == expected


def test_losses_that_never_apply_are_refused():
    with pytest.raises(InputError, match="none of labels applies"):
        inputs.uses(make_recipe(losses={"labels": 1.0}), 6, Clusters().teachers, labelled=False)


def learner(**options):
    settings = {"scale_learns": True, "bias_learns": True, **options}
    return Learner(make_student(kept="none", dimension=4), 4, Clusters(dimensions=(6, 4)).teachers, 0, **settings)


def test_the_logits_begin_as_the_teachers():
    made = learner()
    rows = made(torch.zeros(2, 3, 8, 8), torch.ones(6, 5, dtype=torch.int64), 3, torch.ones(4, 5, dtype=torch.int64))
    assert rows["scale"].item() == pytest.approx(20)
    assert rows["bias"].item() == -2
    assert {name: tuple(value.shape) for name, value in rows.items() if value.ndim} == {
        "image": (2, 4), "bank": (2, 4), "text": (4, 4), "image_map_0": (2, 6), "text_map_0": (4, 6),
    }  # fmt: skip


def test_the_scale_is_bounded():
    made = learner()
    with torch.no_grad():
        made.log_scale.fill_(9.0)
    made.bound()
    assert made.log_scale.exp().item() == pytest.approx(100)


def test_maps_begin_alike_and_leave_the_generator_alone():
    before = torch.get_rng_state()
    first, second = learner(), learner()
    torch.set_rng_state(before)
    assert torch.equal(first.maps["image_map_0"].weight, second.maps["image_map_0"].weight)


def test_held_out_texts_are_never_trained_on():
    draw = torch.Generator().manual_seed(0)
    every = torch.randint(1, 500, (3000, 6), generator=draw)

    class Texts:
        def texts(self, step, rank, world):
            start = step * 100 % 3000
            return TextBatch(every[start : start + 100], (every[start : start + 100].float(),))

    found = held_out.held_out(Texts(), PAD)
    held = {tuple(ids) for ids in found.bank.token_ids.tolist()}
    assert 30 < len(held) < 100
    assert len(held) == len(found.bank.token_ids) == len(found.bank.texts)
    assert torch.equal(found.bank.rows[0], found.bank.token_ids.float())
    left = [held_out.without_held_out(Texts().texts(step, 0, 1), PAD) for step in range(30)]
    trained = {tuple(ids) for batch in left for ids in batch.token_ids.tolist()}
    assert not trained & held
    assert trained | held == {tuple(ids) for ids in every.tolist()}
    assert all(len(batch.rows[0]) == len(batch.token_ids) for batch in left)


def test_padding_does_not_change_what_is_held_out():
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 500, (1000, 4), generator=draw)
    wide = nn.functional.pad(ids, (0, 3))
    kept = held_out.without_held_out(TextBatch(ids, ()), PAD).token_ids
    assert torch.equal(held_out.without_held_out(TextBatch(wide, ()), PAD).token_ids[:, :4], kept)
    assert len(kept) < 1000


def test_the_first_signal_is_a_request_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
        assert signal.getsignal(signal.SIGTERM) == before
    with stop_requests() as asked:
        assert not asked()
        assert signal.getsignal(signal.SIGINT) != signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_float16_needs_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="float16 needs a GPU"):
        Processes("float16")
