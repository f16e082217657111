"""Any set, written in any layout that can hold it, is read back as it was."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.evaluation.datasets import open_dataset
from edgekit.evaluation.records import Dataset
from small_sets import write_csv, write_tar

PNG = bytes.fromhex("89504e470d0a1a0a")
Captions = dict[str, list[str]]
Classes = dict[str, str]

# Anything a person may write in a line; white space around it is not part of a caption.
LINES = (
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Cs"]), min_size=1, max_size=20)
    .map(str.strip)
    .filter(lambda text: text and len(text.splitlines()) == 1)
)
KEYS = st.text("abcXYZ019-_ é猫", min_size=1, max_size=8).map(str.strip).filter(bool)
CAPTIONS = st.dictionaries(KEYS, st.lists(LINES, min_size=1, max_size=3), min_size=1, max_size=6)
CLASS_NAMES = st.text("abcXYZ019- é猫", min_size=1, max_size=8).map(str.strip).filter(bool)


def _content(key: str) -> bytes:
    return PNG + key.encode()


def _beside(folder: Path, captions: Captions) -> Path:
    for key, lines in captions.items():
        (folder / f"{key}.png").write_bytes(_content(key))
        (folder / f"{key}.txt").write_text("\n".join(["", *lines, " "]) + "\n", encoding="utf-8")
    return folder


def _nested(folder: Path, captions: Captions) -> Path:
    home = folder / "00000" / "more"
    home.mkdir(parents=True)
    _beside(home, captions)
    return folder


def _table(delimiter: str, start: str, column: str) -> Callable[[Path, Captions], Path]:
    def write(folder: Path, captions: Captions) -> Path:
        (folder / "images").mkdir()
        rows = [["id", column.upper(), " FilePath "]]
        for key, lines in captions.items():
            (folder / "images" / f"{key}.png").write_bytes(_content(key))
            rows += [["7", f" {line} ", f"images/{key}.png"] for line in lines]
        return write_csv(folder / "set.csv", rows, delimiter, start)

    return write


def _shard(folder: Path, captions: Captions) -> Path:
    members = []
    for key, lines in captions.items():
        members += [(f"./{key}.png", _content(key)), (f"./{key}.txt", "\n".join(lines).encode())]
        members += [(f"./{key}.json", b"{}"), (f"./{key}.seg.npy", b"ignored")]
    return write_tar(folder / "00000.tar", members)


def _shards_with_json(folder: Path, captions: Captions) -> Path:
    for number, (key, lines) in enumerate(captions.items()):
        caption = json.dumps({"key": key, "caption": lines if len(lines) > 1 else lines[0], "status": "success"})
        members = [(f"{key}.JSON", caption.encode()), (f"{key}.PNG", _content(key))]
        write_tar(folder / f"a-{number:03}.tar", members)
    (folder / "00000_stats.json").write_text("{}")
    return folder / f"a-{{000..{len(captions) - 1:03}}}.tar"


LAYOUTS = {
    "beside": _beside,
    "nested": _nested,
    "comma": _table(",", "", "caption"),
    "tab": _table("\t", "\ufeff", "title"),
    "semicolon": _table(";", "\ufeff", "text"),
    "shard": _shard,
    "shards-json": _shards_with_json,
}


def _read(dataset: Dataset) -> dict[bytes, list[str]]:
    """Each image's bytes with its texts."""
    found = [
        (item.read(), [dataset.texts[i] for i in target])
        for item, target in zip(dataset.items, dataset.targets, strict=True)
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@settings(max_examples=25, deadline=None)
@given(captions=CAPTIONS)
def test_captions_are_read_back(layout: Callable[..., Path], captions: Captions) -> None:
    with tempfile.TemporaryDirectory() as name:
        dataset = open_dataset(layout(Path(name), captions))
        assert dataset.task == "retrieval"
        assert _read(dataset) == {_content(key): list(dict.fromkeys(lines)) for key, lines in captions.items()}
        assert len(set(dataset.texts)) == len(dataset.texts)
        assert len({item.name for item in dataset.items}) == len(captions)


def _folders(folder: Path, classes: Classes) -> Path:
    for key, label in classes.items():
        home = folder / label.replace(" ", "_") / "deeper"
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{key}.png").write_bytes(_content(key))
    return folder


def _labels(folder: Path, classes: Classes) -> Path:
    for key in classes:
        (folder / f"{key}.png").write_bytes(_content(key))
    rows = [["filename", "label"], *([f"{key}.png", label] for key, label in classes.items()), ["", ""]]
    write_csv(folder / "labels.csv", rows)
    (folder / "classes.csv").write_text("label,superclass\nx,y\n")  # names no images: not the set
    return folder


def _words(folder: Path, classes: Classes) -> Path:
    members = [(f"{key}.png", _content(key)) for key in classes]
    members += [(f"{key}.cls", f"{label}\n".encode()) for key, label in classes.items()]
    write_tar(folder / "0.tar", members)
    return folder


def _numbers(folder: Path, classes: Classes) -> Path:
    names = sorted(set(classes.values()))
    (folder / "classnames.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    (folder / "test").mkdir()
    for number, (key, label) in enumerate(classes.items()):
        members = [(f"{key}.webp", _content(key)), (f"{key}.cls", str(names.index(label)).encode())]
        write_tar(folder / "test" / f"{number}.tar", members)
    return folder / "test"


CLASS_LAYOUTS = {"folders": _folders, "csv": _labels, "cls-words": _words, "cls-numbers": _numbers}


@pytest.mark.parametrize("layout", CLASS_LAYOUTS.values(), ids=CLASS_LAYOUTS)
@settings(max_examples=25, deadline=None)
@given(data=st.data(), names=st.lists(CLASS_NAMES, min_size=2, max_size=4, unique=True))
def test_classes_are_read_back(layout: Callable[..., Path], data: st.DataObject, names: list[str]) -> None:
    names = [f"the {name}" for name in names]  # "12" alone would be a class number
    classes = data.draw(st.dictionaries(KEYS, st.sampled_from(names), min_size=2, max_size=6))
    classes |= {f"k{i}": name for i, name in enumerate(names)}
    with tempfile.TemporaryDirectory() as name:
        dataset = open_dataset(layout(Path(name), classes))
        assert dataset.task == "classification"
        assert _read(dataset) == {_content(key): [label] for key, label in classes.items()}
        assert sorted(dataset.texts) == sorted(names)


@settings(max_examples=20, deadline=None)
@given(st.sets(KEYS, min_size=1, max_size=6))
def test_images_alone_are_read_back(keys: set[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        for key in keys:
            (Path(name) / f"{key}.JPG").write_bytes(_content(key))
        dataset = open_dataset(Path(name))
        assert (dataset.task, dataset.texts) == ("unlabelled", ())
        assert _read(dataset) == {_content(key): [] for key in keys}


@settings(max_examples=20, deadline=None)
@given(captions=CAPTIONS)
def test_one_set_has_one_digest_in_every_layout(captions: Captions) -> None:
    """Wherever it lies, and whatever its files are called, as long as the order is the same."""
    ordered = {key: captions[key] for key in sorted(captions, key=lambda key: f"{key}.png")}
    digests = set()
    for layout in ("beside", "nested", "comma", "semicolon", "shard", "shards-json"):
        with tempfile.TemporaryDirectory() as name:
            digests.add(open_dataset(LAYOUTS[layout](Path(name), ordered)).digest)
    assert len(digests) == 1
