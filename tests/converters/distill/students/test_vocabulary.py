"""Smaller tokenizers against the original one."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from edgekit.converters.distill.students import vocabulary
from edgekit.converters.quantize.methods import token_closure
from edgekit.errors import InputError, UnsupportedModelError

_CORPUS = [
    "a photo of a red cat sitting on a wooden chair",
    "two bananas and an apple lying beside the old chair",
    "the bananas of the sitting cats are redder than apples",
    "a woodland walk with the cat, the dog and the doghouse",
    "ein Haus am See, früh morgens, mit Bäumen und Vögeln",
    "猫 и кошка",
] * 4
_USED = ["a photo of a red cat", "two bananas on a chair", "the cat sitting on the chair", "the cat"]
_WORDS = sorted({word for text in _CORPUS for word in text.replace(",", "").split()})
_LENGTH = 24


def _finished(tokenizer, trainer, pad, ends):
    tokenizer.train_from_iterator(_CORPUS, trainer)
    first, last = ends
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(token, tokenizer.token_to_id(token)) for token in ends]
    )
    tokenizer.enable_truncation(_LENGTH)
    tokenizer.enable_padding(length=_LENGTH, pad_id=tokenizer.token_to_id(pad), pad_token=pad)
    return tokenizer.to_str(), tokenizer.token_to_id(pad)


def _word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    alphabet = [chr(code) for code in range(97, 123)]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    return _finished(tokenizer, trainer, "[PAD]", ("[CLS]", "[SEP]"))


def _bpe():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    special = ["<pad>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    return _finished(tokenizer, trainer, "<pad>", ("<s>", "</s>"))


def _unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>", "<s>"]
    trainer = trainers.UnigramTrainer(vocab_size=220, special_tokens=special, unk_token="<unk>", show_progress=False)
    return _finished(tokenizer, trainer, "<pad>", ("<s>", "</s>"))


_MARKS = {"WordPiece": "", "BPE": "Ġ", "Unigram": "▁"}
_MAKERS = {"WordPiece": _word_piece, "BPE": _bpe, "Unigram": _unigram}


@functools.cache
def _original(kind):
    return _MAKERS[kind]()


@functools.cache
def _reduced(kind, size=0):
    return vocabulary.reduce(*_original(kind), _USED, size)


def _least(kind):
    with pytest.raises(InputError, match="fewer than the") as caught:
        _reduced(kind, 1)
    return int(str(caught.value).split("fewer than the ")[1].split()[0])


@pytest.mark.parametrize("kind", _MAKERS)
def test_the_texts_have_the_same_tokens_renumbered(kind):
    original, reduced = Tokenizer.from_str(_original(kind)[0]), _reduced(kind)
    for text in _USED:
        before, after = original.encode(text), Tokenizer.from_str(reduced.tokenizer_json).encode(text)
        assert [reduced.kept[i] for i in after.ids] == before.ids
        assert after.tokens == before.tokens


@pytest.mark.parametrize("kind", _MAKERS)
@settings(deadline=None, max_examples=40)
@given(words=st.lists(st.sampled_from(_WORDS), max_size=8), share=st.floats(0, 1))
def test_texts_made_of_kept_tokens_stay_the_same_whatever_the_size(kind, words, share):
    text = " ".join(words)
    everything = len(_reduced(kind).kept)
    least = _least(kind)
    reduced = _reduced(kind, least + round(share * (everything - least)))
    original, smaller = Tokenizer.from_str(_original(kind)[0]), Tokenizer.from_str(reduced.tokenizer_json)
    before, after = original.encode(text), smaller.encode(text)
    if set(before.ids) <= set(reduced.kept):
        assert [reduced.kept[i] for i in after.ids] == before.ids
    unknown = smaller.token_to_id("[UNK]")
    if text.isascii() and unknown is not None:
        assert unknown not in after.ids  # smaller pieces, never nothing


@pytest.mark.parametrize("kind", _MAKERS)
def test_the_size_is_kept_and_the_most_used_tokens_win(kind):
    everything, least = _reduced(kind), _least(kind)
    for size in range(least, len(everything.kept) + 1):
        reduced = _reduced(kind, size)
        assert len(reduced.kept) <= size
        assert set(reduced.kept) <= set(everything.kept)
        assert list(reduced.kept) == sorted(set(reduced.kept))
    assert _reduced(kind, 10**6).kept == everything.kept
    sizes = range(least, len(everything.kept) + 1)
    often, rare = (
        next(size for size in sizes if _holds(_reduced(kind, size), f"{_MARKS[kind]}{word}")) for word in ("cat", "red")
    )
    assert often < rare


def _holds(reduced, name):
    return Tokenizer.from_str(reduced.tokenizer_json).token_to_id(name) is not None


@pytest.mark.parametrize("kind", _MAKERS)
def test_padding_truncation_and_special_tokens_stay(kind):
    (json_text, pad_id), reduced = _original(kind), _reduced(kind)
    before, after = json.loads(json_text), json.loads(reduced.tokenizer_json)
    assert reduced.kept[reduced.pad_id] == pad_id
    assert after["padding"] == {**before["padding"], "pad_id": reduced.pad_id}
    assert after["truncation"] == before["truncation"]
    assert [entry["content"] for entry in after["added_tokens"]] == [e["content"] for e in before["added_tokens"]]
    encoded = Tokenizer.from_str(reduced.tokenizer_json).encode("a cat " * 40)
    assert len(encoded.ids) == _LENGTH


@pytest.mark.parametrize("kind", _MAKERS)
def test_counts_are_those_of_the_new_tokens(kind):
    reduced = _reduced(kind, _least(kind) + 3)
    tokenizer = Tokenizer.from_str(reduced.tokenizer_json)
    tokenizer.no_padding()
    expected = np.bincount([i for text in _USED for i in tokenizer.encode(text).ids], minlength=len(reduced.kept))
    np.testing.assert_array_equal(reduced.counts, expected)
    assert reduced.counts.dtype == np.int64
    assert reduced.counts[reduced.pad_id] == 0


def test_word_piece_forgets_characters_that_no_text_has_but_never_ascii():
    original, reduced = Tokenizer.from_str(_original("WordPiece")[0]), _reduced("WordPiece")
    smaller = Tokenizer.from_str(reduced.tokenizer_json)
    assert original.encode("猫").tokens[1] == "猫"
    assert smaller.encode("猫").tokens[1] == "[UNK]"
    assert smaller.encode("q").tokens[1] == "q"
    assert _holds(vocabulary.reduce(*_original("WordPiece"), ["猫"], 0), "猫")


def test_bytes_stay_so_that_every_text_can_be_written():
    smaller = Tokenizer.from_str(_reduced("BPE").tokenizer_json)
    tokens = [token for token in smaller.encode("猫!").tokens if token not in ("<s>", "</s>", "<pad>")]
    assert len(tokens) >= 4


def test_texts_are_cleaned_first():
    plain = vocabulary.reduce(*_original("BPE"), ["CAT"], 0)
    lower = vocabulary.reduce(*_original("BPE"), ["CAT"], 0, cleaning="lower")
    assert _holds(lower, "Ġcat")
    assert not _holds(plain, "Ġcat")


def test_the_reduction_is_deterministic():
    assert vocabulary.reduce(*_original("WordPiece"), _USED, 60).kept == _reduced("WordPiece", 60).kept


def test_what_cannot_be_reduced_is_refused():
    with pytest.raises(InputError, match=r"data\.texts"):
        vocabulary.reduce(*_original("BPE"), [], 0)
    with pytest.raises(UnsupportedModelError, match="padding id 99999"):
        vocabulary.reduce(_original("BPE")[0], 99999, _USED, 0)
    words = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")).to_str()
    with pytest.raises(UnsupportedModelError, match="WordLevel"):
        vocabulary.reduce(words, 0, _USED, 0)
    with pytest.raises(UnsupportedModelError, match="not JSON"):
        vocabulary.reduce("{", 0, _USED, 0)


def test_everything_kept_is_what_the_closure_asks_for():
    (json_text, _), reduced = _original("BPE"), _reduced("BPE")
    model = json.loads(json_text)["model"]
    names = {i: token for token, i in token_closure.vocabulary(model).items()}
    kept = {names[i] for i in reduced.kept if i in names}
    assert token_closure.closure(model, kept) == kept
