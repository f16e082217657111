"""Halves of a dual encoder: mask rules, context length and logit terms are found by what the model does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from edgekit.converters.sources import hf_encoders, hf_load, hf_text
from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAD, LENGTH, POSITIONS = 0, 8, 12
IDS = torch.tensor([[5, 6, 7, 3, 0, 0, 0, 0], [5, 3, 0, 0, 0, 0, 0, 0], [5, 6, 7, 8, 9, 4, 6, 3]])


class Toy(nn.Module):
    """A dual encoder whose text half is a masked mean, or reads one position and is blind to the rest."""

    def __init__(self, *, masked: bool = True, first: int = 0, tokens: bool = False, wrapped: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(20, 6)
        self.position = nn.Embedding(POSITIONS, 6)
        self.pixels = nn.Linear(3, 6)
        self.logit_scale = nn.Parameter(torch.tensor(2.0))
        self.masked, self.first, self.tokens, self.wrapped = masked, first, tokens, wrapped
        self.off = 0.0

    def get_image_features(self, pixel_values: torch.Tensor) -> Any:
        return self._answer(self.pixels(pixel_values.mean(dim=(2, 3))))

    def get_text_features(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Any:
        positions = torch.arange(input_ids.shape[1]) + self.first
        x = torch.tanh(self.embed(input_ids) + self.position(positions))
        if self.tokens:
            return self._answer(x)
        if not self.masked:
            return self._answer(x[:, 0])
        keep = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        weight = keep.float().unsqueeze(-1)
        return self._answer((x * weight).sum(1) / weight.sum(1))

    def forward(self, input_ids: torch.Tensor, pixel_values: torch.Tensor, attention_mask: Any = None) -> Any:
        def unit(answer: Any) -> torch.Tensor:
            return nn.functional.normalize(getattr(answer, "pooler_output", answer), dim=-1)

        images = unit(self.get_image_features(pixel_values))
        texts = unit(self.get_text_features(input_ids, attention_mask))
        return SimpleNamespace(logits_per_image=images @ texts.T * self.logit_scale.exp() + self.off)

    def _answer(self, features: torch.Tensor) -> Any:
        return SimpleNamespace(pooler_output=features) if self.wrapped else features


def tokenized(mask: torch.Tensor | None) -> dict[str, torch.Tensor]:
    return {"input_ids": IDS} | ({} if mask is None else {"attention_mask": mask})


@pytest.mark.parametrize("wrapped", [True, False])
def test_padding_mask(wrapped: bool) -> None:
    """Features come as a tensor from some releases of transformers and inside an object from others."""
    mask = (IDS != PAD).long()
    model = Toy(wrapped=wrapped).eval()
    encoder = hf_encoders.text_encoder(model, PAD, tokenized(mask))
    assert encoder.mask_rule == "not_pad"
    own = model.get_text_features(IDS, mask)
    assert torch.allclose(encoder(IDS.int()), own.pooler_output if wrapped else own)


def test_padding_that_is_also_the_end_of_text() -> None:
    ids = IDS.clone()
    ids[ids == PAD] = 3
    mask = (IDS != PAD).long()
    encoder = hf_encoders.text_encoder(Toy().eval(), 3, {"input_ids": ids, "attention_mask": mask})
    assert encoder.mask_rule == "to_first_pad"


def test_no_mask_where_the_model_does_not_care() -> None:
    encoder = hf_encoders.text_encoder(Toy(masked=False).eval(), PAD, tokenized((IDS != PAD).long()))
    assert encoder.mask_rule == "none"


def test_no_mask_where_the_tokenizer_gives_none() -> None:
    assert hf_encoders.text_encoder(Toy().eval(), PAD, tokenized(None)).mask_rule == "none"


def test_mask_that_does_not_follow_from_the_ids() -> None:
    mask = torch.tensor([[1, 0, 1, 0, 1, 0, 1, 0]] * 3)
    with pytest.raises(UnsupportedModelError, match="does not follow from the token ids"):
        hf_encoders.text_encoder(Toy().eval(), PAD, tokenized(mask))


def test_vector_per_token_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="one vector per token"):
        hf_encoders.text_encoder(Toy(tokens=True).eval(), PAD, tokenized(None))


@pytest.mark.parametrize(
    ("first", "pad", "stated", "expected"), [(0, 0, 12, 12), (0, 0, 8, 8), (2, 1, 12, 10), (1, 0, 12, 11)]
)
def test_positions_left_out_by_the_numbering(first: int, pad: int, stated: int, expected: int) -> None:
    assert hf_encoders.longest_context(Toy(first=first), stated, pad) == expected


def test_length_the_model_does_not_encode() -> None:
    with pytest.raises(UnsupportedModelError, match="100 tokens"):
        hf_encoders.longest_context(Toy(), 100, PAD)


def test_logit_scale() -> None:
    scale, bias, scores = hf_encoders.logit_terms(Toy())
    assert (scale, bias, scores) == (pytest.approx(7.389056), 0.0, "softmax")


def test_logit_bias_means_sigmoid() -> None:
    model = Toy()
    model.logit_bias = nn.Parameter(torch.tensor([-10.0]))
    assert hf_encoders.logit_terms(model)[1:] == (-10.0, "sigmoid")


def test_temperature_is_a_divisor() -> None:
    model = Toy()
    del model.logit_scale
    model.temperature = nn.Parameter(torch.tensor(0.25))
    assert hf_encoders.logit_terms(model) == (4.0, 0.0, "softmax")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("logit_scale", [1.0, 2.0], r"Toy: logit_scale gives of shape \(2,\); one finite number"),
        ("logit_scale", float("nan"), "Toy: logit_scale gives nan"),
        ("logit_scale", 1e4, "Toy: logit_scale gives inf"),  # exp() of it is no number
        ("temperature", 0.0, "Toy: temperature gives inf"),
        ("logit_bias", [[1.0, 2.0]], r"Toy: logit_bias gives of shape \(1, 2\)"),
        ("logit_bias", float("-inf"), "Toy: logit_bias gives -inf"),
    ],
)
def test_a_term_that_is_no_number_is_told(name: str, value: Any, told: str) -> None:
    toy = Toy()
    if name == "temperature":
        del toy.logit_scale
    setattr(toy, name, nn.Parameter(torch.tensor(value)))
    with pytest.raises(UnsupportedModelError, match=told):
        hf_encoders.logit_terms(toy)


def test_a_term_in_a_list_of_one_is_a_number() -> None:
    toy = Toy()
    toy.logit_scale, toy.logit_bias = nn.Parameter(torch.tensor([3.0])), nn.Parameter(torch.tensor([[-2.0]]))
    assert hf_encoders.logit_terms(toy) == (pytest.approx(20.085536923), -2.0, "sigmoid")


def test_damaged_weights_do_not_pass_as_equal_logits() -> None:
    """NaN differs from everything and is larger than nothing."""
    toy = Toy()
    with torch.no_grad():
        toy.pixels.weight[0, 0] = float("nan")
    text = hf_encoders.TextEncoder(toy, PAD, "not_pad")
    tokenized = {"input_ids": IDS, "attention_mask": (IDS != PAD).long()}
    with pytest.raises(UnsupportedModelError, match="largest error nan"):
        hf_encoders.check_logits(toy, hf_encoders.ImageEncoder(toy), text, tokenized, torch.rand(2, 3, 4, 4))


def test_neither_scale_nor_temperature() -> None:
    model = Toy()
    del model.logit_scale
    with pytest.raises(UnsupportedModelError, match="neither logit_scale nor temperature"):
        hf_encoders.logit_terms(model)


def check(model: Toy) -> int:
    model.eval()
    probe = tokenized((IDS != PAD).long())
    encoder = hf_encoders.text_encoder(model, PAD, probe)
    pixels = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return hf_encoders.check_logits(model, hf_encoders.ImageEncoder(model), encoder, probe, pixels)


def test_dimension() -> None:
    assert check(Toy()) == 6


def test_logits_with_a_hidden_term_are_noticed() -> None:
    model = Toy()
    model.off = 0.5
    with pytest.raises(UnsupportedModelError, match=r"largest error 0\.5"):
        check(model)


def test_halves_of_different_length() -> None:
    model = Toy()
    model.pixels = nn.Linear(3, 5)
    with pytest.raises(UnsupportedModelError, match="do not share one space"):
        check(model)


def test_model_without_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "forward", lambda *_, **__: SimpleNamespace())
    with pytest.raises(UnsupportedModelError, match="logits_per_image"):
        check(Toy())


def test_context_of_a_limitless_checkpoint() -> None:
    model = Toy()
    model.config = SimpleNamespace()
    tokenizer = SimpleNamespace(model_max_length=10**30, pad_token_id=0)
    with pytest.raises(UnsupportedModelError, match="model_max_length"):
        hf_text.context_length(model, None, tokenizer)


@pytest.mark.parametrize(
    ("padded", "limit", "positions", "expected"),
    [(None, 10, 12, 10), (None, 10**30, 12, 12), (6, 10, 12, 6), (None, 10, None, 10), (64, 100, 12, 12)],
)
def test_context_is_the_smallest_limit(padded: int | None, limit: int, positions: int | None, expected: int) -> None:
    model = Toy()
    model.config = SimpleNamespace(text_config=SimpleNamespace(max_position_embeddings=positions))
    tokenizer = SimpleNamespace(model_max_length=limit, pad_token_id=0)
    assert hf_text.context_length(model, padded, tokenizer) == expected


def test_probe_pads_and_truncates(checkpoint: Callable[[str], Path]) -> None:
    tokenizer = hf_load.tokenizer(checkpoint("chinese_clip"))
    tokens = hf_text.probe(tokenizer, 16)
    kept = tokens["attention_mask"].sum(dim=1).tolist()
    assert tokens["input_ids"].shape == (3, 16)
    assert kept == sorted(kept)
    assert kept[0] < kept[1] < kept[2] == 16


def test_processor_that_pads_by_itself(checkpoint: Callable[[str], Path]) -> None:
    library = hf_load.transformers()
    found = {}
    for family in ("align", "clip"):
        folder = checkpoint(family)
        parts = hf_load.image_processor(folder), hf_load.tokenizer(folder)
        class_ = hf_load.processor_class(library, hf_load.dual_encoder(folder))
        found[family] = hf_text.padded_length(class_, *parts)
    assert found == {"align": 64, "clip": None}
    assert hf_text.padded_length(None, *parts) is None


def test_processor_for_other_parts_has_no_say(checkpoint: Callable[[str], Path]) -> None:
    class Other:
        def __init__(self, image_processor: Any, tokenizer: Any, feature_extractor: Any) -> None: ...

    tokenizer = hf_load.tokenizer(checkpoint("clip"))
    assert hf_text.padded_length(Other, None, tokenizer) is None


def test_bias_is_asked_of_the_architecture(checkpoint: Callable[[str], Path]) -> None:
    assert hf_load.has_logit_bias(checkpoint("siglip"))
    assert not hf_load.has_logit_bias(checkpoint("clip"))
