"""The corpus must hold what it is for; a corpus of plain English would let every fault pass."""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def test_it_is_large_and_has_no_duplicates(texts: list[str]) -> None:
    assert len(set(texts)) == len(texts) >= 10_000


def test_it_samples_hundreds_of_scripts_and_symbol_families(
    texts: list[str], scripts: Callable[[list[str]], set[str]]
) -> None:
    found = scripts(texts)
    assert len(found) > 300
    assert {"ARABIC", "HEBREW", "CJK", "HANGUL", "THAI", "DEVANAGARI", "CUNEIFORM", "COMBINING", "TAG"} <= found


def test_it_holds_unassigned_private_and_control_characters(texts: list[str]) -> None:
    categories = {unicodedata.category(character) for text in texts for character in text}
    assert categories == {
        *("Cc", "Cf", "Cn", "Co", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "No"),
        *("Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs"),
    }


def test_it_can_be_encoded(texts: list[str], long_texts: list[str]) -> None:
    assert all(text.encode("utf-8").decode("utf-8") == text for text in texts)
    assert min(sys.getsizeof(text) for text in long_texts) >= 100_000


def test_it_holds_literal_special_tokens_alone_and_inside_words(texts: list[str]) -> None:
    found = set(texts)
    for token in ("<start_of_text>", "<end_of_text>", "<|endoftext|>", "[SEP]", "</s>", "<eos>", "<pad>"):
        assert {token, f" {token} ", f"a{token}b"} <= found
