"""What holds for any text, picture or name."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.converters.data import emoji, stamps, wordnet_texts, writing
from edgekit.converters.data.emoji_pixels import picture
from edgekit.evaluation.datasets import open_dataset

BOUNDED = settings(max_examples=40, deadline=None)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
POINT = st.integers(0x20, 0x1FAFF).filter(lambda point: point != 0xFE0F)


@BOUNDED
@given(lines=st.lists(TEXT, max_size=20))
def test_texts_survive_writing(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("texts")
    contents = writing.texts(folder, lines)
    read = (folder / "texts.txt").read_bytes().decode().split("\n")[:-1]
    assert read == list(dict.fromkeys(" ".join(line.split()) for line in lines if line.split()))
    assert contents.texts == len(read)


@settings(max_examples=25, deadline=None)
@example(captions=["0\r0"])
@given(captions=st.lists(TEXT.filter(lambda text: text.strip()), min_size=1, max_size=5))
def test_captions_survive_the_table(tmp_path_factory, captions):
    folder = tmp_path_factory.mktemp("table")
    rows = []
    for number, text in enumerate(captions):
        Image.new("RGB", (2, 2), (number, 0, 0)).save(folder / f"{number}.png")
        rows.append((f"{number}.png", text.strip()))
    writing.table(folder, "caption", rows)
    dataset = open_dataset(folder)
    assert [dataset.texts[target[0]] for target in dataset.targets] == [text for _, text in rows]


@BOUNDED
@given(points=st.lists(POINT, min_size=1, max_size=5), upper=st.booleans(), where=st.integers(0, 5), wide=st.booleans())
def test_a_concept_has_one_key_however_it_is_written(points, upper, where, wide):
    key = emoji.concept("-".join(f"{point:X}" for point in points))
    written = [f"{point:04x}" if wide else f"{point:x}" for point in points]
    written.insert(min(where, len(written)), "fe0f")
    text = "-".join(written)
    assert emoji.concept(text.upper() if upper else text) == key
    assert emoji.concept(key) == key
    assert [int(part, 16) for part in key.split("-")] == points


@BOUNDED
@given(first=st.lists(POINT, min_size=1, max_size=3), second=st.lists(POINT, min_size=1, max_size=3))
def test_two_concepts_have_two_keys(first, second):
    keys = [emoji.concept("-".join(f"{point:x}" for point in points)) for points in (first, second)]
    assert (keys[0] == keys[1]) == (first == second)


@BOUNDED
@given(alpha=st.integers(0, 255), colour=st.tuples(*[st.integers(0, 255)] * 3))
def test_blending_with_white_is_the_usual_formula(alpha, colour):
    found = writing.on_white(Image.new("RGBA", (1, 1), (*colour, alpha))).getpixel((0, 0))
    expected = [value * alpha / 255 + 255 - alpha for value in colour]
    assert np.abs(np.subtract(found, expected)).max() <= 1


@pytest.mark.parametrize("size", [16, 64, 160])
@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF"])
def test_every_picture_has_the_size_of_the_set(tmp_path, size, form):
    path = tmp_path / f"a.{form.lower()}"
    Image.new("RGB", (size, size), (0, 128, 0)).save(path, form)
    assert picture(path).size == (emoji.SIZE, emoji.SIZE)


def test_a_palette_with_transparency_is_blended_too(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((0, 0), 0)
    out = io.BytesIO()
    image.save(out, "PNG", transparency=0)
    with Image.open(out) as opened:
        flat = writing.on_white(opened)
    assert (flat.getpixel((0, 0)), flat.getpixel((1, 0))) == ((255, 255, 255), (255, 0, 0))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"A frog.\nde.utf8=Ein Frosch.\n", "A frog."),
        (b"A frog.\r\nde.utf8=Ein Frosch.\r\n", "A frog."),
        (b"  A   frog. ", "A frog."),
        ("Jalapeño".encode(), "Jalapeño"),
        (b"Jalape\xf1o", "Jalape\ufffdo"),
        (b"", ""),
        (b"\n", ""),
    ],
    ids=["lf", "crlf", "spaces", "utf8", "latin1", "empty", "blank"],
)
def test_a_caption_is_the_first_line(tmp_path, content, found):
    (tmp_path / "a.txt").write_bytes(content)
    assert stamps.caption(tmp_path / "a.txt") == found
    assert stamps.caption(tmp_path / "b.txt") == ""


@pytest.mark.parametrize(
    ("gloss", "found"),
    [
        ("a thing", ["a thing"]),
        ('a thing; "one"; "two"', ["a thing", "one", "two"]),
        ('(of speech) loud: "he was loud"', ["(of speech) loud", "he was loud"]),
        ('"only an example"', ["", "only an example"]),
        ('an open quotation "mark', ["an open quotation"]),
    ],
    ids=["plain", "examples", "colon", "bare", "unclosed"],
)
def test_a_gloss_is_a_definition_and_examples(gloss, found):
    assert list(wordnet_texts.glosses(f"00001740 03 n 01 x 0 000 | {gloss}  \n")) == found


def test_entries_come_in_emojis_own_order(tmp_path):
    (tmp_path / "package" / "en").mkdir(parents=True)
    entries = [{"label": str(order), "hexcode": f"{order:x}", "order": order, "group": 0} for order in (10, 9, 100)]
    (tmp_path / emoji.NAMES_FILE).write_text(json.dumps([*entries, {"label": "letter", "hexcode": "1F1E6"}]))
    assert [entry["label"] for entry in emoji.entries(tmp_path)] == ["9", "10", "100"]
