"""Texts from files, tables, folders and fetched sets."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.distill.data.texts import read_texts
from edgekit.errors import InputError
from edgekit.locations import cache_dir
from small_sets import write_csv


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return str(path)


def test_lines_in_order_each_once(tmp_path):
    one = write(tmp_path / "a.txt", "a cat\n\n  a dog \r\na cat\n")
    two = write(tmp_path / "b.txt", "a bird\na dog\n\N{CAT FACE}")
    assert read_texts([one, two]) == ("a cat", "a dog", "a bird", "\N{CAT FACE}")


def test_no_file_at_all():
    assert read_texts(()) == ()


def test_a_byte_order_mark_is_no_text(tmp_path):
    assert read_texts([write(tmp_path / "a.txt", "a cat", "utf-8-sig")]) == ("a cat",)


@pytest.mark.parametrize("name", ["a.txt.gz", "a.gz", "a.txt"])
def test_compressed(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(b"a cat\na dog\n"))
    assert read_texts([str(tmp_path / name)]) == ("a cat", "a dog")


def test_any_suffix_is_lines(tmp_path):
    assert read_texts([write(tmp_path / "texts.lst", "a, b\nc")]) == ("a, b", "c")


@pytest.mark.parametrize("column", ["caption", "title", "text", "label", " Caption"])
def test_a_table_gives_its_text_column(tmp_path, column):
    path = write_csv(tmp_path / "t.csv", [["path", column], ["a.png", "a cat, asleep"], ["b.png", "a\nb"], ["c", ""]])
    assert read_texts([str(path)]) == ("a cat, asleep", "a\nb")


def test_a_caption_comes_before_a_label(tmp_path):
    path = write_csv(tmp_path / "t.tsv", [["label", "caption"], ["cat", "a cat"]], delimiter="\t")
    assert read_texts([str(path)]) == ("a cat",)


def test_a_column_by_name(tmp_path):
    path = write_csv(tmp_path / "t.csv", [["label", "caption", "Alt"], ["cat", "a cat", "my cat"]])
    assert read_texts([f"{path}:alt"]) == ("my cat",)
    assert read_texts([f"{path}:label", str(path)]) == ("cat", "a cat")


def test_a_compressed_table(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"caption\na cat\n"))
    assert read_texts([f"{tmp_path / 't.csv.gz'}:caption"]) == ("a cat",)


def test_a_fetched_set_by_name():
    folder = cache_dir() / "data" / "some-texts"
    folder.mkdir(parents=True)
    write(folder / "texts.txt", "one\ntwo\n")
    write(folder / "LICENSE.txt", "free")
    assert read_texts(["some-texts"]) == ("one", "two")


def test_the_captions_of_a_fetched_set_of_images():
    folder = cache_dir() / "data" / "some-photos"
    folder.mkdir(parents=True)
    write_csv(folder / "captions.csv", [["path", "caption"], ["a.png", "a cat"]])
    write(folder / "LICENSE.txt", "free")
    assert read_texts(["some-photos"]) == ("a cat",)


def tables(folder, count):
    for number in range(count):
        write_csv(folder / f"{number}.csv", [["caption"], ["a"]])
    return str(folder)


def test_a_folder_with_nothing_to_take(tmp_path):
    with pytest.raises(InputError, match=r"holds no texts\.txt and no table"):
        read_texts([tables(tmp_path, 0)])


def test_a_folder_with_several_tables(tmp_path):
    with pytest.raises(InputError, match=r"holds no texts\.txt and 2 tables; give the file"):
        read_texts([tables(tmp_path, 2)])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"", r"a\.txt: holds no text"),
        ("a.txt", b" \n\n", r"a\.txt: holds no text"),
        ("a.txt", b"caf\xe9", r"a\.txt: is not UTF-8 text \(byte 3\)"),
        ("a.gz", b"\x1f\x8b\x08broken", r"a\.gz: cannot be read"),
        ("a.gz", gzip.compress(b"some texts")[:-6], r"a\.gz: cannot be read"),
        ("a.csv", b"path,size\na,1\n", r"a\.csv: line 1: names no column caption or .*; it has path, size"),
        ("a.csv", b"path,caption\na\n", r"a\.csv: line 2: has 1 cells, the header 2"),
        ("a.csv", b'caption\n"a\n', r"a\.csv: line \d+: "),
        ("a.csv", b"", r"a\.csv: line 1: names no column"),
    ],
    ids=["empty", "blank", "latin-1", "no gzip", "cut gzip", "no column", "ragged", "quote", "no header"],
)
def test_what_cannot_be_read_is_named(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_texts([str(tmp_path / name)])


def test_a_missing_file_or_set():
    with pytest.raises(InputError, match="no-such-texts: no such file or folder"):
        read_texts(["no-such-texts"])


def test_a_missing_path(tmp_path):
    with pytest.raises(InputError, match=r"none\.txt: cannot be read: No such file"):
        read_texts([str(tmp_path / "none.txt")])


def test_a_missing_column(tmp_path):
    path = write_csv(tmp_path / "t.csv", [["caption"], ["a"]])
    with pytest.raises(InputError, match="names no column title; it has caption"):
        read_texts([f"{path}:title"])


LINES = st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Zs"]), max_size=12))


@given(lines=LINES)
@settings(deadline=None, max_examples=40)
def test_every_line_is_found(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("texts") / "a.txt"
    write(path, "\n".join(["first", *lines]))
    wanted = tuple(dict.fromkeys(line.strip().removeprefix("\ufeff") for line in ["first", *lines] if line.strip()))
    assert tuple(text.removeprefix("\ufeff") for text in read_texts([str(path)])) == wanted
