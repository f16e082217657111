from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from open_clip.tokenizer import HFTokenizer, SigLipTokenizer

from edgekit.converters.tokenizers.hf import pipeline_from_open_clip, pipeline_from_transformers
from edgekit.converters.tokenizers.local import load_local_tokenizer
from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgekit.converters.records import TextPipeline
    from edgekit.text.encoder import TextEncoder

    Differing = Callable[[TextPipeline, Sequence[str]], list[str]]
    Folder = Callable[[str], Path]


def _load(folder: Folder, family: str) -> Any:
    return load_local_tokenizer(folder(family)).tokenizer


@pytest.mark.parametrize(
    ("family", "class_name", "length"),
    [
        ("bert", "BertTokenizer", 52),
        ("clip", "CLIPTokenizer", 77),
        ("gemma", "GemmaTokenizer", 64),
        ("siglip2", "Siglip2Tokenizer", 64),
        ("t5", "T5Tokenizer", 64),
        ("xlm_roberta", "XLMRobertaTokenizer", 77),
    ],
)
def test_ids_are_transformers(
    family: str, class_name: str, length: int, folder: Folder, texts: list[str], differing: Differing
) -> None:
    tokenizer = _load(folder, family)
    assert type(tokenizer).__name__ == class_name
    pipeline = pipeline_from_transformers(tokenizer, length)
    assert pipeline.context_length == length
    assert pipeline.pad_id == tokenizer.pad_token_id
    assert len(np.unique(pipeline.reference(texts))) > 200  # not everything is unknown
    assert differing(pipeline, texts) == []


# SiglipTokenizer's own remark on a text that ends with a literal </s>.
_ENDS_TWICE = pytest.mark.filterwarnings("ignore:This sequence already has")


@_ENDS_TWICE
def test_ids_are_those_of_siglip_s_python_tokenizer(
    folder: Folder, texts: list[str], differing: Differing, encoder: Callable[[TextPipeline], TextEncoder]
) -> None:
    """Equal, but for two ways to cut a word that score the same: there SentencePiece's float32 rounding decides."""
    tokenizer = _load(folder, "siglip")
    assert type(tokenizer).__name__ == "SiglipTokenizer"
    assert not tokenizer.is_fast
    pipeline = pipeline_from_transformers(tokenizer, 64)
    assert pipeline.cleaning == "siglip"
    wrong = differing(pipeline, texts)
    assert len(wrong) <= 3
    scores = [tokenizer.sp_model.get_score(number) for number in range(len(tokenizer))]
    for text in wrong:
        ours, theirs = encoder(pipeline).encode([text]), pipeline.reference([text])
        assert sum(scores[i] for i in ours[0]) == pytest.approx(sum(scores[i] for i in theirs[0]), abs=1e-4)


@_ENDS_TWICE
def test_siglip_takes_the_longest_sequence_as_sentencepiece_does(folder: Folder, differing: Differing) -> None:
    pipeline = pipeline_from_transformers(_load(folder, "siglip"), 64)
    decomposed = ["\u1100\u1161\u11a8 \uac01", "ⓐ\u033e", "t\u0323\u0347", "e\u0330\u032a", "a\u0301\u0327"]
    literal = ["</s>", "a</s>b", "a </s> b</s>", "<unk>x", "＜/s＞ ＜／s＞", "▁ ▁▁a", "  ,. a", "_a_b_"]
    assert differing(pipeline, [*decomposed, *literal]) == []


@_ENDS_TWICE
def test_siglip_long_texts(folder: Folder, long_texts: list[str], differing: Differing) -> None:
    assert differing(pipeline_from_transformers(_load(folder, "siglip"), 64), long_texts[:2]) == []


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("bert", {"strip_sep_token": True}),
        ("bert", {"clean": "lower"}),
        ("t5", {"clean": "canonicalize"}),
        ("gemma", {"clean": "canonicalize"}),
        ("xlm_roberta", {}),
    ],
)
def test_ids_are_those_of_open_clip_s_wrapper(
    family: str, settings: dict[str, Any], folder: Folder, texts: list[str], differing: Differing
) -> None:
    wrapper = HFTokenizer(str(folder(family)), context_length=32, **settings)
    pipeline = pipeline_from_open_clip(wrapper)
    assert pipeline.cleaning == settings.get("clean", "whitespace")
    assert differing(pipeline, texts if "strip_sep_token" in settings else texts[::3]) == []


def test_stripping_the_separator_may_be_asked_for_directly(folder: Folder, differing: Differing) -> None:
    tokenizer = _load(folder, "bert")
    pipeline = pipeline_from_transformers(tokenizer, 32, cleaning="whitespace", strip_sep_token=True)
    texts = ["a cat", "a [SEP] b", "a[SEP]b[PAD]c", "[SEP]", "[sep]", "word " * 50]
    assert differing(pipeline, texts) == []
    assert tokenizer.sep_token_id not in pipeline.reference(texts)
    wrapper = HFTokenizer(str(folder("bert")), context_length=32, strip_sep_token=True)
    np.testing.assert_array_equal(pipeline.reference(texts), wrapper(texts).numpy())


