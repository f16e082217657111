"""`edgekit embed`: folders, broken photos, texts, odd names, and an archive that is whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgekit
import tiny_bundle as tiny
from cli_runner import fails, run
from edgekit.cli import embed as embed_module
from spy_runtime import SpyRuntime, install


def archive(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as found:
        return dict(found)


@pytest.fixture
def gallery(tmp_path: Path, photos: list[Path]) -> Path:
    folder = tmp_path / "gallery"
    for i, name in enumerate(["b.JPG", "a/2.png", "a/10.webp", "a/deep/er/x.tiff", "c.bmp"]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.open(photos[i])
        image.thumbnail((60, 60))
        image.save(path)
    (folder / "notes.txt").write_text("no photo")
    return folder


def test_embed_finds_photos_in_folders(tiny_bundle: Path, gallery: Path, photos: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "o.npz"
    result = run("embed", tiny_bundle, gallery, photos[0], "--text", "a cat", "--text", "猫", "-o", out)
    assert result.output == f"{out}: 8 rows of 16\n"
    found = archive(out)
    names = [str(gallery / name) for name in ("b.JPG", "c.bmp", "a/10.webp", "a/2.png", "a/deep/er/x.tiff")]
    assert found["names"].tolist() == [*names, str(photos[0]), "a cat", "猫"]
    assert found["kinds"].tolist() == ["image"] * 6 + ["text"] * 2
    assert str(found["space"]) == "tiny-0"
    assert (found["embeddings"].shape, found["embeddings"].dtype) == ((8, 16), np.float32)
    with edgekit.load(tiny_bundle) as clip:
        np.testing.assert_allclose(found["embeddings"][:6], clip.embed_images(found["names"][:6].tolist()), atol=1e-6)
        np.testing.assert_allclose(found["embeddings"][6:], clip.embed_texts(["a cat", "猫"]), atol=1e-6)


def test_embed_skips_and_reports_broken_photos(tiny_bundle: Path, gallery: Path, tmp_path: Path) -> None:
    (gallery / "a" / "broken.jpg").write_bytes(b"\xff\xd8 not a photo")
    (gallery / "empty.png").write_bytes(b"")
    out = tmp_path / "o.npz"
    result = run("embed", tiny_bundle, gallery, "-o", out, "--json")
    broken = [str(gallery / "empty.png"), str(gallery / "a" / "broken.jpg")]
    assert json.loads(result.stdout) == {
        "output": str(out),
        "rows": 5,
        "dimension": 16,
        "space": "tiny-0",
        "skipped": broken,
    }
    assert [
        line.startswith(f"skipped: {name}: ") for name, line in zip(broken, result.stderr.splitlines(), strict=True)
    ]
    assert set(archive(out)["names"]).isdisjoint(broken)
    assert "5 rows of 16, 2 skipped" in run("embed", tiny_bundle, gallery, "-o", out).output


def test_embed_strict_stops_and_writes_nothing(tiny_bundle: Path, gallery: Path, tmp_path: Path) -> None:
    (gallery / "broken.jpg").write_bytes(b"")
    out = tmp_path / "o.npz"
    out.write_bytes(b"old")
    assert "broken.jpg: " in fails("embed", tiny_bundle, gallery, "-o", out, "--strict")
    assert out.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"gallery", "o.npz"}


def test_embed_with_nothing_but_broken_photos_fails(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"")
    out = tmp_path / "o.npz"
    result = run("embed", tiny_bundle, tmp_path / "broken.jpg", "-o", out, code=2)
    assert "no photo could be embedded" in result.stderr
    assert not out.exists()


def test_embed_takes_texts_alone_and_from_a_file(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("".join(f"{word} cat\n" for word in tiny.WORDS))
    out = tmp_path / "o.npz"
    run("embed", tiny_bundle, "--texts-file", tmp_path / "t.txt", "-o", out)
    found = archive(out)
    assert found["names"].tolist() == [f"{word} cat" for word in tiny.WORDS]
    assert set(found["kinds"]) == {"text"}


def test_embed_opens_only_the_towers_it_needs(
    tiny_bundle: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = SpyRuntime()
    install(monkeypatch, spy)
    run("embed", tiny_bundle, photos[0], "-o", tmp_path / "o.npz")
    assert not spy.batches("text")
    spy.forget()
    run("embed", tiny_bundle, "--text", "a", "-o", tmp_path / "o.npz")
    assert not spy.batches("image")


def test_embed_keeps_names_that_are_not_utf8(tiny_bundle: Path, photos: list[Path], tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")
    Path(name).write_bytes(photos[0].read_bytes())
    out = tmp_path / "o.npz"
    found = json.loads(run("embed", tiny_bundle, tmp_path, "-o", out, "--json").stdout)
    assert found["rows"] == 1
    assert archive(out)["names"].tolist() == [name]
    assert Path(str(archive(out)["names"][0])).exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{bundle}", "-o", "{tmp}/o.npz"], "nothing to embed"),
        (["{bundle}", "{photo}"], "Missing option '-o'"),
        (["{bundle}", "{photo}", "-o", "{tmp}/o.npy"], "ends in .npz"),
        (["{bundle}", "{photo}", "-o", "{tmp}/no/o.npz"], "does not exist"),
        (["{bundle}", "{photo}", "-o", "{tmp}/dir.npz"], "is a folder"),
        (["{bundle}", "missing", "-o", "{tmp}/o.npz"], "missing: no such file or folder"),
        (["{bundle}", "--text", "a", "--texts-file", "no.txt", "-o", "{tmp}/o.npz"], "no.txt: cannot be read"),
        (["{bundle}", "{tmp}/dir.npz", "-o", "{tmp}/o.npz"], "no photo could be embedded"),
    ],
)
def test_embed_tells_wrong_use(
    tiny_bundle: Path, photos: list[Path], tmp_path: Path, arguments: list[str], told: str
) -> None:
    (tmp_path / "dir.npz").mkdir()
    filled = [argument.format(bundle=tiny_bundle, photo=photos[0], tmp=tmp_path) for argument in arguments]
    assert told in fails("embed", *filled)
    assert [path.name for path in tmp_path.iterdir()] == ["dir.npz"]


def test_embed_tells_a_folder_that_cannot_be_searched(
    tiny_bundle: Path, gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.walk

    def walk(path: Any, onerror: Any) -> Any:
        onerror(PermissionError(13, "Permission denied", f"{path}/secret"))
        yield from real(path)

    monkeypatch.setattr(embed_module.os, "walk", walk)
    assert "secret: cannot be searched: Permission denied" in fails(
        "embed", tiny_bundle, gallery, "-o", tmp_path / "o.npz"
    )


def test_a_full_disk_is_a_failure_with_a_reason(
    tiny_bundle: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgekit.vectors.VectorWriter.add", full)
    assert (
        fails("embed", tiny_bundle, photos[0], "-o", tmp_path / "o.npz", code=1) == "Error: No space left on device\n"
    )
