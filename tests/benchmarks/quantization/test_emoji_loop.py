"""The training loop step by step, on a net of a few numbers; and what the command refuses before it trains."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edgekit.benchmarks.quantization import emoji, emoji_export, emoji_labels, emoji_training
from edgekit.benchmarks.quantization.emoji_nets import NETS
from edgekit.evaluation.records import Dataset, Item


class Tiny(nn.Module):
    """Colour means through one matrix; keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 4)
        self.seen: list[torch.Tensor] = []
        self.modes: list[bool] = []

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        self.seen.append(planes.detach().clone())
        self.modes.append(self.training)
        rows: torch.Tensor = self.head(planes.mean((2, 3)))
        return rows


@pytest.fixture(name="steps")
def _steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """One second passes between two looks at the clock."""
    clock = iter(range(10_000))
    monkeypatch.setattr(emoji_training.time, "process_time", lambda: next(clock))


def _pixels(n: int) -> torch.Tensor:
    """Pictures of one shade each: ten times their number."""
    return (10 * torch.arange(n, dtype=torch.uint8))[:, None, None, None].expand(n, 3, 4, 4).contiguous()


def _train(net: nn.Module, n: int, seconds: float, *, rate: float = 1e-2, seed: int = 0) -> int:
    targets = torch.arange(n) % 4
    return emoji_training.train(net, _pixels(n), targets, torch.eye(4), rate=rate, seconds=seconds, seed=seed)


@pytest.mark.usefixtures("steps")
def test_every_picture_is_seen_once_before_any_is_seen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emoji_training, "_BATCH", 4)
    monkeypatch.setattr(emoji_training, "augment", lambda planes, generator: planes)
    net = Tiny()
    assert _train(net, 12, 7) == 6
    shades = [[round((float(image[0, 0, 0]) + 1) * 12.75) for image in batch] for batch in net.seen]
    for batches in (shades[:3], shades[3:]):
        assert sorted(shade for batch in batches for shade in batch) == list(range(12))
    assert shades[:3] != shades[3:]


@pytest.mark.usefixtures("steps")
def test_a_set_smaller_than_a_batch_is_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emoji_training, "augment", lambda planes, generator: planes)
    net = Tiny()
    assert _train(net, 5, 4) == 3
    assert {len(batch) for batch in net.seen} == {5}


@pytest.mark.usefixtures("steps")
def test_it_trains_in_training_mode_and_ends_ready() -> None:
    net = Tiny().eval()
    _train(net, 8, 4)
    assert net.modes == [True] * 3
    assert not net.training


@pytest.mark.usefixtures("steps")
def test_the_rate_rises_then_falls_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    real = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW, "step", lambda self: (rates.append(self.param_groups[0]["lr"]), real(self))[1]
    )
    _train(Tiny(), 8, 100, rate=0.5)
    assert len(rates) == 99
    assert rates[0] == pytest.approx(0.5 * 0.01 / 0.05)
    assert rates.index(max(rates)) in (3, 4)  # at a twentieth of the time
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(0.5 * (0.5 + 0.5 * math.cos(math.pi * 0.99)))


@pytest.mark.usefixtures("steps")
def test_labels_are_not_trained_and_the_net_is() -> None:
    net, labels = Tiny(), torch.eye(4)
    before = net.head.weight.detach().clone()
    emoji_training.train(net, _pixels(8), torch.arange(8) % 4, labels, rate=1e-2, seconds=4, seed=0)
    assert torch.equal(labels, torch.eye(4))
    assert not torch.equal(net.head.weight, before)


def test_no_time_is_no_step() -> None:
    net = Tiny()
    before = net.head.weight.detach().clone()
    assert _train(net, 8, 1e-9) == 0
    assert torch.equal(net.head.weight, before)
    assert not net.training


