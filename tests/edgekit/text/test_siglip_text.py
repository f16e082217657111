"""The character map, against a table written out here and against SentencePiece itself."""

from __future__ import annotations

import base64
import io
import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import BundleError
from edgekit.text.charsmap import Charsmap
from edgekit.text.siglip import SiglipText, split_tokenizer_json


@pytest.fixture(scope="module")
def processor() -> Any:
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

    model = io.BytesIO()
    sentences = ["a photo of a cat", "two red dogs"] * 20
    SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=model, vocab_size=40, hard_vocab_limit=False, minloglevel=2
    )
    return SentencePieceProcessor(model_proto=model.getvalue())


@pytest.fixture(scope="module")
def table(processor: Any) -> bytes:
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto.FromString(processor.serialized_model_proto())
    content: bytes = model.normalizer_spec.precompiled_charsmap
    return content


_charsmaps: dict[bytes, Charsmap] = {}


def _charsmap(table: bytes) -> Charsmap:
    if table not in _charsmaps:
        _charsmaps[table] = Charsmap(table)
    return _charsmaps[table]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat", "a▁cat"),
        ("ＬＯＵＤ ﬁ Ⅷ ½", "LOUD▁fi▁VIII▁1⁄2"),
        ("\u1100\u1161\u11a8", "각"),
        ("t\u0323\u0347", "ṭ\u0347"),
        ("ⓐ\u033e", "a\u033e"),
        ("a  \u3000 b  ", "a▁b"),
        ("  a", "▁a"),
        ("\u200bx\x00y\xad", "▁x\x00y\xad"),
        ("", ""),
        (" ", ""),
    ],
)
def test_the_longest_match_is_replaced(processor: Any, table: bytes, text: str, expected: str) -> None:
    assert _charsmap(table).normalize(text) == expected
    assert processor.normalize("x" + text) == "▁x" + expected


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
    | st.text("ae\u0301\u0323\u0307\u0330\u1100\u1161\u11a8 \u3000ⓐ½ﬁ\u200b각ÅK", max_size=30)
)
def test_it_is_sentencepiece_s_normalization(processor: Any, table: bytes, text: str) -> None:
    # SentencePiece drops leading spaces and adds one; a letter in front shows both sides the same middle.
    assert "▁" + _charsmap(table).normalize("x" + text) == processor.normalize("x" + text)


def test_a_match_says_how_many_bytes_it_covers(table: bytes) -> None:
    assert _charsmap(table).prefix("ﬁx".encode(), 0) == ("fi", 3)
    assert _charsmap(table).prefix(b"plain", 0) is None


@pytest.mark.parametrize("damaged", [b"", b"\x04", struct.pack("<I", 0), struct.pack("<I", 6) + bytes(9), b"\xff" * 40])
def test_a_damaged_table_is_refused(damaged: bytes) -> None:
    with pytest.raises(BundleError, match="character map is damaged"):
        Charsmap(damaged)


@settings(max_examples=100, deadline=None)
@given(
    units=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40), rest=st.binary(min_size=1), text=st.text("ab é")
)
def test_a_senseless_table_still_ends(units: list[int], rest: bytes, text: str) -> None:
    table = struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + rest
    assert isinstance(Charsmap(table).normalize(text), str)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A Cat, here!", "▁a▁cat▁here"),
        ("", ""),
        ("snake_case", "▁snakecase"),
        ("a</s>B", "▁a\n</s>b"),
        ("</s></s> x", "\n</s>\n</s>x"),
        ("＜/s＞", "▁<s>"),
        ("▁▁a", "▁a"),
        ("a\n\t\x1cb", "▁a▁b"),
        ("ΟΔΟΣ", "▁οδος"),
    ],
)
def test_preparing_a_text(table: bytes, text: str, expected: str) -> None:
    assert SiglipText(_charsmap(table), ["</s>"]).prepare(text) == expected


def test_without_literals_and_with_one_inside_another(table: bytes) -> None:
    assert SiglipText(_charsmap(table), []).prepare("</s>") == "▁s"
    assert SiglipText(_charsmap(table), ["<a", "<a>"]).prepare("x<a>") == "▁x\n<a>"


def test_the_json_is_parted(table: bytes) -> None:
    whole = {
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()},
        "added_tokens": [{"content": "\n</s>"}],
    }
    rest, text = split_tokenizer_json(json.dumps(whole))
    assert json.loads(rest) == {**whole, "normalizer": None}
    assert text.prepare("ﬁ</s>") == "▁fi\n</s>"


@pytest.mark.parametrize(
    "whole",
    [
        {"normalizer": None, "added_tokens": []},
        {"normalizer": {"precompiled_charsmap": "%%%"}, "added_tokens": []},
        {"normalizer": {"precompiled_charsmap": 3}, "added_tokens": []},
        {"normalizer": {"precompiled_charsmap": "AAAA"}},
        [],
    ],
)
def test_a_json_of_another_form_is_refused(whole: Any) -> None:
    with pytest.raises(BundleError, match="convert again"):
        split_tokenizer_json(json.dumps(whole))
