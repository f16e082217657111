"""Names, headers and text files at the edge of what a set may hold: read as meant, or refused with their place."""

from __future__ import annotations

import csv
import io
import json
import random
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.errors import EdgekitError, InputError
from edgekit.evaluation.datasets import locate, open_dataset
from edgekit.evaluation.files import captions_of, decode_text, is_image, read_text, walk
from edgekit.evaluation.shards import expand, is_pattern
from edgekit.evaluation.table import is_table
from edgekit.evaluation.tar_index import index, read_at
from small_sets import picture, write_csv, write_tar

ONE, TWO = picture(1), picture(2)
LONG = "x" * 300


def _refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_dataset(path)
    return str(caught.value)


# names


def test_a_name_that_no_file_can_have_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(ONE)
    table = write_csv(tmp_path / "s.csv", [["path", "label"], [f"{LONG}.png", "a"]])
    assert _refusal(table).endswith(f"line 2: {LONG}.png: no such file beside the CSV")
    with pytest.raises(InputError, match="no such file or folder, and not fetched yet"):
        locate(LONG)
    assert _refusal(tmp_path / LONG).endswith("no such file or folder")
    assert "no such shard; the pattern names 2" in _refusal(tmp_path / f"{LONG}{{0..1}}.tar")


def test_captions_count_whatever_the_case_of_their_suffix(tmp_path: Path) -> None:
    (tmp_path / "1.JPG").write_bytes(ONE)
    (tmp_path / "1.TXT").write_text("one")
    found = open_dataset(tmp_path)
    assert (found.task, found.texts) == ("retrieval", ("one",))


def test_a_caption_without_any_image_of_its_stem_does_not_make_captions_of_a_set(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(ONE)
    (tmp_path / "readme.txt").write_text("about this folder")
    assert open_dataset(tmp_path).task == "unlabelled"


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.b.png", "a.webp", "a.BMP", "a.tif", "a.tiff"])
def test_an_image_is_told_by_its_name(name: str) -> None:
    assert is_image(Path(name))


@pytest.mark.parametrize("name", ["jpg", ".jpg", "a.jpg.txt", "a.gif", "a.svg", "a"])
def test_what_is_no_image_by_its_name(name: str) -> None:
    assert not is_image(Path(name))


def test_a_walk_is_sorted_leaves_hidden_files_out_and_follows_no_links(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/10.png", "a/1.png", "z.png", ".git/1.png", "a/.DS_Store"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(ONE)
    (tmp_path / "c").symlink_to(tmp_path / "a", target_is_directory=True)
    found = [path.relative_to(tmp_path).as_posix() for path in walk(tmp_path)]
    assert found == ["z.png", "a/1.png", "b/10.png", "b/2.png"]


# text files


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"\xef\xbb\xbfa\r\n", "a\r\n"), ("é\n".encode(), "é\n"), (b"", ""), (b"\xef\xbb\xbf", "")],
    ids=["mark", "accent", "empty", "mark-alone"],
)
def test_text_is_utf8_with_or_without_a_mark(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    assert read_text(tmp_path / "a.txt") == text


def test_text_of_another_encoding_names_the_byte(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^there: is not UTF-8 text \(byte 3\); save it as UTF-8$"):
        decode_text("caf\xe9".encode("latin-1"), "there")
    with pytest.raises(InputError, match=r"gone\.txt: cannot be read: No such file"):
        read_text(tmp_path / "gone.txt")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=6))
def test_captions_are_the_lines_that_say_something(lines: list[str]) -> None:
    text = "\n".join(lines)
    wanted = tuple(line.strip() for line in text.splitlines() if line.strip())
    if wanted:
        assert captions_of(text, "here") == wanted
    else:
        with pytest.raises(InputError, match=r"^here: the caption is empty"):
            captions_of(text, "here")


# tables


