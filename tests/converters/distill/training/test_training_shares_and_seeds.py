"""What processes share: parts of a batch, gathered rows, seeds; the schedule, and what is read ahead and reported."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from distill_material import CLASSES, DIMENSION, LENGTH, PAD, TOKENS, Clusters, make_recipe, make_student
from edgekit.converters.distill.batches import Bank, TextBatch
from edgekit.converters.distill.recipe import Training
from edgekit.converters.distill.training import feed as feeds
from edgekit.converters.distill.training import held_out, normalization, reporting, state
from edgekit.converters.distill.training.choice import PROMPTS_AT_ONCE, WHOLE_BANK, choose, prompts_of, trimmed
from edgekit.converters.distill.training.inputs import touch
from edgekit.converters.distill.training.learner import Learner, mean_of_prompts
from edgekit.converters.distill.training.optimizer import make_optimizer
from edgekit.converters.distill.training.processes import Processes, bounds, share_gradient, sizes
from edgekit.converters.distill.training.schedule import marks_passed, rate_at, share_done, steps_expected
from edgekit.converters.distill.training.step import seed_of
from edgekit.errors import InputError

_SOME = settings(max_examples=25, deadline=None)


class One(Processes):
    """One of several processes; `others` says what each of them sent."""

    def __init__(self, rank=0, world=1, others=None, device="cpu"):
        self.rank, self.world, self.device, self.others = rank, world, torch.device(device), others

    def _gathered(self, own):
        return torch.stack([own if rank == self.rank else self.others[rank](own) for rank in range(self.world)])


class Wires:
    """Processes one after the other that see what the others sent."""

    def __init__(self, parts, counts):
        self.parts, self.counts, self.sent = parts, counts, {}
        for rank in range(len(parts)):
            one = One(rank, len(parts), dict.fromkeys(range(len(parts)), torch.zeros_like))
            one._gathered = lambda own, rank=rank: self._note(rank, own)
            one.gather(parts[rank], counts)

    def _note(self, rank, own):
        self.sent[rank] = own.clone()
        return torch.zeros(len(self.parts), *own.shape)

    def gathered(self, rank):
        others = {r: lambda own, r=r: self.sent[r] for r in self.sent}
        return One(rank, len(self.parts), others).gather(self.parts[rank], self.counts)


@_SOME
@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 4), st.integers(1, 3))
def test_every_process_gathers_the_whole_batch(images, texts, world, width):
    rows = torch.randn(images, width, generator=torch.Generator().manual_seed(0))
    ids = torch.randint(-1, 2**40, (texts,), generator=torch.Generator().manual_seed(1))
    parts = [[rows[slice(*bounds(images, r, world))], ids[slice(*bounds(texts, r, world))]] for r in range(world)]
    wires = Wires(parts, [sizes(images, world), sizes(texts, world)])
    for rank in range(world):
        found_rows, found_ids = wires.gathered(rank) if world > 1 else parts[0]
        assert torch.equal(found_rows, rows)
        assert torch.equal(found_ids, ids)
        assert found_ids.dtype == torch.int64


def test_gathering_nothing():
    assert One(0, 2).gather([], []) == []


def test_one_process_gathers_its_own_objects():
    rows = torch.ones(2, 2, requires_grad=True)
    assert One().gather([rows], [[2]])[0] is rows
    assert One().from_first(b"x") == b"x"
    assert One().everyone(rows).shape == (1, 2, 2)


def test_processes_agree_on_what_the_first_and_any_of_them_say():
    def other(own):
        return torch.tensor([3, 0, 1, 1, 99.0], dtype=own.dtype)

    found = One(0, 2, {1: other}).agree(4, 2, False, False, 1.5)
    assert (found.images, found.texts) == ((4, 3), (2, 0))
    assert (found.stop, found.save, found.cpu_seconds) == (True, False, 1.5)
    assert One().agree(4, 0, True, True, 2.0).stop


@_SOME
@given(st.floats(-1e6, 1e6, width=32), st.integers(1, 64))
def test_sharing_a_gradient_leaves_the_value_exactly(value, world):
    given_ = torch.tensor(value, requires_grad=True)
    shared = share_gradient(given_, world)
    assert shared.item() == given_.item()
    shared.backward()
    assert given_.grad.item() == pytest.approx(1 / world)


def test_seeds_depend_on_each_of_their_parts_and_not_on_their_digits():
    assert seed_of(1, 12, 3) != seed_of(11, 2, 3)
    assert seed_of(1, 2, 34) != seed_of(1, 23, 4)
    assert len({seed_of(0, step, 0) % 2**16 for step in range(200)}) > 190
    torch.manual_seed(seed_of(2**63, 10**9, 10**4))


@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5, 1.0])
def test_the_rate_rises_to_its_peak_and_falls_to_zero(warmup):
    rates = [rate_at(share / 200, 3.0, warmup) for share in range(201)]
    top = max(range(201), key=lambda i: rates[i])
    assert rates[top] == pytest.approx(3.0)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[0] > 0
    assert rates[-1] == pytest.approx(3.0 if warmup == 1 else 0.0)


@_SOME
@given(st.floats(0.01, 0.9), st.floats(0.01, 10), st.floats(0, 1))
def test_the_rate_is_proportional_to_its_peak(warmup, peak, share):
    assert rate_at(share, peak, warmup) == pytest.approx(peak * rate_at(share, 1.0, warmup))
    middle = warmup + (1 - warmup) / 2
    assert rate_at(middle, peak, warmup) == pytest.approx(peak / 2)


def test_no_bound_is_no_progress_and_no_marks_none():
    assert share_done(Training(), 10, 10.0) == 0
    assert marks_passed(1.0, 0) == 0
    assert steps_expected(Training(steps=10, cpu_seconds=5.0), 0, 0.0) == 10


@_SOME
@given(st.integers(1, 300), st.integers(1, 7), st.integers(0, 50))
def test_prompts_take_equal_turns(prompts, rounds, start):
    seen = torch.zeros(prompts, dtype=torch.int64)
    for step in range(start, start + prompts * rounds if prompts <= 40 else start + 40):
        chosen = prompts_of(step, prompts)
        assert len(set(chosen)) == min(prompts, PROMPTS_AT_ONCE)
        seen[chosen] += 1
    if prompts <= 40:
        assert int(seen.min()) == int(seen.max())


@_SOME
@given(st.lists(st.integers(-1, 6), min_size=1, max_size=9))
def test_chosen_texts_are_those_of_the_labels(labels):
    ids = torch.arange(1, 7 * 2 * 3 + 1).reshape(14, 3)
    bank = Bank(tuple("abcdefg"), ids, 2, (torch.eye(7),))
    found = choose(bank, torch.tensor(labels), 0, PAD)
    if max(labels) < 0:
        assert found is None
        return
    assert found.texts.tolist() == sorted({label for label in labels if label >= 0})
    assert [-1 if k < 0 else int(found.texts[k]) for k in found.labels] == labels
    assert torch.equal(found.token_ids, ids.reshape(7, 2, 3)[found.texts])


@pytest.mark.parametrize(("count", "whole"), [(WHOLE_BANK, True), (WHOLE_BANK + 1, False)])
def test_the_largest_bank_that_is_taken_whole(count, whole):
    bank = Bank(("",) * count, None, 1, ())
    assert (choose(bank, torch.tensor([0]), 0, None).texts is None) == whole


def test_trimming_keeps_texts_and_one_column():
    ids = torch.tensor([[[4, PAD, PAD]], [[5, 6, PAD]]])
    assert trimmed(ids, PAD).tolist() == [[[4, PAD]], [[5, 6]]]
    assert trimmed(torch.full((1, 1), PAD), PAD).shape == (1, 1)


def test_the_mean_of_prompts_weighs_each_alike():
    rows = torch.tensor([[100.0, 0.0], [0.0, 0.01]])
    torch.testing.assert_close(mean_of_prompts(rows, 2), torch.full((1, 2), 0.5**0.5))
    torch.testing.assert_close(mean_of_prompts(rows, 1), torch.eye(2))


class Noted(Clusters):
    def __init__(self, **options):
        super().__init__(**options)
        self.asked = []

    def images(self, step, rank, world):
        self.asked.append(step)
        return super().images(step, rank, world)


@pytest.mark.parametrize(("last", "expected"), [(3, [0, 1, 2]), (1, [0]), (None, list(range(7)))], ids=str)
def test_batches_are_read_ahead_up_to_the_last_and_once(last, expected):
    material = Noted(batch=2)
    feed = feeds.Feed(material, One(device="meta"), last, feeds.Texts(None, some_held_out=False))
    try:
        batch = feed.get(0)
    finally:
        feed._pool.shutdown(wait=True)
    assert batch.images.planes.device.type == "meta"
    assert batch.texts is None
    assert sorted(material.asked) == expected


def test_on_a_cpu_nothing_is_read_ahead():
    material = Noted(batch=2, has_texts=True)
    feed = feeds.Feed(material, One(), 9, feeds.Texts(PAD, some_held_out=False))
    assert torch.equal(feed.get(4).images.planes, Clusters(batch=2).images(4, 0, 1).planes)
    assert len(feed.get(5).texts.token_ids) == 2
    assert material.asked == [4, 5]
    feed.close()


def test_a_batch_of_held_out_texts_alone_stays_as_it_is():
    ids = torch.arange(1, 5001).reshape(-1, 1)
    kept = held_out.without_held_out(TextBatch(ids, ()), PAD).token_ids
    held = torch.tensor(sorted(set(ids.flatten().tolist()) - set(kept.flatten().tolist())))[:, None]
    assert 50 < len(held) < 200
    assert torch.equal(held_out.without_held_out(TextBatch(held, ()), PAD).token_ids, held)


def test_two_held_out_texts_are_the_least():
    class Few:
        def __init__(self, ids):
            self.ids = ids

        def texts(self, step, rank, world):
            return TextBatch(self.ids, (self.ids.float(),)) if step == 0 else None

    every = torch.arange(1, 5001).reshape(-1, 1)
    kept = set(held_out.without_held_out(TextBatch(every, ()), PAD).token_ids.flatten().tolist())
    held = torch.tensor([value for value in range(1, 5001) if value not in kept])[:, None]
    assert held_out.held_out(Few(held[:1]), PAD) is None
    assert held_out.held_out(Few(held[:1].repeat(5, 1)), PAD) is None
    found = held_out.held_out(Few(held[:2]), PAD)
    assert (found.images, found.targets, len(found.bank.texts)) == (0, (), 2)


def _learner(**options):
    logits = {"scale_learns": True, "bias_learns": True, **options}
    return Learner(make_student(kept="none"), DIMENSION, Clusters().teachers, 0, **logits)


def test_rows_are_of_unit_length_and_only_what_is_given_is_embedded():
    learner = _learner().eval()
    assert set(learner(None, None, 1, None)) == {"scale", "bias"}
    rows = learner(torch.randn(1, 3, 8, 8), torch.ones(4, LENGTH, dtype=torch.int64), 2, None)
    assert set(rows) == {"scale", "bias", "image", "bank"}
    for name, count in (("image", 1), ("bank", 2)):
        torch.testing.assert_close(rows[name].norm(dim=1), torch.ones(count))


def test_a_teacher_with_a_larger_scale_moves_the_bound():
    teachers = Clusters().teachers
    larger = type(teachers[0])(**{**vars(teachers[0]), "logit_scale": 150.0})
    made = Learner(make_student(), DIMENSION, (larger,), 0, scale_learns=True, bias_learns=False)
    with torch.no_grad():
        made.log_scale.fill_(math.log(1000))
    made.bound()
    assert made.log_scale.exp().item() == pytest.approx(150, rel=1e-4)


def test_touching_gives_every_output_a_gradient_of_zero():
    learner = _learner(bias_learns=False)
    rows = learner(torch.randn(2, 3, 8, 8), None, 1, torch.randint(1, TOKENS, (2, LENGTH)))
    loss = touch(rows["image"].sum(), rows, learner)
    assert loss.item() == pytest.approx(rows["image"].sum().item())
    loss.backward()
    assert float(learner.text.last.weight.grad.abs().max()) == 0
    assert learner.log_scale.grad.item() == 0
    assert learner.bias.grad is None
    assert float(learner.image[5].weight.grad.abs().max()) > 0


def test_nothing_to_touch_is_the_loss_itself():
    loss = torch.tensor(2.0)
    assert touch(loss, {}, _learner()) is loss


def _packed(learner, optimizer):
    return state.pack(state.State("x", step=3, tally={"a": [1.0, 2.0]}), learner, optimizer, None, One())


def test_a_state_comes_back_with_weights_averages_and_moments():
    learner, other = _learner(), _learner()
    optimizer, again = (make_optimizer(one, Training()) for one in (learner, other))
    learner.train()
    learner(torch.randn(4, 3, 8, 8), None, 1, None)["image"].square().sum().backward()
    optimizer.step()
    packed = _packed(learner, optimizer)
    state.restore(packed, other, again, None, One())
    assert all(torch.equal(other.state_dict()[name], value) for name, value in learner.state_dict().items())
    assert float(normalization.averages(other)[0].abs().max()) > 0
    assert len(again.state_dict()["state"]) == len(optimizer.state_dict()["state"])
    read = state.read(packed)
    assert (read.identity, read.step, read.tally) == ("x", 3, {"a": [1.0, 2.0]})


@pytest.mark.parametrize("change", ["another width", "a layer less", "a layer more"])
def test_a_checkpoint_of_another_student_is_refused(change):
    learner = _learner()
    packed = _packed(learner, make_optimizer(learner, Training()))
    if change == "another width":
        learner.image[5] = nn.Linear(8, DIMENSION)
    elif change == "a layer less":
        learner.image[5] = nn.Identity()
    else:
        learner.image.append(nn.Linear(DIMENSION, DIMENSION))
    with pytest.raises(InputError, match=r"checkpoint: does not fit the student: image\..*remove the folder"):
        state.restore(packed, learner, make_optimizer(learner, Training()), None, One())


def test_other_processes_than_before_take_the_mean_of_the_averages():
    learner = _learner()
    packed = _packed(learner, make_optimizer(learner, Training()))
    packed["averages"] = torch.stack([torch.zeros(16), torch.full((16,), 4.0)])
    state.restore(packed, learner, make_optimizer(learner, Training()), None, One())
    assert all(bool((buffer == 2).all()) for buffer in normalization.averages(learner))


def test_the_identity_depends_on_data_and_seed_but_not_on_the_store():
    from dataclasses import replace

    recipe, teachers = make_recipe(), Clusters().teachers
    own = state.identity_of(recipe, teachers)
    for data, same in (({"store": "x"}, True), ({"memory": 1.0}, True), ({"seed": 1}, False), ({"views": 9}, False)):
        assert (state.identity_of(replace(recipe, data=replace(recipe.data, **data)), teachers) == own) == same


def test_reports_come_twice_a_second_and_at_the_end(monkeypatch):
    now, told = [0.0], []
    monkeypatch.setattr(reporting.time, "monotonic", lambda: now[0])
    reporter = reporting.Reporter(Training(steps=8), told.append)
    for step in range(1, 9):
        now[0] += 0.2
        reporter.step(state.State("x", step=step, samples=10 * step), (step - 1) / 8, {"a": float(step)}, 0.5)
    assert [progress.step for progress in told] == [3, 6, 8]
    assert [progress.losses["a"] for progress in told] == [2.0, 5.0, 7.5]
    assert told[1].images_per_second == pytest.approx(50)
    assert told[1].seconds_left == pytest.approx((1 - 5 / 8) / (5 / 8) * 1.2)
    assert (told[0].of, told[0].rate, told[0].evaluation) == (8, 0.5, None)


def test_nobody_listens_in_other_processes():
    reporting.Reporter(Training(steps=1), None).step(SimpleNamespace(), 0.0, {"a": 1.0}, 0.5)


def test_material_is_cut_into_parts_of_the_whole():
    whole = Clusters(batch=7).images(2, 0, 1)
    parts = [Clusters(batch=7).images(2, rank, 3) for rank in range(3)]
    assert torch.equal(torch.cat([part.planes for part in parts]), whole.planes)
    assert [len(part.labels) for part in parts] == sizes(7, 3)
    assert int(whole.labels.max()) < CLASSES
