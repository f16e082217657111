"""Texts to unit rows, each distinct one computed once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import tiny_bundle as tiny
from edgekit.errors import InputError, TextError
from edgekit.text_embedder import TextEmbedder
from spy_runtime import SpyRuntime
from tiny_towers import embed_ids, weights

if TYPE_CHECKING:
    from edgekit import Clip


def expected(texts: list[str]) -> Any:
    tokenizer = tiny.make_tokenizer()
    ids = np.array([tokenizer.encode(text).ids for text in texts], np.int32)
    return embed_ids(weights(0, tokenizer.get_vocab_size()), ids)


TEXTS = ["a cat", "a dog on the sky", "", "a photo of the small red coffee cup in the temple", "zzz", "A CAT"]


@pytest.mark.parametrize("count", [0, 1, 6, 17, 100])
def test_any_number(clip: Clip, count: int) -> None:
    texts = [TEXTS[i % 6] + " one" * (i // 6) for i in range(count)]
    rows = clip.embed_texts(texts)
    assert (rows.shape, rows.dtype) == ((count, 16), np.float32)
    if count:
        np.testing.assert_allclose(rows, expected(texts), atol=1e-5)


def test_each_distinct_text_is_computed_once(clip: Clip, spy: SpyRuntime) -> None:
    clip.embed_texts(["a cat", "a dog", "a cat"])
    assert spy.batches("text") == [2]
    spy.forget()
    clip.embed_texts(["a dog", "a cat"])
    assert spy.batches("text") == []
    rows = clip.embed_texts(["a dog", "a cup", "a cat", "a cup"])
    assert spy.batches("text") == [1]
    np.testing.assert_allclose(rows, expected(["a dog", "a cup", "a cat", "a cup"]), atol=1e-5)


def test_an_iterable_will_do(clip: Clip) -> None:
    texts = ["a cat", "a dog"]
    np.testing.assert_array_equal(clip.embed_texts(text for text in texts), clip.embed_texts(texts))  # type: ignore[arg-type]
    np.testing.assert_array_equal(clip.embed_texts(np.array(texts)), clip.embed_texts(texts))  # type: ignore[arg-type]


def test_rows_belong_to_the_caller(clip: Clip) -> None:
    for _ in range(2):
        rows = clip.embed_texts(["a cat"])
        np.testing.assert_allclose(rows, expected(["a cat"]), atol=1e-5)
        rows[:] = 0


@pytest.mark.parametrize("wrong", ["a cat", b"a cat"])
def test_a_single_text_is_told(clip: Clip, wrong: Any) -> None:
    with pytest.raises(InputError, match=r"write \[text\]"):
        clip.embed_texts(wrong)


@pytest.mark.parametrize(
    ("wrong", "told"), [(["a", 7], "text 1 is int"), ([None], "text 0 is NoneType"), ([b"a"], "bytes")]
)
def test_what_is_no_text_is_told(clip: Clip, wrong: Any, told: str) -> None:
    with pytest.raises(TextError, match=told):
        clip.embed_texts(wrong)


def test_a_lone_surrogate_is_told_and_nothing_is_kept(clip: Clip, spy: SpyRuntime) -> None:
    with pytest.raises(TextError, match="surrogate"):
        clip.embed_texts(["a cat", "\udce9"])
    assert spy.batches("text") == []
    assert clip.embed_texts(["a cat"]).shape == (1, 16)


def test_text_of_100_kb_is_truncated_as_in_training(clip: Clip) -> None:
    np.testing.assert_allclose(clip.embed_texts(["a cat " * 20_000]), expected(["a cat " * 20]), atol=1e-5)


def embedder(clip: Clip, capacity: int) -> TextEmbedder:
    return TextEmbedder(clip._bundle, clip._towers["text"], capacity)


def test_the_texts_kept_are_the_most_recently_used(clip: Clip, spy: SpyRuntime) -> None:
    texts = embedder(clip, 2)
    texts.embed(["one", "two"])
    texts.embed(["one"])
    texts.embed(["red"])  # "two" goes
    spy.forget()
    texts.embed(["one", "red"])
    assert spy.batches("text") == []
    texts.embed(["two"])
    assert spy.batches("text") == [1]


def test_more_texts_than_are_kept_still_come_back(clip: Clip) -> None:
    many = [f"{word} cat" for word in tiny.WORDS]
    np.testing.assert_allclose(embedder(clip, 3).embed(many), expected(many), atol=1e-5)


def test_what_is_kept_does_not_hold_its_batch(clip: Clip) -> None:
    texts = embedder(clip, 2)
    texts.embed([f"{word} dog" for word in tiny.WORDS])
    assert all(row.base is None for row in texts._rows.values())
    assert len(texts._rows) == 2


def test_eight_threads_share_one_cache(clip: Clip, spy: SpyRuntime) -> None:
    many = [f"{word} cup" for word in tiny.WORDS]
    with ThreadPoolExecutor(8) as pool:
        for rows in pool.map(lambda _: clip.embed_texts(many), range(16)):
            np.testing.assert_allclose(rows, expected(many), atol=1e-5)
    spy.forget()
    clip.embed_texts(many)
    assert spy.batches("text") == []
