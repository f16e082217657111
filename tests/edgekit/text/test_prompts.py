from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import TextError
from edgekit.text.prompts import fill_templates


def test_each_template_gives_one_sentence_in_order() -> None:
    assert fill_templates("cat", ["a {}", "{}", "{} there"]) == ["a cat", "cat", "cat there"]


def test_no_template_gives_nothing() -> None:
    assert fill_templates("cat", ()) == []


@pytest.mark.parametrize("label", ["{}", "{0}", "{0.__class__}", "{x!r}", "}{", "%s", "\\1", "{{}}", ""])
def test_nothing_in_a_label_is_evaluated(label: str) -> None:
    assert fill_templates(label, ["a {}."]) == [f"a {label}."]


def test_other_braces_in_a_template_stay() -> None:
    assert fill_templates("cat", ["{{ {} }} {x}"]) == ["{{ cat }} {x}"]


@given(st.text(), st.text().filter(lambda text: "{" not in text and "}" not in text), st.text("ab.} "))
def test_the_label_is_inserted_as_it_is(label: str, before: str, after: str) -> None:
    assert fill_templates(label, [f"{before}{{}}{after}"]) == [before + label + after]


@pytest.mark.parametrize(("template", "times"), [("a photo", 0), ("{} and {}", 2), ("{x}", 0), ("", 0), ("{}{}{}", 3)])
def test_a_template_needs_exactly_one_slot(template: str, times: int) -> None:
    with pytest.raises(TextError, match=rf"template 1 .* has {times} times"):
        fill_templates("cat", ["{}", template])


@pytest.mark.parametrize(
    ("label", "templates", "message"),
    [
        (3, ["{}"], "label is int"),
        (None, ["{}"], "label is NoneType"),
        ("cat", "a {}", "templates is one string"),
        ("cat", ["{}", b"{}"], "template 1 is bytes"),
    ],
)
def test_other_types_are_refused(label: Any, templates: Any, message: str) -> None:
    with pytest.raises(TextError, match=message):
        fill_templates(label, templates)
