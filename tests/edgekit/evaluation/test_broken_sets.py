"""What a set can have wrong, and the file, line or member that the error names."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.evaluation.datasets import locate, open_dataset
from edgekit.evaluation.records import Task
from small_sets import picture, write_csv, write_tar

ONE = picture(1)


def _fails(path: Path, *parts: object, task: Task | None = None) -> str:
    with pytest.raises(InputError) as caught:
        open_dataset(path, task=task)
    for part in parts:
        assert str(part) in str(caught.value)
    return str(caught.value)


def _put(folder: Path, *names: str, data: bytes = ONE) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


# where it is


def test_what_is_not_there(tmp_path: Path) -> None:
    _fails(tmp_path / "nothing", tmp_path / "nothing", "no such file or folder")
    _fails(tmp_path, tmp_path, "looked for a sub-folder for each class, images with .txt captions", ".tar shards")
    _put(tmp_path, "one.png")
    _fails(tmp_path / "one.png", "is a single image; give the folder")


def test_a_name_is_looked_up_among_the_fetched_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="edgekit data fetch stamps"):
        locate("stamps")
    (tmp_path / "data" / "stamps").mkdir(parents=True)
    assert locate("stamps") == tmp_path / "data" / "stamps"
    (tmp_path / "stamps").mkdir()
    assert locate("stamps") == Path("stamps")  # what lies here comes first
    assert locate("some/where") == Path("some/where")
    assert locate("a-{0..1}.tar") == Path("a-{0..1}.tar")
    with pytest.raises(InputError, match="the data's path is empty"):
        locate("")


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_takes_something(tmp_path: Path, limit: int) -> None:
    with pytest.raises(InputError, match=f"limit is {limit}"):
        open_dataset(tmp_path, limit=limit)


# folders


def test_class_folders(tmp_path: Path) -> None:
    _put(tmp_path, "a_b/1.png")
    _fails(tmp_path, "a single class folder, a b")
    (tmp_path / "cat").mkdir()
    _fails(tmp_path, tmp_path / "cat", "holds no image")
    _put(tmp_path, "cat/2.png", "a b/3.png")
    _fails(tmp_path, tmp_path / "a_b", "is the class 'a b', and so is", tmp_path / "a b")
    (tmp_path / "a b" / "3.png").rename(tmp_path / "3.png")
    (tmp_path / "a b").rmdir()
    _fails(tmp_path, "(3.png)", "a_b/1.png", "--task unlabelled")
    assert len(open_dataset(tmp_path, task="unlabelled").items) == 3
    (tmp_path / "3.png").unlink()
    _fails(tmp_path, "holds data for classification, not for retrieval", task="retrieval")
    _put(tmp_path, "__/4.png")
    _fails(tmp_path, tmp_path / "__", "is no class name")


def test_captions_and_images_come_in_pairs(tmp_path: Path) -> None:
    _put(tmp_path, "1.png", "2.png")
    _put(tmp_path, "1.txt", data=b"a cat")
    _fails(tmp_path, tmp_path / "2.png", "has no caption; write 2.txt")
    _put(tmp_path, "2.txt", data=b" \n\n")
    _fails(tmp_path, tmp_path / "2.txt", "the caption is empty")
    _put(tmp_path, "2.txt", data=b"\xff\xfe")
    _fails(tmp_path, tmp_path / "2.txt", "is not UTF-8 text (byte 0)")
    _put(tmp_path, "2.txt", "3.txt", data=b"a dog")
    _fails(tmp_path, tmp_path / "3.txt", "has no image 3.jpg")
    (tmp_path / "3.txt").unlink()
    _put(tmp_path, "2.jpg")
    _fails(tmp_path, tmp_path / "2.png", "has the same stem as 2.jpg")


def test_a_link_that_leads_nowhere_and_a_pipe(tmp_path: Path) -> None:
    _put(tmp_path, "1.png")
    (tmp_path / "2.png").symlink_to(tmp_path / "gone.png")
    _fails(tmp_path, "2.png", "a link that leads nowhere")
    (tmp_path / "2.png").unlink()
    os.mkfifo(tmp_path / "2.png")
    _fails(tmp_path, "2.png", "is no file")


def test_hidden_files_are_not_part_of_a_set(tmp_path: Path) -> None:
    _put(tmp_path, "1.png", ".2.png", ".git/3.png")
    assert [item.name for item in open_dataset(tmp_path).items] == ["1.png"]


# tables


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["file", "label"]], "line 1: names no image column; looked for path, filepath, image, filename"),
        ([["image", "class"], ["1.png", "a"]], "line 1: names no text column; looked for label, caption, title, text"),
        ([["image", "label"]], "has a header and no rows"),
        ([["image", "path", "label"], ["1.png", "1.png", "a"]], "line 1: needs exactly one column of path, filepath"),
        ([["image", "title", "text"], ["1.png", "x", "y"]], "exactly one column of caption, title, text; has 2"),
        ([["image", "label", "text"], ["1.png", "x", "y"]], "give --task classification or --task retrieval"),
        ([["image", "label"], ["1.png", "a"], ["9.png", "b"]], "line 3: 9.png: no such file"),
        ([["image", "label"], ["1.png", "a"], ["2.png", " "]], "line 3: the label of 2.png is empty"),
        ([["image", "text"], ["1.png", ""]], "line 2: the caption of 1.png is empty"),
        ([["image", "label"], ["", "a"]], "line 2: the image's path is empty"),
        ([["image", "label"], ["1.png", "a"], ["./1.png", "b"]], "line 3: 1.png has the label 'b' here and 'a' above"),
        ([["image", "label"], ["1.png", "a", "b"]], "line 2: has 3 cells, the header has 2"),
        ([["image", "label"], ["../set.csv", "a"]], "line 2: ../set.csv lies outside the CSV's folder"),
        ([["image", "label"], ["/etc/passwd", "a"]], "line 2: /etc/passwd lies outside"),
        ([["image", "label"], ["sub/../../x", "a"]], "lies outside"),
        ([["image", "text"], ["1.png", "two\nlines"], ["8.png", "b"]], "line 4: 8.png: no such file"),
        ([["image", "label"], ["1.png", "x" * 200_000]], "line 2: field larger than field limit"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_tables(tmp_path: Path, rows: list[list[str]], message: str) -> None:
    _put(tmp_path, "1.png", "2.png")
    path = write_csv(tmp_path / "set.csv", rows)
    _fails(path, f"{path}: {message}" if message.startswith("line") else path, message)


def test_a_table_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_bytes(b"image,label\n\xe9.png,a\n")
    _fails(tmp_path / "set.csv", "is not UTF-8 text (byte 12)")
    (tmp_path / "set.csv").write_text('image,label\n1.png,"a\n')
    _fails(tmp_path / "set.csv", "set.csv: line ", "unexpected end of data")


def test_a_table_may_name_images_by_their_whole_path_below_it(tmp_path: Path) -> None:
    _put(tmp_path, "images/1.png")
    path = write_csv(tmp_path / "set.csv", [["image", "text"], [str(tmp_path / "images" / "1.png"), "a"]])
    assert [item.name for item in open_dataset(path).items] == ["images/1.png"]


def test_a_table_without_labels_serves_where_none_are_wanted(tmp_path: Path) -> None:
    _put(tmp_path, "1.png")
    path = write_csv(tmp_path / "set.csv", [["image", "note"], ["1.png", ""]])
    found = open_dataset(path, task="unlabelled")
    assert (found.task, len(found.items), found.texts) == ("unlabelled", 1, ())


def test_a_folder_with_two_tables_leaves_the_choice_to_the_user(tmp_path: Path) -> None:
    _put(tmp_path, "1.png")
    for name in ("a.csv", "b.tsv"):
        write_csv(tmp_path / name, [["image", "label"], ["1.png", name]])
    _fails(tmp_path, "holds 2 tables; give one of", tmp_path / "a.csv", tmp_path / "b.tsv")


@pytest.mark.parametrize(("task", "texts"), [("classification", ("cat",)), ("retrieval", ("my cat", "a cat"))])
def test_a_table_with_both_takes_what_the_task_says(tmp_path: Path, task: Task, texts: tuple[str, ...]) -> None:
    _put(tmp_path, "1.png")
    rows = [["image", "label", "caption"], ["1.png", "cat", "my cat"], ["1.png", "cat", "a cat"]]
    assert open_dataset(write_csv(tmp_path / "set.csv", rows), task=task).texts == texts


# shards


def test_compressed_shards_are_refused_with_the_command_that_unpacks_them(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "x.tar", [("1.png", ONE)]).read_bytes()
    (tmp_path / "x.tar").unlink()
    path = tmp_path / "0.tar.gz"
    path.write_bytes(gzip.compress(whole))
    for given in (path, tmp_path):
        _fails(given, f"unpack the archive first: gzip -d {path}")
    path.rename(tmp_path / "0.tgz")
    _fails(tmp_path, "gzip -d")


def test_an_archive_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "0.tar", [(f"{i}.{kind}", ONE) for i in range(2) for kind in ("png", "txt")])
    data = path.read_bytes()
    end = len(data.rstrip(b"\0")) + 512
    for size in range(0, end - end % 512, 128):
        path.write_bytes(data[:size])
        _fails(path, path)


def test_a_damaged_or_joined_archive_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "0.tar", [("1.png", ONE), ("2.png", ONE)])
    data = path.read_bytes()
    path.write_bytes(data + data)
    _fails(path, path, "data after byte", "joined on")
    second = data.index(b"2.png")
    path.write_bytes(data[: second + 100] + b"?" + data[second + 101 :])
    _fails(path, path, f"data after byte {second}")
    path.write_bytes(b"no archive at all" * 100)
    _fails(path, path, "is no whole tar archive")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("1.png", ONE), ("1.png", ONE), ("1.txt", b"a")], "1.png: the key is there twice"),
        ([("1.png", ONE), ("1.jpg", ONE), ("1.txt", b"a")], "1.jpg: the key is there twice"),
        ([("1.png", ONE), ("1.txt", b"a"), ("2.txt", b"b")], "2: has .txt and no image"),
        ([("1.png", ONE), ("1.txt", b"a"), ("d/2.png", ONE)], "d/2: has no caption; looked for d/2.txt and d/2.json"),
        ([("1.png", ONE), ("1.txt", b" \n")], "1.txt: the caption is empty"),
        ([("1.png", ONE), ("1.txt", b"\xff")], "1.txt: is not UTF-8 text"),
        ([("1.png", ONE), ("1.json", b"{nope")], "1.json: is not JSON"),
        ([("1.png", ONE), ("1.txt", b"a"), ("2.png", ONE), ("2.json", b'{"caption": " "}')], "2.json: its caption is"),
        ([("1.png", ONE), ("1.txt", b"a"), ("1.cls", b"cat")], "give --task classification or --task retrieval"),
        ([("1.png", ONE), ("1.cls", b"cat"), ("2.png", ONE)], "2: has no class; looked for 2.cls"),
        ([("1.png", ONE), ("1.cls", b" ")], "1.cls: the class is empty"),
        ([("1.png", ONE), ("1.cls", b"4")], "its .cls files hold numbers; write the classes' names"),
        ([("readme", b"nothing")], "holds no bmp, jpeg, jpg, png, tif, tiff, webp"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_members(tmp_path: Path, members: list[tuple[str, bytes]], message: str) -> None:
    path = write_tar(tmp_path / "7.tar", members)
    _fails(path, path, message)


def test_class_names_fit_the_numbers(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "7.tar", [("1.png", ONE), ("1.cls", b"2")])
    names = tmp_path / "classnames.txt"
    names.write_text("cat\ndog\n")
    _fails(path, names, "names 2 classes, but 7.tar or another shard has 2")
    names.write_text("cat\ndog\ncat\n")
    _fails(path, names, "names a class twice")
    names.write_text("cat\ndog\nbee\n")
    assert open_dataset(path).texts == ("cat", "dog", "bee")


def test_patterns(tmp_path: Path) -> None:
    write_tar(tmp_path / "a-00.tar", [("1.png", ONE), ("1.txt", b"one")])
    _fails(tmp_path / "a-{00..01}.tar", tmp_path / "a-01.tar", "no such shard; the pattern names 2")
    _fails(tmp_path / "a-{3..1}.tar", "the range {3..1} runs backwards")
    write_tar(tmp_path / "a-01.tar", [("1.png", picture(2)), ("1.txt", b"two")])
    found = open_dataset(tmp_path / "a-{00..01}.tar")
    assert found.texts == ("one", "two")
    assert [item.name for item in found.items] == ["a-00.tar: 1.png", "a-01.tar: 1.png"]
    assert open_dataset(tmp_path).digest == found.digest


def test_shards_without_captions_are_images(tmp_path: Path) -> None:
    record = json.dumps({"caption": None, "status": "success"}).encode()
    path = write_tar(tmp_path / "0.tar", [("1.png", ONE), ("1.json", record)])
    found = open_dataset(path)
    assert (found.task, found.texts, found.items[0].read()) == ("unlabelled", (), ONE)


def test_a_path_in_an_archive_is_a_name_and_nothing_more(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "0.tar", [("../../etc/1.png", ONE), ("../../etc/1.txt", b"a"), ("/etc/passwd", b"x")])
    (item,) = open_dataset(path).items
    assert (item.path, item.read()) == (path, ONE)


@pytest.mark.parametrize("layout", ["folder", "table", "shard"])
def test_no_message_lacks_a_way_out(tmp_path: Path, layout: str) -> None:
    broken: dict[str, Callable[[], Path]] = {
        "folder": lambda: tmp_path,
        "table": lambda: write_csv(tmp_path / "s.csv", [["image", "label"], ["gone.png", "a"]]),
        "shard": lambda: write_tar(tmp_path / "s.tar", [("1.txt", b"a")]),
    }
    assert re.match(rf"{re.escape(str(tmp_path))}.*: .+", _fails(broken[layout]()))
