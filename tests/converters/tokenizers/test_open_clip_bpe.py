from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from edgekit.bundle.manifest import TextSpec
from edgekit.converters.tokenizers.cleanings import cleaning_name
from edgekit.converters.tokenizers.open_clip_bpe import pipeline_from_simple_tokenizer
from edgekit.errors import UnsupportedModelError
from edgekit.text.encoder import TextEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgekit.converters.records import TextPipeline

_CLEANINGS = ("lower", "whitespace", "canonicalize")
_made: dict[str, tuple[TextPipeline, TextEncoder]] = {}


def _pipeline(cleaning: str) -> tuple[TextPipeline, TextEncoder]:
    if cleaning not in _made:
        pipeline = pipeline_from_simple_tokenizer(SimpleTokenizer(clean=cleaning))
        spec = TextSpec("text/tokenizer.json", pipeline.context_length, pipeline.pad_id, pipeline.cleaning, True, ())
        _made[cleaning] = pipeline, TextEncoder(pipeline.tokenizer_json, spec)
    return _made[cleaning]


@pytest.mark.parametrize("cleaning", _CLEANINGS)
def test_ids_are_open_clip_s_on_the_corpus(
    cleaning: str, texts: list[str], differing: Callable[[TextPipeline, Sequence[str]], list[str]]
) -> None:
    assert differing(_pipeline(cleaning)[0], texts) == []


def test_ids_are_open_clip_s_on_very_long_texts(
    long_texts: list[str], differing: Callable[[TextPipeline, Sequence[str]], list[str]]
) -> None:
    assert differing(_pipeline("lower")[0], long_texts) == []


_ANY = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
_TRICKY = st.lists(
    st.sampled_from(
        [
            "<start_of_text>",
            "<end_of_text>",
            "<END_of_text>",
            "<",
            ">",
            "!",
            "'s",
            "'S",
            "'ſ",
            "'Ll",
            "a",
            " ",
            "7",
            "é",
        ]
    ),
    max_size=8,
).map("".join)


@pytest.mark.parametrize("cleaning", _CLEANINGS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=_ANY | _TRICKY)
def test_ids_are_open_clip_s_on_any_text(cleaning: str, text: str) -> None:
    pipeline, encoder = _pipeline(cleaning)
    np.testing.assert_array_equal(encoder.encode([text]), pipeline.reference([text]))


@pytest.mark.parametrize("length", [2, 7, 248])
def test_other_context_lengths_keep_the_end_of_text(length: int) -> None:
    tokenizer = SimpleTokenizer(context_length=length)
    pipeline = pipeline_from_simple_tokenizer(tokenizer)
    spec = TextSpec("t", length, 0, "lower", True, ())
    ids = TextEncoder(pipeline.tokenizer_json, spec).encode(["", "a cat", "word " * 300])
    np.testing.assert_array_equal(ids, tokenizer(["", "a cat", "word " * 300]).numpy())
    assert ids.shape == (3, length)
    assert ids[2, -1] == tokenizer.eot_token_id


def test_a_context_length_may_be_given() -> None:
    pipeline = pipeline_from_simple_tokenizer(SimpleTokenizer(context_length=None), 16)
    assert pipeline.context_length == 16
    assert pipeline.reference([]).shape == (0, 16)


def test_literal_special_tokens_follow_the_word_pattern() -> None:
    """One id after a letter or a space, but not inside a run of punctuation, nor in capitals."""
    encoder = _pipeline("whitespace")[1]
    start, end = 49406, 49407
    cut = slice(1, None)
    assert encoder.encode(["a<end_of_text>"])[0, cut].tolist()[:3] == [320, end, end]
    assert encoder.encode(["<start_of_text><start_of_text>"])[0].tolist()[:4] == [start, start, start, end]
    assert encoder.encode(["!<end_of_text>"])[0].tolist().count(end) == 1
    assert encoder.encode(["<END_OF_TEXT>"])[0].tolist().count(end) == 1


def test_the_json_has_all_settings() -> None:
    tokenizer = json.loads(_pipeline("lower")[0].tokenizer_json)
    assert tokenizer["truncation"]["max_length"] == 77
    assert tokenizer["padding"]["strategy"] == {"Fixed": 77}
    assert len(set(tokenizer["model"]["vocab"].values())) == len(tokenizer["model"]["vocab"]) == 49408


def _merges_file(path: Path, merges: list[str]) -> str:
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.write("\n".join(["#version", *merges]) + "\n")
    return str(path)


def test_another_vocabulary_file_works(
    tmp_path: Path, texts: list[str], differing: Callable[[TextPipeline, Sequence[str]], list[str]]
) -> None:
    merges = ["c a", "ca t</w>", "a t</w>", "t h", "th e</w>", "! !</w>", "Ã ©</w>", "x yz", "p h", "h o"]
    tokenizer = SimpleTokenizer(bpe_path=_merges_file(tmp_path / "small.txt.gz", merges), context_length=20)
    pipeline = pipeline_from_simple_tokenizer(tokenizer)
    assert differing(pipeline, texts[:1500]) == []


def test_merges_in_an_order_that_the_library_applies_otherwise_are_refused(tmp_path: Path) -> None:
    path = _merges_file(tmp_path / "odd.txt.gz", ["ab a", "a b"])
    with pytest.raises(UnsupportedModelError, match="merge 'ab a' stands before"):
        pipeline_from_simple_tokenizer(SimpleTokenizer(bpe_path=path))


def test_a_vocabulary_that_merges_across_punctuation_is_refused(tmp_path: Path) -> None:
    path = _merges_file(tmp_path / "odd.txt.gz", ["< s</w>"])
    with pytest.raises(UnsupportedModelError, match="'<s</w>' across punctuation"):
        pipeline_from_simple_tokenizer(SimpleTokenizer(bpe_path=path))


@pytest.mark.parametrize("mask", ["simple", "random", "shuffle", "syntax"])
def test_a_reduction_mask_is_refused(mask: str) -> None:
    with pytest.raises(UnsupportedModelError, match="reduction_mask"):
        pipeline_from_simple_tokenizer(SimpleTokenizer(reduction_mask=mask))


def test_additional_special_tokens_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="additional_special_tokens"):
        pipeline_from_simple_tokenizer(SimpleTokenizer(additional_special_tokens=["<mask>"]))


@pytest.mark.parametrize("length", [None, 1])
def test_a_missing_or_useless_context_length_is_refused(length: int | None) -> None:
    with pytest.raises(UnsupportedModelError, match="context_length"):
        pipeline_from_simple_tokenizer(SimpleTokenizer(context_length=length))


def test_an_unknown_cleaning_is_refused() -> None:
    def shout(text: str) -> str:
        return text.upper()

    tokenizer: Any = SimpleTokenizer()
    tokenizer.clean_fn = shout
    with pytest.raises(UnsupportedModelError, match="shout"):
        pipeline_from_simple_tokenizer(tokenizer)
    assert [cleaning_name(SimpleTokenizer(clean=name).clean_fn) for name in _CLEANINGS] == list(_CLEANINGS)
