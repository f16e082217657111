from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.bundle.manifest import TextSpec
from edgekit.errors import BundleError, TextError
from edgekit.text.encoder import TextEncoder

_LENGTH = 6
_SPEC = TextSpec("text/tokenizer.json", _LENGTH, 0, "none", True, ())
_WORDS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "cat": 5, "red": 6}


def _tokenizer(**changes: Any) -> str:
    """Words to ids, between [CLS] and [SEP]; `changes` replace parts of the JSON."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    raw = Tokenizer(models.WordLevel(_WORDS, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    raw.enable_truncation(_LENGTH)
    raw.enable_padding(length=_LENGTH, pad_id=0, pad_token="[PAD]")
    return json.dumps({**json.loads(raw.to_str()), **changes})


def _changed(part: str, **changes: Any) -> str:
    return _tokenizer(**{part: {**json.loads(_tokenizer())[part], **changes}})


def test_texts_become_padded_rows() -> None:
    ids = TextEncoder(_tokenizer(), _SPEC).encode(["a cat", "", "a red cat a red cat a"])
    assert ids.dtype == np.int32
    assert ids.flags.c_contiguous
    assert ids.tolist() == [[2, 4, 5, 3, 0, 0], [2, 3, 0, 0, 0, 0], [2, 4, 6, 5, 4, 3]]


def test_bytes_are_as_good_as_text() -> None:
    assert TextEncoder(_tokenizer().encode(), _SPEC).encode(["cat"]).tolist() == [[2, 5, 3, 0, 0, 0]]


def test_no_texts_give_no_rows() -> None:
    encoder = TextEncoder(_tokenizer(), _SPEC)
    assert encoder.encode([]).shape == (0, _LENGTH)
    assert encoder.encode_trimmed([]).shape == (0, 1)
    assert encoder.encode(()).dtype == np.int32


def test_trimming_cuts_to_the_longest_row() -> None:
    encoder = TextEncoder(_tokenizer(), _SPEC)
    assert encoder.encode_trimmed(["a", "a cat"]).tolist() == [[2, 4, 3, 0], [2, 4, 5, 3]]
    assert encoder.encode_trimmed([""]).shape == (1, 2)
    assert encoder.encode_trimmed(["a " * 99, ""]).shape == (2, _LENGTH)
    assert encoder.encode_trimmed(["a"]).flags.c_contiguous


def test_trimming_is_off_where_the_manifest_says_so() -> None:
    encoder = TextEncoder(_tokenizer(), replace(_SPEC, trim_padding=False))
    assert encoder.encode_trimmed(["a"]).shape == (1, _LENGTH)
    assert encoder.encode_trimmed([]).shape == (0, _LENGTH)


def test_trimming_keeps_an_end_of_text_that_is_also_the_padding() -> None:
    """As in transformers' CLIP: cutting by id would cut the token that the tower pools at."""
    encoder = TextEncoder(_changed("padding", pad_id=3), replace(_SPEC, pad_id=3))
    assert encoder.encode(["a"]).tolist() == [[2, 4, 3, 3, 3, 3]]
    assert encoder.encode_trimmed(["a"]).tolist() == [[2, 4, 3]]


def test_trimming_leaves_padding_on_the_left() -> None:
    encoder = TextEncoder(_changed("padding", direction="Left"), _SPEC)
    assert encoder.encode_trimmed(["a"]).tolist() == [[0, 0, 0, 2, 4, 3]]


def test_trimming_leaves_at_least_one_column() -> None:
    encoder = TextEncoder(_tokenizer(post_processor=None), _SPEC)
    assert encoder.encode_trimmed(["", ""]).tolist() == [[0], [0]]


def test_cleaning_comes_first() -> None:
    encoder = TextEncoder(_tokenizer(), replace(_SPEC, cleaning="canonicalize"))
    assert encoder.encode_trimmed(["A_CAT!"]).tolist() == [[2, 4, 5, 3]]


@pytest.mark.parametrize(
    "text", ["\0", "a\0cat", "\x7f\x80", "\ufffe", "\U0010ffff", "\u200b", "\ud83d\ude00"[:0] + "😀"]
)
def test_control_characters_and_noncharacters_are_texts(text: str) -> None:
    assert TextEncoder(_tokenizer(), _SPEC).encode([text]).shape == (1, _LENGTH)


def test_a_lone_surrogate_is_refused_by_index() -> None:
    with pytest.raises(TextError, match=r"text 1 holds a lone surrogate \(U\+D83D\)"):
        TextEncoder(_tokenizer(), _SPEC).encode(["a", "a \ud83d cat"])


def test_a_lone_surrogate_that_cleaning_repairs_is_a_text() -> None:
    encoder = TextEncoder(_tokenizer(), replace(_SPEC, cleaning="whitespace"))
    assert encoder.encode_trimmed(["a \ud83d cat"]).tolist() == [[2, 4, 1, 5, 3]]


