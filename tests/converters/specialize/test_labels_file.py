"""A file of labels: what is read, and what is refused with file and line."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle.label_rules import name_problem
from edgekit.converters.specialize.labels_file import Vocabulary, normal, read_labels
from edgekit.errors import InputError, TextError


def read(data: bytes) -> Vocabulary:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "labels.txt"
        path.write_bytes(data)
        return read_labels(path)


def test_labels_come_in_the_files_order() -> None:
    found = read(b"cat\ndog\n\n  a red car \n")
    assert found == Vocabulary(("cat", "dog", "a red car"), {})


def test_prompts_of_their_own_follow_a_tab() -> None:
    found = read("other\ta photo; a picture of something ;a photo\ncat\ndog\t \nbell\tGlöckchen".encode())
    assert found.names == ("other", "cat", "dog", "bell")
    assert found.prompts == {"other": ("a photo", "a picture of something"), "bell": ("Glöckchen",)}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "mac"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "marked"])
def test_line_ends_and_a_mark_mean_nothing(end: str, mark: str) -> None:
    assert read(f"{mark}cat{end}{end}dog\ta dog{end}".encode()) == Vocabulary(("cat", "dog"), {"dog": ("a dog",)})


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", r"labels.txt: holds no label"),
        (b"\n \r\n\t\n", r"labels.txt: holds no label"),
        (b"cat\n\ncat\n", r"labels.txt: line 3: the label 'cat' stands on line 1 already"),
        ("caf\u00e9\ncafe\u0301\n".encode(), r"line 2: the label .* stands on line 1 already"),
        (b"cat\n\ta prompt\n", r"line 2: begins with a tab"),
        (b"cat\ta;;b", r"line 1: a prompt of 'cat' is empty"),
        (b"cat\ta cat;", r"line 1: a prompt of 'cat' is empty"),
        (b"cat\ta {}", r"line 1: the prompt 'a \{\}' holds \{\}; write it out"),
        (b"cat\ta\tb", r"line 1: a prompt of 'cat' holds a control character"),
        (b"ca\x07t\n", r"line 1: the label holds a control character"),
        ("one\u2028two".encode(), r"line 1: the label holds a control character or a line break"),
    ],
    ids=["empty", "blank", "twice", "looks alike", "tab first", "no prompt", "end", "slot", "tabs", "bell", "u2028"],
)
def test_a_wrong_line_is_named(data: bytes, told: str) -> None:
    with pytest.raises(TextError, match=told):
        read(data)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.txt: cannot be read"):
        read_labels(tmp_path / "none.txt")
    with pytest.raises(InputError, match="is not UTF-8"):
        read(b"\xff\xfe\x00")


WORD = (
    st.text(min_size=1, max_size=8).map(str.strip).filter(lambda word: not name_problem(word) and "\ufeff" not in word)
)
PROMPT = WORD.filter(lambda word: ";" not in word and "{}" not in word)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(WORD, st.lists(PROMPT, max_size=3, unique=True)),
        min_size=1,
        max_size=6,
        unique_by=lambda x: normal(x[0]),
    ),
    st.sampled_from(["\n", "\r\n", "\n\n  \n"]),
    st.booleans(),
)
def test_what_is_written_is_read(lines: list[tuple[str, list[str]]], end: str, mark: bool) -> None:
    text = "".join(f" {name} {'	' + ' ; '.join(own) if own else ''}{end}" for name, own in lines)
    found = read((("\ufeff" if mark else "") + text).encode())
    assert found.names == tuple(name for name, _ in lines)
    assert found.prompts == {name: tuple(own) for name, own in lines if own}


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = read(data)
    except InputError as error:
        assert "labels.txt" in str(error)
    else:
        assert found.names
        assert not any(map(name_problem, found.names))
