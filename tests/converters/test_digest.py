from __future__ import annotations

import hashlib

import pytest
import torch

from edgekit.converters.digest import weights_sha256


def linear(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return torch.nn.Linear(3, 2).to(dtype)


def test_the_digest_is_of_names_types_shapes_and_values():
    layer = torch.nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0]]))
    expected = hashlib.sha256(b"m/weight|torch.float32|1,2\n" + bytes.fromhex("0000803f00000040")).hexdigest()
    assert weights_sha256({"m": layer}) == expected


def test_equal_weights_give_equal_digests():
    assert weights_sha256({"a": linear(), "b": linear(1)}) == weights_sha256({"b": linear(1), "a": linear()})


@pytest.mark.parametrize(
    "other",
    [
        {"b": linear()},
        {"a": linear(1)},
        {"a": linear(dtype=torch.float64)},
        {"a": linear(), "b": linear()},
        {"a": torch.nn.Sequential(linear())},
    ],
    ids=["name", "value", "type", "one more", "prefix"],
)
def test_any_difference_shows(other):
    assert weights_sha256({"a": linear()}) != weights_sha256(other)


def test_one_changed_weight_shows():
    layer = linear()
    before = weights_sha256({"a": layer})
    with torch.no_grad():
        layer.bias[1] = torch.nextafter(layer.bias[1], torch.tensor(9.0))
    assert weights_sha256({"a": layer}) != before


def test_types_unknown_to_numpy_scalars_and_extra_state():
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("rounded", torch.ones(3, dtype=torch.bfloat16))
            self.register_buffer("scalar", torch.tensor(2.0))
            self.register_buffer("turned", torch.arange(6.0).reshape(2, 3).T)

        def get_extra_state(self):
            return {"anything": 1}

        def set_extra_state(self, state):
            pass

    assert weights_sha256({"m": Odd()}) == weights_sha256({"m": Odd()})
    assert len(weights_sha256({})) == 64
