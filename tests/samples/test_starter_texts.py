"""The texts that the starter's text tower learns from."""

from __future__ import annotations

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import InputError
from edgekit.samples import starter_texts

_NAMES = st.lists(st.text("abcdefgh ", min_size=1).filter(str.strip).map(str.strip), min_size=1, max_size=12)


def _draw(seed):
    return random.Random(seed)  # noqa: S311


@settings(deadline=None, max_examples=50)
@given(names=_NAMES, seed=st.integers(0, 99))
def test_each_name_is_in_its_phrase(names, seed):
    found = list(starter_texts.phrases(names, _draw(seed)))
    assert len(found) == len(names)
    for name, text in zip(names, found, strict=True):
        assert name.lower() in text.lower()
        assert "{" not in text


def test_names_come_alone_and_in_every_kind_of_phrase():
    found = list(starter_texts.phrases(["owl"] * 400, _draw(0)))
    assert 60 < found.count("owl") < 200
    assert "a photo of an owl" in found
    assert "An owl." in found
    assert "two owls" in found
    assert any(text.endswith("at the zoo") for text in found)


@settings(deadline=None, max_examples=25)
@given(synsets=_NAMES, glosses=_NAMES, emoji=_NAMES, count=st.integers(1, 60))
def test_texts_are_distinct_bounded_and_the_same_each_time(synsets, glosses, emoji, count):
    given_ = (["tabby, tabby cat"], synsets, emoji, glosses, count)
    found = starter_texts.texts(*given_)
    assert found == starter_texts.texts(*given_)
    assert len(set(found)) == len(found) <= count
    assert "a photo of a tabby, tabby cat" in found


def test_glosses_fill_the_room_that_is_left_and_long_ones_are_left_out():
    glosses = [f"gloss {i}" for i in range(50)] + ["a gloss of a good many more words than a label or caption has"]
    found = starter_texts.texts(["cat"], ["dog, hound"], ["fire"], glosses, 14)
    assert len(found) == 14
    others = [text for text in found if not text.startswith("gloss")]
    assert {"a photo of a cat", "fire"} <= set(others)
    assert 0 < len(others) < 14
    assert glosses[-1] not in starter_texts.texts(["cat"], ["dog"], [], glosses, 1000)


def test_it_writes_one_text_a_line(monkeypatch, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("n1\towl, night bird\nn2\tcup\n")
    for name, text in {"wordnet-texts": "a bird of prey\n", "emoji-names": "grinning face\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "texts.txt").write_text(text)
    monkeypatch.setattr(starter_texts, "_names_file", lambda: names)
    monkeypatch.setattr(starter_texts, "locate", lambda name: tmp_path / name)
    monkeypatch.setattr(starter_texts.starter_parts, "class_names", lambda: ["tabby"])
    assert starter_texts.main([str(tmp_path / "out.txt")]) == 0
    lines = (tmp_path / "out.txt").read_text().splitlines()
    assert sorted(lines) == sorted(set(lines))
    assert {"a bird of prey", "grinning face", "a photo of a tabby"} < set(lines)
    assert sum("owl" in line or "night bird" in line or "cup" in line for line in lines) >= 3


def test_what_is_missing_is_told(monkeypatch, tmp_path, capsys):
    def missing(name):
        raise InputError(f"{name}: not fetched; run: edgekit data fetch {name}")

    monkeypatch.setattr(starter_texts, "locate", missing)
    monkeypatch.setattr(starter_texts, "_names_file", lambda: tmp_path / "names.txt")
    monkeypatch.setattr(starter_texts.starter_parts, "class_names", lambda: ["tabby"])
    (tmp_path / "names.txt").write_text("n1\towl\n")
    assert starter_texts.main([str(tmp_path / "out.txt")]) == 1
    assert "edgekit data fetch emoji-names" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["starter_texts.py"])
    assert starter_texts.main() == 2
    assert "usage" in capsys.readouterr().err


def test_without_timm_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(starter_texts.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"edgekit\[starter\]"):
        starter_texts._names_file()


def test_the_installed_timm_has_the_nouns():
    assert len(starter_texts._lines(starter_texts._names_file())) > 20_000
