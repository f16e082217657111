from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.digest import weights_sha256
from edgekit.converters.sources import starter_encoders as encoders

PAD = 0


class Language(torch.nn.Module):
    """Looks a vector up for each id; what the mask should hide is far off."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.randn(20, 6, generator=torch.Generator().manual_seed(0)))

    def forward(self, input_ids, attention_mask):
        hidden = self.table[input_ids]
        hidden[attention_mask == 0] = 1e3
        return SimpleNamespace(last_hidden_state=hidden)


class Tokenizer:
    """One id a letter; keeps how it was called."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, texts, *, padding, truncation, max_length, return_tensors):
        assert padding and truncation and return_tensors == "pt"
        self.calls.append(len(texts))
        rows = [[ord(letter) - 96 for letter in text][:max_length] for text in texts]
        longest = max(map(len, rows))
        return {"input_ids": torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])}


@pytest.fixture
def sentences():
    return encoders.SentenceEncoder(Language(), PAD).eval()


def test_an_image_is_the_average_of_class_vectors_weighted_by_probability():
    anchors = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    planes = torch.randn(4, 5, generator=torch.Generator().manual_seed(2))
    found = encoders.ConseImageEncoder(torch.nn.Identity(), anchors)(planes).numpy()
    exponentials = np.exp(planes.numpy())
    expected = exponentials / exponentials.sum(1, keepdims=True) @ anchors.numpy()
    assert np.allclose(found, expected, atol=1e-6)


def test_a_certain_classifier_gives_its_class_vector():
    anchors = torch.eye(3)
    found = encoders.ConseImageEncoder(torch.nn.Identity(), anchors)(torch.tensor([[0.0, 50.0, 0.0]]))
    assert torch.allclose(found, anchors[1:2])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 19), min_size=1, max_size=8), st.integers(0, 5))
def test_a_sentence_is_the_unit_mean_of_its_real_tokens_whatever_the_padding(ids, padding):
    language = Language()
    found = encoders.SentenceEncoder(language, PAD)(torch.tensor([ids + [PAD] * padding])).detach().numpy()[0]
    mean = language.table.detach().numpy()[ids].mean(0)
    assert np.allclose(found, mean / np.linalg.norm(mean), atol=1e-5)


def test_a_text_is_its_sentence_minus_the_mean(sentences):
    mean = torch.arange(6.0)
    ids = torch.tensor([[3, 4, PAD], [5, PAD, PAD]])
    found = encoders.CentredTextEncoder(sentences, mean)(ids)
    assert torch.equal(found, sentences(ids) - mean)


def test_constants_are_weights_and_enter_a_digest(sentences):
    one, other = (encoders.CentredTextEncoder(sentences, torch.full((6,), value)) for value in (0.0, 1.0))
    assert weights_sha256({"text": one}) != weights_sha256({"text": other})


def test_texts_are_embedded_in_batches_and_in_order(sentences):
    texts = [chr(97 + i % 19) * (1 + i % 4) for i in range(120)]
    tokenizer = Tokenizer()
    found = encoders.embed(sentences, tokenizer, texts, 64)
    assert tokenizer.calls == [50, 50, 20]
    each = torch.cat([encoders.embed(sentences, Tokenizer(), [text], 64) for text in texts])
    assert torch.allclose(found, each, atol=1e-6)
    assert not found.requires_grad and not found.is_inference()


def test_long_texts_are_cut(sentences):
    found = encoders.embed(sentences, Tokenizer(), ["abcdef", "abc"], 3)
    assert torch.allclose(found[0], found[1])


@pytest.mark.parametrize("other", [["a cat", "a dot"], ["a dog", "a cat"], ["a cat"], ["a cat", "a dog", ""]])
def test_prompts_give_a_digest_of_their_content_and_order(other):
    def digest(texts):
        return weights_sha256({"prompts": encoders.Prompts(texts)})

    assert digest(["a cat", "a dog"]) == digest(["a cat", "a dog"])
    assert digest(["a cat", "a dog"]) != digest(other)
