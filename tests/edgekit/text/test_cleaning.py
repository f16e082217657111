from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.torch_compat import prepare
from edgekit.errors import BundleError
from edgekit.text.cleaning import clean

prepare()

from open_clip.tokenizer import get_clean_fn  # noqa: E402

_NAMES = ("whitespace", "lower", "canonicalize")


@pytest.mark.parametrize(
    ("how", "text", "expected"),
    [
        ("none", "  A&amp;B\t", "  A&amp;B\t"),
        ("whitespace", "  A\u3000photo \n of\x1c x ", "A photo of x"),
        ("whitespace", "&amp;amp;lt;b schÃ¶n “q”", '<b schön "q"'),
        ("lower", "ΣΑΣ İ ẞ ſ", "σας i̇ ß ſ"),
        ("canonicalize", "A_photo, of: TWO cats!", "a photo of two cats"),
        ("canonicalize", "¡“Ñ”! — _ . ", "¡ñ —"),
        ("lower", "", ""),
        ("canonicalize", "?!", ""),
        ("whitespace", "a\ud800b", "a\ufffdb"),
    ],
)
def test_what_each_does(how: Any, text: str, expected: str) -> None:
    assert clean(text, how) == expected


@pytest.mark.parametrize("how", _NAMES)
@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(), max_size=60) | st.text("&#;amplt0123xé_ \t.'Ã©â€œ\x99", max_size=40))
def test_it_is_open_clip_s_on_any_text(how: Any, text: str) -> None:
    assert clean(text, how) == get_clean_fn(how)(text)


@pytest.mark.parametrize("how", ["", "Lower", "siglip", None])
def test_an_unknown_name_is_refused(how: Any) -> None:
    with pytest.raises(BundleError, match=r"text\.cleaning is"):
        clean("a cat", how)