def test_a_cell_may_hold_line_ends_and_the_message_names_where_the_row_ends(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(ONE)
    path = write_csv(tmp_path / "s.csv", [["path", "caption"], ["1.png", "two\nlines"], ["2.png", "gone"]])
    assert f"{path}: line 4: 2.png: no such file" in _refusal(path)
    (tmp_path / "2.png").write_bytes(TWO)
    assert open_dataset(path).texts == ("two\nlines", "gone")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: names no image column"),
        ("path,label\n", "has a header and no rows"),
        ("path,label\n\n,\n", "has a header and no rows"),
        ('path,label\n1.png,"a\n', "line 2: unexpected end of data"),
        (f"path,label\n1.png,{'a' * 140_000}\n", "line 2: field larger than field limit"),
        ("path,image,label\n1.png,1.png,a\n", "needs exactly one column of path, filepath, image, filename; has 2"),
        ("path,label,label\n1.png,a,a\n", "needs exactly one column of label; has 2"),
        ("path,label\n1.png,a,b\n", "line 2: has 3 cells, the header has 2; put double quotes"),
        ("path,label\n,a\n", "line 2: the image's path is empty or unusable"),
        ("path,label\n../1.png,a\n", "line 2: ../1.png lies outside the CSV's folder"),
        ("path,size\n1.png,3\n", "names no text column; looked for label, caption, title, text"),
    ],
    ids=["empty", "header", "blank", "open", "huge", "images", "labels", "wide", "nameless", "outside", "textless"],
)
def test_tables_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "1.png").write_bytes(ONE)
    path = tmp_path / "s.csv"
    path.write_text(text)
    assert message in _refusal(path)


def test_a_path_may_be_written_in_any_way_that_leads_below_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(ONE)
    rows = [["Path", " LABEL "], ["a/../a/./1.png", "x"], [" a/1.png ", "x"]]
    found = open_dataset(write_csv(tmp_path / "s.csv", rows))
    assert [item.name for item in found.items] == ["a/1.png"]
    assert found.targets == ((0,),)


@pytest.mark.parametrize(
    ("header", "found"),
    [("path,label", True), ("IMAGE;Caption", True), ("filename\ttitle", True), ("path,size", False), ("a,b", False)],
)
def test_a_table_is_told_by_its_header(tmp_path: Path, header: str, found: bool) -> None:
    path = tmp_path / "s.csv"
    path.write_text(f"{header}\nx,y\n")
    assert is_table(path) == found


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.text("abc ,;\"'\n", min_size=1, max_size=6)), min_size=1, max_size=8))
def test_captions_of_one_image_gather_from_all_its_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    wanted: dict[str, list[str]] = {}
    for number, text in rows:
        (folder / f"{number}.png").write_bytes(picture(number))
        if text.strip():
            given_texts = wanted.setdefault(f"{number}.png", [])
            given_texts += [text.strip()] if text.strip() not in given_texts else []
    kept = [[f"{number}.png", text] for number, text in rows if text.strip()]
    if not kept:
        return
    found = open_dataset(write_csv(folder / "s.csv", [["path", "caption"], *kept]))
    texts = {i.name: [found.texts[t] for t in target] for i, target in zip(found.items, found.targets, strict=True)}
    assert texts == wanted
    assert list(texts) == list(wanted)


# shards


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 120), st.integers(0, 12), st.integers(1, 4))
def test_a_range_keeps_the_width_of_its_first_number(first: int, more: int, width: int) -> None:
    pattern = "d/a-{" + f"{first:0{width}}..{first + more}" + "}.tar"
    assert is_pattern(pattern)
    assert [path.name for path in expand(pattern)] == [f"a-{n:0{width}}.tar" for n in range(first, first + more + 1)]


def test_two_ranges_are_written_out_like_digits() -> None:
    assert [str(path) for path in expand("{0..1}/{8..9}.tar")] == ["0/8.tar", "0/9.tar", "1/8.tar", "1/9.tar"]
    assert expand("plain.tar") == [Path("plain.tar")]
    assert not any(is_pattern(name) for name in ("a.tar", "{a..b}.tar", "{1,2}.tar", "{..3}.tar"))


def test_a_blank_line_among_class_names_would_shift_the_numbers(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "0.tar", [("1.png", ONE), ("1.cls", b"2")])
    names = tmp_path / "classnames.txt"
    names.write_text("cat\n\ndog\nbee\n")
    assert _refusal(path).startswith(f"{names}: line 2 is empty")
    names.write_text("cat\ndog\nbee\n\n \n")
    assert open_dataset(path).texts[open_dataset(path).targets[0][0]] == "bee"


