"""What a card says about a static text tower."""

from __future__ import annotations

import pytest

from edgekit.converters.distill.recipe import TextStudent
from edgekit.converters.distill.students import limits


def test_a_bag_of_tokens_is_told():
    (told,) = limits.of_text(TextStudent("static"))
    assert "order of words" in told
    assert "negation" in told


def test_a_smaller_vocabulary_is_told():
    order, words = limits.of_text(TextStudent("static", vocabulary=14_000))
    assert "order" in order
    assert "at most 14000 tokens" in words
    assert list(limits.of_text(TextStudent("static", layers=1, vocabulary=14_000))) == [words]


@pytest.mark.parametrize(
    "spec",
    [None, TextStudent("transformer", vocabulary=100), TextStudent("static", layers=1)],
    ids=["kept", "transformer", "mixing"],
)
def test_other_towers_have_no_such_limits(spec):
    assert list(limits.of_text(spec)) == []