def test_open_clip_s_siglip_wrapper(folder: Folder, texts: list[str], differing: Differing) -> None:
    """Its constructor fails with current transformers, but not the rest of it."""
    wrapper: Any = object.__new__(SigLipTokenizer)
    wrapper.tokenizer, wrapper.context_length = _load(folder, "t5"), 64
    pipeline = pipeline_from_open_clip(wrapper)
    assert pipeline.cleaning == "canonicalize"
    assert differing(pipeline, texts[:2000]) == []


def test_padding_and_truncation_sides_are_the_tokenizer_s(folder: Folder, differing: Differing) -> None:
    tokenizer = _load(folder, "gemma")
    tokenizer.padding_side, tokenizer.truncation_side = "left", "left"
    pipeline = pipeline_from_transformers(tokenizer, 12)
    texts = ["a cat", "one two three four five six seven eight nine ten eleven twelve"]
    assert differing(pipeline, texts) == []
    assert pipeline.reference(texts)[0, 0] == tokenizer.pad_token_id


def test_the_reference_takes_no_texts(folder: Folder) -> None:
    for pipeline in (
        pipeline_from_transformers(_load(folder, "bert"), 9),
        pipeline_from_open_clip(HFTokenizer(str(folder("bert"))), 9),
    ):
        ids = pipeline.reference([])
        assert ids.shape == (0, 9)
        assert ids.dtype == np.int32


def test_the_source_tokenizer_is_left_as_it_was(folder: Folder) -> None:
    tokenizer = _load(folder, "clip")
    before = tokenizer("a cat")["input_ids"]
    pipeline_from_transformers(tokenizer, 77)
    assert tokenizer("a cat")["input_ids"] == before
    assert json.loads(pipeline_from_transformers(tokenizer, 20).tokenizer_json)["truncation"]["max_length"] == 20


def test_no_padding_token_is_refused(folder: Folder) -> None:
    tokenizer = _load(folder, "bert")
    tokenizer.pad_token = None
    with pytest.raises(UnsupportedModelError, match="BertTokenizer: has no padding token"):
        pipeline_from_transformers(tokenizer, 9)


def test_split_special_tokens_is_refused(folder: Folder) -> None:
    tokenizer = _load(folder, "bert")
    tokenizer.split_special_tokens = True
    with pytest.raises(UnsupportedModelError, match="split_special_tokens"):
        pipeline_from_transformers(tokenizer, 9)


def test_a_tokenizer_written_in_python_is_refused_by_name(folder: Folder) -> None:
    class HomeMade:
        pad_token_id = 0
        is_fast = False

    with pytest.raises(UnsupportedModelError, match="HomeMade: written in Python"):
        pipeline_from_transformers(HomeMade(), 9)


def test_a_part_written_in_python_is_refused(folder: Folder) -> None:
    from tokenizers.pre_tokenizers import PreTokenizer

    class Custom:
        def pre_tokenize(self, text: Any) -> None:
            """Split nothing."""

    tokenizer = _load(folder, "bert")
    tokenizer.backend_tokenizer.pre_tokenizer = PreTokenizer.custom(Custom())
    with pytest.raises(UnsupportedModelError, match=r"cannot be written as a tokenizer\.json"):
        pipeline_from_transformers(tokenizer, 9)


def test_a_tokenizer_that_does_more_in_python_is_caught_by_the_probe_texts(folder: Folder) -> None:
    """A subclass that changes the text in Python has a JSON, but not one that says everything."""
    tokenizer = _load(folder, "bert")

    class Reversing(type(tokenizer)):  # type: ignore[misc]
        def __call__(self, texts: list[str], **settings: Any) -> Any:
            return super().__call__([text[::-1] for text in texts], **settings)

    tokenizer.__class__ = Reversing
    with pytest.raises(UnsupportedModelError, match=r"Reversing: .* probe texts get other ids"):
        pipeline_from_transformers(tokenizer, 32)


def test_class_token_after_the_padding_is_refused(folder: Folder) -> None:
    wrapper = HFTokenizer(str(folder("bert")), tokenizer_mode="clips")
    with pytest.raises(UnsupportedModelError, match="tokenizer_mode 'clips'"):
        pipeline_from_open_clip(wrapper)


def test_a_wrapper_without_context_length_is_refused(folder: Folder) -> None:
    with pytest.raises(UnsupportedModelError, match="context_length"):
        pipeline_from_open_clip(HFTokenizer(str(folder("bert")), context_length=None))


def test_stripping_the_separator_of_a_unigram_model_is_refused(folder: Folder) -> None:
    with pytest.raises(UnsupportedModelError, match="strip_sep_token with a Unigram"):
        pipeline_from_transformers(_load(folder, "xlm_roberta"), 16, strip_sep_token=True)


def test_cleaning_before_siglip_s_own_is_refused(folder: Folder) -> None:
    with pytest.raises(UnsupportedModelError, match="'canonicalize' before it"):
        pipeline_from_transformers(_load(folder, "siglip"), 16, cleaning="canonicalize")


def test_siglip_without_lower_casing_is_refused(folder: Folder) -> None:
    tokenizer = _load(folder, "siglip")
    tokenizer.do_lower_case = False
    with pytest.raises(UnsupportedModelError, match="do_lower_case is off"):
        pipeline_from_transformers(tokenizer, 16)
