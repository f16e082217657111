"""The photos that a conversion is checked on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import tiny_bundle as tiny
from edgekit.converters.check_inputs import TEXTS, photos
from edgekit.errors import InputError


def test_pictures_are_taken_by_their_names_in_order(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.webp", "d.txt", "e.tar", "f"):
        shutil.copy(tiny.PHOTOS / "cat.jpg", tmp_path / name)
    assert [path.name for path in photos(tmp_path)] == ["a.png", "b.JPG", "c.webp"]


def test_folders_with_the_names_of_pictures_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "album.jpg").mkdir()
    (tmp_path / "other.png").mkdir()
    shutil.copy(tiny.PHOTOS / "cat.jpg", tmp_path / "one.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with pytest.raises(InputError, match=f"{tmp_path}: holds 1 photos; a conversion is checked on at least two"):
        photos(tmp_path)
    (tmp_path / "two.jpg").symlink_to(tiny.PHOTOS / "cat.jpg")  # a link to a picture is one
    assert [path.name for path in photos(tmp_path)] == ["one.jpg", "two.jpg"]


def test_a_file_is_no_folder_of_photos(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cat\.jpg: no such folder of photos"):
        photos(tiny.PHOTOS / "cat.jpg")


def test_the_texts_go_wrong_in_every_way_that_texts_can() -> None:
    """Each kind is there, so that a tokenizer that fails on one of them is caught while converting."""
    assert "" in TEXTS
    assert any(len(text.split()) > 100 for text in TEXTS)  # past every context length
    assert any(text != text.strip() or "\n" in text for text in TEXTS)
    assert any(text.upper() == text and text.lower() != text for text in (word for t in TEXTS for word in t.split()))
    for first, last in (("а", "я"), ("一", "鿿"), ("؀", "ۿ"), ("\u0300", "\u036f"), ("\U0001f300", "\U0001faff")):
        assert any(first <= letter <= last for text in TEXTS for letter in text)
    assert any("&amp;" in text for text in TEXTS)
    assert any("\u200d" in text for text in TEXTS)  # joined emoji
