"""Texts as files bring them: marks, line ends, compression that is damaged, tables that lack what is asked for."""

from __future__ import annotations

import gzip
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.distill.data.texts import read_texts
from edgekit.errors import InputError

MARK = b"\xef\xbb\xbf"
LINES = b"a cat\na dog\n"
PACKED = gzip.compress(LINES, mtime=0)


@pytest.fixture
def put(tmp_path):
    def write(name, data):
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("mark", [b"", MARK], ids=["no-mark", "mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["unix", "windows", "mac"])
def test_marks_line_ends_and_compression_mean_nothing(put, packed, mark, end):
    data = mark + end.join([b" a cat ", b"", b"a dog", b"a cat", b""])
    assert read_texts([put("t.txt", gzip.compress(data) if packed else data)]) == ("a cat", "a dog")


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("mark", [b"", MARK], ids=["no-mark", "mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["unix", "windows"])
def test_nor_do_they_in_a_table(put, packed, mark, end):
    data = mark + end.join([b"Caption,path", b'"a cat, asleep",a.png', b" a dog ,b.png", b""])
    assert read_texts([put("t.csv", gzip.compress(data) if packed else data)]) == ("a cat, asleep", "a dog")


@pytest.mark.parametrize("cut", range(3, len(PACKED), 6))
def test_a_compressed_file_that_ends_early_is_refused(put, cut):
    path = put("t.txt.gz", PACKED[:cut])
    with pytest.raises(InputError, match=rf"^{re.escape(path)}: cannot be read: \S"):
        read_texts([path])


@pytest.mark.parametrize("place", range(10, len(PACKED)))
def test_a_compressed_file_with_a_wrong_byte_is_refused_or_harmless(put, place):
    data = bytearray(PACKED)
    data[place] ^= 0xFF
    path = put("t.txt.gz", bytes(data))
    with pytest.raises(InputError) as caught:
        read_texts([path])
    assert str(caught.value).startswith(f"{path}: cannot be read: ")


def test_what_follows_a_compressed_file_is_refused(put):
    with pytest.raises(InputError, match=r"t\.gz: cannot be read: .*gzip"):
        read_texts([put("t.gz", PACKED + b"more")])


def test_parts_that_were_compressed_apart_are_one(put):
    assert read_texts([put("t.gz", PACKED + gzip.compress(b"a bird"))]) == ("a cat", "a dog", "a bird")


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"], ids=["little", "big"])
def test_utf_16_is_refused_by_name(put, mark):
    path = put("t.txt", mark + "a cat".encode("utf-16-le"))
    with pytest.raises(InputError, match=rf"^{re.escape(path)}.*UTF-8"):
        read_texts([path])


@pytest.mark.parametrize(
    ("header", "column", "told"),
    [
        ("path,alt", "", "line 1: names no column caption or "),
        ("path,alt", "title", "line 1: names no column title; it has path, alt"),
        ("PATH,ALT", "Title", "line 1: names no column title; it has path, alt"),
        ("", "", "line 1: names no column"),
        ("captions", "", "it has captions"),
    ],
    ids=["none-known", "none-wanted", "upper-case", "empty", "plural"],
)
def test_a_column_that_is_missing_is_told_with_those_there_are(put, header, column, told):
    path = put("t.csv", f"{header}\na,b\n".encode())
    with pytest.raises(InputError) as caught:
        read_texts([f"{path}:{column}" if column else path])
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("a cat,x\nalone\n", r"line 3: has 1 cells, the header 2"),
        ("a,b,c\n", r"line 2: has 3 cells, the header 2"),
        ('"open\n', r"line 2: unexpected end of data"),
        ('"a"b,c\n', r"line 2: "),
        ("x,y\n\n\nz\n", r"line 5: has 1 cells"),
    ],
    ids=["short", "long", "open-quote", "after-quote", "blank-lines-count"],
)
def test_a_row_that_is_wrong_is_told_with_its_line(put, rows, told):
    path = put("t.csv", f"caption,other\n{rows}".encode())
    with pytest.raises(InputError, match=rf"^{re.escape(path)}: {told}"):
        read_texts([path])


def test_a_file_may_have_a_colon_and_the_name_of_a_column_behind_it(put):
    path = put("t.csv:alt", b"caption\n")
    assert read_texts([path]) == ("caption",)


def test_a_table_of_blank_cells_holds_no_text(put):
    with pytest.raises(InputError, match=r"t\.csv: holds no text"):
        read_texts([put("t.csv", b"caption\n  \n\n")])


def test_one_file_without_texts_is_not_hidden_by_another(put):
    full, blank = put("a.txt", LINES), put("b.txt", b" \n\t\n")
    with pytest.raises(InputError, match=r"b\.txt: holds no text; write one a line"):
        read_texts([full, blank])


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=8)


@settings(deadline=None, max_examples=40)
@given(cells=st.lists(CELLS, min_size=1, max_size=6), delimiter=st.sampled_from([",", "\t"]), packed=st.booleans())
def test_any_cell_that_is_quoted_is_read(tmp_path_factory, cells, delimiter, packed):
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in ["first", *cells]]
    text = "".join(f"1{delimiter}{cell}\r\n" for cell in quoted)
    data = f"id{delimiter}caption\r\n{text}".encode()
    path = tmp_path_factory.mktemp("t") / ("t.csv" if delimiter == "," else "t.tsv")
    path.write_bytes(gzip.compress(data) if packed else data)
    wanted = dict.fromkeys(cell.strip() for cell in ["first", *cells] if cell.strip())
    assert read_texts([str(path)]) == tuple(wanted)


@settings(deadline=None, max_examples=60)
@given(data=st.binary(max_size=40), name=st.sampled_from(["t.txt", "t.csv", "t.tsv", "t.gz", "t.csv.gz"]))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data, name):
    path = tmp_path_factory.mktemp("t") / name
    for content in (data, b"\x1f\x8b" + data, gzip.compress(data)):
        path.write_bytes(content)
        try:
            found = read_texts([str(path)])
        except InputError as error:
            assert str(error).startswith(str(path))
        else:
            assert found
            assert all(text and text == text.strip() for text in found)
            assert len(set(found)) == len(found)