def test_class_names_may_lie_one_folder_above(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    write_tar(tmp_path / "test" / "0.tar", [("1.png", ONE), ("1.cls", b"1\n")])
    (tmp_path / "classnames.txt").write_text("cat\ndog\n")
    found = open_dataset(tmp_path / "test")
    assert (found.texts, found.targets) == (("cat", "dog"), ((1,),))


@pytest.mark.parametrize(
    ("caption", "texts"),
    [('"a"', ("a",)), ('["a", "b"]', ("a", "b")), ('["a", 3, " ", "b "]', ("a", "b")), ('["a", "a"]', ("a",))],
    ids=["one", "list", "mixed", "twice"],
)
def test_captions_in_json(tmp_path: Path, caption: str, texts: tuple[str, ...]) -> None:
    record = f'{{"caption": {caption}, "width": 3}}'.encode()
    assert open_dataset(write_tar(tmp_path / "0.tar", [("1.png", ONE), ("1.json", record)])).texts == texts


@pytest.mark.parametrize("record", [b"[" * 100_000, b"nul", b"\xff"], ids=["deep", "bare", "bytes"])
def test_json_that_is_none_names_the_member(tmp_path: Path, record: bytes) -> None:
    path = write_tar(tmp_path / "0.tar", [("1.png", ONE), ("1.json", record)])
    assert _refusal(path).startswith(f"{path}: 1.json: is not ")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text("ab/é", min_size=1, max_size=120), st.binary(max_size=1500)), max_size=6))
def test_an_index_says_where_every_byte_is(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, bytes]]
) -> None:
    members = [(f"d/{name.strip('/')}x", data) for name, data in files]
    path = write_tar(tmp_path_factory.mktemp("index") / "0.tar", members)
    found = index(path)
    assert [member.name for member in found] == [name for name, _ in members]
    assert [read_at(path, member.offset, member.size) for member in found] == [data for _, data in members]


def test_folders_and_links_in_an_archive_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "0.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("d", tarfile.DIRTYPE), ("d/l.png", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "1.png"
            archive.addfile(info)
        info = tarfile.TarInfo("d/1.png")
        info.size = len(ONE)
        archive.addfile(info, io.BytesIO(ONE))
    assert [(member.name, member.size) for member in index(path)] == [("d/1.png", len(ONE))]


def _sealed(data: bytearray, whole: bytes) -> bytes:
    """Give every header the sum of its bytes, so that a reader believes it."""
    for start in range(0, len(data), 512):
        if whole[start + 257 : start + 262] == b"ustar":
            data[start + 148 : start + 156] = b" " * 8
            data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    return bytes(data)


def test_a_size_that_no_file_has_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "0.tar", [("1.png", ONE), ("1.txt", b"a")])
    whole = path.read_bytes()
    for size in (b"\x80" + bytes(2) + b"\x7f" + b"\xff" * 8, b"\xff" * 12, b"7" * 11 + b"\0", b"\x80" + b"\x70" * 11):
        data = bytearray(whole)
        data[124:136] = size
        path.write_bytes(_sealed(data, whole))
        assert str(path) in _refusal(path)


def test_a_header_changed_anywhere_is_read_or_refused(tmp_path: Path) -> None:
    members = [("1.png", ONE), ("1.txt", b"one"), (f"{'y' * 150}.png", TWO), (f"{'y' * 150}.txt", b"two")]
    path = write_tar(tmp_path / "0.tar", members)
    whole, draw, outcomes = path.read_bytes(), random.Random(1), set()  # noqa: S311
    for _ in range(250):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(_sealed(data, whole) if draw.random() < 0.7 else data)
        try:
            outcomes.add(open_dataset(path).task)
        except EdgekitError as error:
            outcomes.add("refused")
            assert str(path) in str(error)
    assert {"refused", "retrieval"} <= outcomes


def test_a_csv_of_pythons_own_writer_is_read_whatever_its_quoting(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(ONE)
    for quoting in (csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC):
        stream = io.StringIO(newline="")
        csv.writer(stream, quoting=quoting).writerows([["path", "caption"], ["1.png", 'say "hi", twice']])
        (tmp_path / "s.csv").write_text(stream.getvalue(), newline="")
        assert open_dataset(tmp_path / "s.csv").texts == ('say "hi", twice',)


def test_a_digest_is_that_of_json_strings(tmp_path: Path) -> None:
    """Half of a surrogate pair can stand in JSON; hashing it must not fail."""
    record = json.dumps({"caption": "\ud800 x"}).encode()
    path = write_tar(tmp_path / "0.tar", [("1.png", ONE), ("1.json", record)])
    assert len(open_dataset(path).digest) == 64