@pytest.mark.parametrize("wrong", [None, 3, b"a cat", ["a"], np.str_])
def test_other_types_are_refused_by_index(wrong: Any) -> None:
    encoder = TextEncoder(_tokenizer(), _SPEC)
    for encode in (encoder.encode, encoder.encode_trimmed):
        with pytest.raises(TextError, match=r"text 2 is \w+, expected a string"):
            encode(["a", "cat", wrong])


def test_one_string_is_not_a_list_of_texts() -> None:
    with pytest.raises(TextError, match="put it in a list"):
        TextEncoder(_tokenizer(), _SPEC).encode("a cat")


def test_very_long_texts() -> None:
    texts = ["cat " * 25_000, "x" * 100_000, "😀" * 100_000, " " * 100_000]
    ids = TextEncoder(_tokenizer(), _SPEC).encode(texts)
    assert ids.tolist() == [[2, 5, 5, 5, 5, 3], [2, 1, 3, 0, 0, 0], [2, 1, 3, 0, 0, 0], [2, 3, 0, 0, 0, 0]]


def test_many_threads_may_share_one_encoder() -> None:
    encoder = TextEncoder(_tokenizer(), replace(_SPEC, cleaning="lower"))
    texts = [" ".join(["a", "red", "cat"][: index % 4] + ["Cat"] * (index % 3)) for index in range(400)]
    expected = encoder.encode(texts)
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda text: encoder.encode([text])[0], texts * 3))
    np.testing.assert_array_equal(np.stack(rows), np.tile(expected, (3, 1)))


@pytest.mark.parametrize(
    ("tokenizer", "spec", "message"),
    [
        (_tokenizer(), replace(_SPEC, context_length=7), "truncation.max_length is 6, .* text.context_length is 7"),
        (_changed("padding", strategy={"Fixed": 8}), _SPEC, "padding.length is 8, .* text.context_length is 6"),
        (_changed("padding", strategy="BatchLongest"), _SPEC, "padding.length is None"),
        (_tokenizer(), replace(_SPEC, pad_id=1), "padding.pad_id is 0, .* text.pad_id is 1"),
        (_tokenizer(truncation=None), _SPEC, "truncation.max_length is None"),
        (_tokenizer(padding=None), _SPEC, "padding.length is None"),
        (_changed("padding", pad_to_multiple_of=5), _SPEC, "gives 10 ids, text.context_length is 6"),
        (_tokenizer(), replace(_SPEC, cleaning="siglip"), "lacks the parts that text.cleaning 'siglip' needs"),
        ("{", replace(_SPEC, cleaning="siglip"), "lacks the parts"),
    ],
)
def test_settings_that_disagree_with_the_manifest_are_refused(tokenizer: str, spec: TextSpec, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        TextEncoder(tokenizer, spec)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"version": "1.0"}', _tokenizer(model={"type": "New"})])
def test_a_damaged_tokenizer_is_refused(content: str) -> None:
    with pytest.raises(BundleError, match=r"text/tokenizer\.json: not a tokenizer"):
        TextEncoder(content, _SPEC)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(BundleError, match=r"text/tokenizer\.json: not UTF-8"):
        TextEncoder(b"\xff{", _SPEC)


def test_a_tokenizer_cut_anywhere_is_refused() -> None:
    whole = _tokenizer()
    for cut in range(0, len(whole), 7):
        with pytest.raises(BundleError):
            TextEncoder(whole[:cut], _SPEC)


def test_a_word_that_the_vocabulary_cannot_express_is_refused_by_index() -> None:
    words = {word: number for word, number in _WORDS.items() if word != "[UNK]"}
    encoder = TextEncoder(_changed("model", vocab=words), _SPEC)
    with pytest.raises(TextError, match="text 1 cannot be encoded"):
        encoder.encode(["cat", "dog"])


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_importing_costs_neither_tokenizers_nor_ftfy() -> None:
    code = "import sys, edgekit.text; print([m for m in ('tokenizers', 'ftfy', 'transformers') if m in sys.modules])"
    assert _python(code).stdout == "[]\n"


def test_a_fork_after_encoding_prints_no_warning_and_no_variable_is_set() -> None:
    code = f"""
import os
before = dict(os.environ)
before.pop("TOKENIZERS_PARALLELISM", None)
os.environ.pop("TOKENIZERS_PARALLELISM", None)
from edgekit.bundle.manifest import TextSpec
from edgekit.text.encoder import TextEncoder
encoder = TextEncoder({_tokenizer()!r}, TextSpec("t", 6, 0, "lower", True, ()))
encoder.encode(["a cat"] * 50)
child = os.fork()
ids = encoder.encode(["a cat"] * 50)
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert dict(os.environ) == before
print(ids[0].tolist())
"""
    done = _python(code)
    assert done.stderr == ""
    assert done.stdout == "[2, 4, 5, 3, 0, 0]\n"
