"""Archives of embeddings: ordinary NumPy files, whole or not there, with any names."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit import vectors
from edgekit.errors import InputError
from edgekit.vectors import VectorWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

ANY_NAME = st.text(st.characters(), max_size=20) | st.binary(max_size=12).map(
    lambda b: b.decode("utf-8", "surrogateescape")
)


def rows(count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)


def written(path: Path, parts: Sequence[tuple[Any, list[str], Any]], space: str = "space-1") -> dict[str, Any]:
    with VectorWriter(path, 4, space) as writer:
        for kind, names, values in parts:
            writer.add(kind, names, values)
        writer.finish()
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    found = written(
        tmp_path / "v.npz", [("image", ["a.jpg", "ünï/名.png"], rows(2)), ("text", ["a cat"], rows(1, 1))], "sha256:ab"
    )
    assert set(found) == {"embeddings", "names", "kinds", "space"}
    np.testing.assert_array_equal(found["embeddings"], np.concatenate([rows(2), rows(1, 1)]))
    assert found["embeddings"].dtype == np.float32
    assert found["names"].tolist() == ["a.jpg", "ünï/名.png", "a cat"]
    assert found["kinds"].tolist() == ["image", "image", "text"]
    assert str(found["space"]) == "sha256:ab"


def test_nothing_is_an_archive_too(tmp_path: Path) -> None:
    found = written(tmp_path / "v.npz", [])
    assert found["embeddings"].shape == (0, 4)
    assert found["names"].shape == found["kinds"].shape == (0,)


@settings(max_examples=40, deadline=None)
@given(st.lists(ANY_NAME, max_size=6))
def test_any_name_comes_back(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    # NumPy's fixed-width text cannot end in NUL, and file names and texts never do.
    names = [
        name.rstrip("\0")
        for name in names
        if not any("\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff" for c in name)
    ]
    found = written(tmp_path_factory.mktemp("v") / "v.npz", [("image", names, rows(len(names)))])
    assert found["names"].tolist() == names


def test_columns_and_other_layouts_are_stored_as_rows(tmp_path: Path) -> None:
    values = np.asfortranarray(rows(6)[::2])
    found = written(tmp_path / "v.npz", [("image", ["a", "b", "c"], values)])
    np.testing.assert_array_equal(found["embeddings"], values)


def test_more_than_one_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "_CHUNK", 10)
    found = written(tmp_path / "v.npz", [("image", [str(i) for i in range(50)], rows(50))])
    np.testing.assert_array_equal(found["embeddings"], rows(50))
    assert found["names"][49] == "49"


def test_an_ordinary_zip_tool_finds_it_whole(tmp_path: Path) -> None:
    written(tmp_path / "v.npz", [("image", ["a"], rows(1))])
    with zipfile.ZipFile(tmp_path / "v.npz") as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {"embeddings.npy", "names.npy", "kinds.npy", "space.npy"}


def test_an_error_leaves_the_old_archive_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "v.npz"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), VectorWriter(path, 4, "s") as writer:
        writer.add("image", ["a"], rows(1))
        raise KeyError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_while_finishing_leaves_the_old_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "v.npz"
    path.write_bytes(b"old")
    monkeypatch.setattr(vectors, "_add", full)
    with pytest.raises(OSError, match="No space"):
        written(path, [("image", ["a"], rows(1))])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"v\.npz: cannot write into .*none: No such file"):
        VectorWriter(tmp_path / "none" / "v.npz", 4, "s")


def test_unfinished_work_needs_no_memory(tmp_path: Path) -> None:
    with VectorWriter(tmp_path / "v.npz", 4, "s") as writer:
        writer.add("image", ["a"] * 100, rows(100))
        assert writer.count == 100
        assert not list(tmp_path.iterdir())  # its files have no names, so that not even a power cut leaves them
