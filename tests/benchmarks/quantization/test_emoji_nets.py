"""The two networks of the emoji benchmark, and the loop that trains them."""

from __future__ import annotations

import pytest
import torch

from edgekit.benchmarks.quantization import emoji_training
from edgekit.benchmarks.quantization.emoji_nets import NETS, Attention

PARAMETERS = {"conv": 358_392, "vit": 612_824}


def colours(n, size):
    """Pictures of four colours on white, a class each, and unit rows for the classes."""
    generator = torch.Generator().manual_seed(0)
    table = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]], dtype=torch.uint8)
    targets = torch.randint(0, 4, (n,), generator=generator)
    pixels = torch.full((n, 3, size, size), 255, dtype=torch.uint8)
    inner = slice(size // 4, -(size // 4))
    pixels[:, :, inner, inner] = table[targets][:, :, None, None]
    return pixels, targets, torch.eye(4, 16)


@pytest.mark.parametrize("name", NETS)
def test_a_net_maps_planes_to_rows(name):
    net = NETS[name].make(384).eval()
    planes = torch.randn(3, 3, NETS[name].size, NETS[name].size)
    with torch.no_grad():
        rows = net(planes)
        alone = net(planes[1:2])
    assert rows.shape == (3, 384)
    torch.testing.assert_close(rows[1:2], alone, rtol=1e-4, atol=1e-5)
    assert sum(parameter.numel() for parameter in net.parameters()) == PARAMETERS[name]


def test_attention_is_that_of_the_paper():
    attention = Attention(8, 2).eval()
    tokens = torch.randn(2, 5, 8)
    query, key, value = attention.query_key_value(tokens).split(8, -1)
    heads = [part.reshape(2, 5, 2, 4).transpose(1, 2) for part in (query, key, value)]
    expected = torch.nn.functional.scaled_dot_product_attention(*heads).transpose(1, 2).reshape(2, 5, 8)
    torch.testing.assert_close(attention(tokens), attention.project(expected))


def test_training_learns_and_leaves_the_net_ready(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(emoji_training.time, "process_time", lambda: next(clock))
    monkeypatch.setattr(emoji_training, "_BATCH", 32)
    pixels, targets, labels = colours(64, 32)
    torch.manual_seed(0)
    net = NETS["conv"].make(16)
    steps = emoji_training.train(net, pixels, targets, labels, rate=3e-3, seconds=21, seed=0)
    assert steps == 20
    assert not net.training
    with torch.no_grad():
        found = (net(emoji_training.planes(pixels)) @ labels.T).argmax(1)
    assert (found == targets).float().mean() > 0.9


def test_the_same_seed_gives_the_same_net(monkeypatch):
    def trained(seed):
        clock = iter(range(1000))
        monkeypatch.setattr(emoji_training.time, "process_time", lambda: next(clock))
        monkeypatch.setattr(emoji_training, "_BATCH", 16)
        pixels, targets, labels = colours(20, 32)
        torch.manual_seed(1)
        net = NETS["conv"].make(16)
        emoji_training.train(net, pixels, targets, labels, rate=1e-3, seconds=4, seed=seed)
        return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])

    first = trained(0)
    torch.testing.assert_close(first, trained(0))
    assert not torch.allclose(first, trained(1))


def test_pixels_become_planes():
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8)
    torch.testing.assert_close(emoji_training.planes(pixels), torch.tensor([-1.0, -0.6, 1.0]))


def test_white_stays_white_when_augmented():
    generator = torch.Generator().manual_seed(0)
    white = torch.ones(4, 3, 16, 16)
    torch.testing.assert_close(emoji_training.augment(white, generator), white)


def test_augmentation_changes_every_picture_differently():
    generator = torch.Generator().manual_seed(0)
    pixels, _, _ = colours(1, 32)
    planes = emoji_training.planes(pixels).expand(8, -1, -1, -1)
    changed = emoji_training.augment(planes, generator)
    assert changed.shape == planes.shape
    assert len({tuple(image.flatten().tolist()) for image in changed}) == 8
    assert changed.abs().max() < 1.5