# augmentation


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 6), size=st.integers(4, 20), seed=st.integers(0, 99))
def test_augmentation_keeps_shape_and_range_and_is_decided_by_the_seed(n: int, size: int, seed: int) -> None:
    planes = torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    first, again, other = (
        emoji_training.augment(planes, torch.Generator().manual_seed(of)) for of in (seed, seed, seed + 1)
    )
    assert first.shape == planes.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float(first.max()) <= 1 + 1e-6  # nothing is brighter than the white around
    assert float(first.min()) >= 1 - 2 * 1.15 - 1e-6


def test_what_is_turned_outside_is_white() -> None:
    dark = torch.full((64, 3, 16, 16), -1.0)
    found = emoji_training.augment(dark, torch.Generator().manual_seed(0))
    corners = found[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert float(corners.max()) > 0.5
    assert float(found[:, :, 8, 8].max()) < -0.6


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=8))
def test_planes_are_the_bundles_preprocessing(values: list[int]) -> None:
    spec = emoji_export.image_spec(32)
    found = emoji_training.planes(torch.tensor(values, dtype=torch.uint8))
    wanted = [(value / 255 - spec.mean[0]) / spec.std[0] for value in values]
    assert found.tolist() == pytest.approx(wanted, abs=1e-6)


# labels, nets, and the command


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("dimension", [1, 12])
def test_a_net_has_the_outputs_that_are_asked_for(name: str, dimension: int) -> None:
    chosen = NETS[name]  # type: ignore[index]
    net = chosen.make(dimension).eval()
    with torch.no_grad():
        assert net(torch.zeros(2, 3, chosen.size, chosen.size)).shape == (2, dimension)


def test_the_text_side_asks_for_ids_of_its_own_length(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def embed(encoder: nn.Module, tokenizer: object, labels: list[str], length: int) -> torch.Tensor:
        seen.extend([list(labels), length])
        return torch.tensor([[3.0, 1.0], [1.0, 1.0], [2.0, 4.0]])

    monkeypatch.setattr(emoji_labels.starter_parts, "tokenizer", lambda: type("T", (), {"pad_token_id": 0})())
    monkeypatch.setattr(emoji_labels.starter_parts, "language_model", nn.Identity)
    monkeypatch.setattr(emoji_labels.starter_encoders, "embed", embed)
    side = emoji_labels.text_side(["a", "b", "c"])
    assert seen == [["a", "b", "c"], emoji_labels.CONTEXT_LENGTH]
    wanted = torch.nn.functional.normalize(torch.tensor([[1.0, -1.0], [-1.0, -1.0], [0.0, 2.0]]), dim=-1)
    torch.testing.assert_close(side.rows, wanted)


def test_each_image_has_its_first_text() -> None:
    items = tuple(Item(f"{n}.png", Path(f"{n}.png")) for n in range(3))
    dataset = Dataset("set", "0" * 64, "classification", items, ("cat", "dog"), ((1,), (0,), (1,)))
    assert emoji.right_texts(dataset) == ["dog", "cat", "dog"]


def test_a_folder_that_is_not_there_is_told_before_minutes_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(emoji, "make", lambda *_: pytest.fail("it trained"))
    monkeypatch.setattr(emoji, "open_dataset", lambda *_: pytest.fail("it read the sets"))
    monkeypatch.setattr(sys, "argv", ["emoji", "-o", str(tmp_path / "no" / "a.edge")])
    with pytest.raises(SystemExit) as caught:
        emoji.main()
    assert caught.value.code == 2
    assert f"the folder {tmp_path / 'no'} does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("architecture", "seconds"),
    [("mlp", "1"), ("conv", "soon"), ("conv", "0"), ("conv", "-1"), ("conv", "nan"), ("conv", "inf")],
)
def test_values_that_mean_nothing_are_wrong_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str, seconds: str
) -> None:
    options = ["--architecture", architecture, "--seconds", seconds]
    monkeypatch.setattr(sys, "argv", ["emoji", "-o", str(tmp_path / "a.edge"), *options])
    with pytest.raises(SystemExit) as caught:
        emoji.main()
    assert caught.value.code == 2
