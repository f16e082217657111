from __future__ import annotations

import re

import regex
from tokenizers import Regex, normalizers

from edgekit.converters.tokenizers.unicode_classes import any_case, character_class

_CHARACTERS = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]


def _matched_by_the_library(pattern: str) -> set[str]:
    remove = normalizers.Replace(Regex(pattern), "")
    found: set[str] = set()
    for start in range(0, len(_CHARACTERS), 512):
        block = _CHARACTERS[start : start + 512]
        found |= set(block) - set(remove.normalize_str("".join(block)))
    return found


def _matched_by_regex(pattern: str) -> set[str]:
    return set(regex.findall(pattern, "".join(_CHARACTERS), flags=regex.IGNORECASE))


def test_every_character_of_unicode_is_classed_alike() -> None:
    for pattern in (r"[\p{L}]", r"[\p{N}]", r"[^\s\p{L}\p{N}]"):
        assert _matched_by_the_library(character_class(pattern)) == _matched_by_regex(pattern)


def test_the_names_of_classes_would_not_do() -> None:
    # The reason for the whole module: were this to pass one day, the module could go.
    assert _matched_by_the_library(r"\p{L}") != _matched_by_regex(r"[\p{L}]")


def test_ranges_are_written_in_the_engine_s_syntax() -> None:
    assert character_class("[b-d]") == r"[\x{42}-\x{44}\x{62}-\x{64}]"
    assert character_class("[+]") == r"[\x{2b}]"


def test_a_literal_matches_what_regex_matches_without_case() -> None:
    pattern = re.compile(regex.sub(r"\\x\{([0-9a-f]+)\}", lambda m: f"\\U{int(m[1], 16):08x}", any_case("'s")))
    assert [text for text in ("'s", "'S", "'ſ", "’s", "'t", "s") if pattern.fullmatch(text)] == ["'s", "'S", "'ſ"]
