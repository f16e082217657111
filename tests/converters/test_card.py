"""The card says what was measured, and keeps one section for each later step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgekit.bundle.manifest import Agreement, Manifest
from edgekit.bundle.reader import open_bundle
from edgekit.converters.card import card, with_section
from edgekit.converters.verdict import Preprocessing

SEEN = Preprocessing(3, 0.98765, 18)
FOUND = Agreement(6, 1.3e-4, 0.999871, 0.99999, 0.998765, 0.9999)


@pytest.fixture
def manifest(tiny_bundle: Path) -> Manifest:
    made = open_bundle(tiny_bundle).manifest
    (variant,) = made.variants
    assert variant.image is not None
    return replace(made, variants=(replace(variant, image=replace(variant.image, fidelity=FOUND)),))


def test_every_figure_stands_where_a_reader_looks_for_it(manifest: Manifest) -> None:
    page = card(manifest, SEEN, {"image": 12_345_678, "text": 1_000}).split("\n")
    assert page[:3] == ["# tiny", "", "Random weights, for tests."]
    assert "| image | 12.3 | 6 | 1.3e-04 | 0.999871 | 0.998765 |" in page
    assert next(line for line in page if line.startswith("| text |")).startswith("| text | 0.0 |")
    assert f"- Source: `tests:tiny:0`, weights sha256 `{manifest.source.sha256}`" in page
    assert "- Licence of the weights: Apache-2.0" in page
    assert "- Embedding: 16 dimensions, space `tiny-0`, softmax, logit scale 20" in page
    assert "- Photos: 32×32, resize shortest, bicubic" in page
    assert "- Texts: 8 tokens, templates `a photo of {}`" in page
    assert any("at most 3 of 255 apart, 98.77% equal. Token ids: equal on all 18 texts" in line for line in page)


def test_width_comes_before_height_and_all_templates_are_named(manifest: Manifest) -> None:
    image = replace(manifest.image, height=24, width=40, resize_mode="squash")
    assert manifest.text is not None
    text = replace(manifest.text, templates=("{}", "a {} in the snow"))
    page = card(replace(manifest, image=image, text=text), SEEN, {"image": 1, "text": 1})
    assert "- Photos: 40×24, resize squash, bicubic" in page
    assert "templates `{}`, `a {} in the snow`" in page


def test_a_bundle_without_texts_says_so(manifest: Manifest) -> None:
    (variant,) = manifest.variants
    page = card(replace(manifest, text=None, variants=(replace(variant, text=None),)), SEEN, {"image": 5})
    assert "- Texts: none" in page
    assert "| text |" not in page


line = st.text(alphabet="ab #|`", max_size=6).filter(lambda text: not text.startswith("## "))
body = st.lists(line, max_size=5).map("\n".join)
title = st.sampled_from(["Quantization", "Speed", "Limits"])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(title, body), max_size=6))
@example([("Speed", ""), ("Speed", "")])
@example([("Speed", "\n\n\n"), ("Limits", "x")])
def test_after_any_steps_each_title_stands_once_with_its_last_body(steps: list[tuple[str, str]]) -> None:
    """Later steps replace, never repeat, and never touch the others."""
    page = "# m\n\nwhat it is\n\n## Measured\n\nfigures\n"
    for name, content in steps:
        page = with_section(page, name, content)
    sections = {part.split("\n", 1)[0]: part.split("\n", 1)[1] for part in page.split("\n## ")[1:]}
    latest = dict(steps)
    assert page.startswith("# m\n\nwhat it is\n\n## Measured\n\nfigures")
    assert set(sections) == {"Measured", *latest}
    assert page.count("\n## ") == len(sections)
    for name, content in latest.items():
        assert sections[name].split() == content.split()
    assert page.endswith("\n")
    assert not page.endswith("\n\n\n")


@settings(max_examples=30, deadline=None)
@given(body, title, body)
def test_the_same_step_again_changes_nothing(first: str, name: str, second: str) -> None:
    before = with_section(f"# m\n\n{first}\n", "Other", first)
    once = with_section(before, name, second)
    assert with_section(once, name, second) == once


def test_a_table_or_listing_keeps_its_blank_lines() -> None:
    listing = "```\none\n\n\ntwo\n```"
    assert listing in with_section("# m\n", "Listing", listing)
