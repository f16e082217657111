"""Weights, photos and folders that the comparison runs on: made once, whole, and the same each time."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.benchmarks.peers import material
from edgekit.benchmarks.peers.material import jpeg, open_clip_model, prepare


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is made beside the weights, which are those of a model of a few numbers."""
    made: list[str] = []

    def convert(source: str, out: Path, options: object, on_stage: object) -> None:
        made.append("bundle")
        out.write_bytes(source.encode())

    def export(folder: Path, weights: Path) -> None:
        made.append("peer")
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(str(weights))

    monkeypatch.setattr(material, "SIZES", {"small": (40, 30)})
    monkeypatch.setattr(material, "_create_model", lambda architecture="": torch.nn.Linear(3, 2))
    monkeypatch.setattr(material, "convert", convert)
    monkeypatch.setattr(material, "_export_peer", export)
    return made


def test_weights_that_were_half_written_are_never_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[str]
) -> None:
    """Ctrl-C while half a gigabyte is written: the next run must not load what is there."""
    save = torch.save

    def interrupted(state: Any, to: Any) -> None:
        to.write(b"PK half of a file") if hasattr(to, "write") else Path(to).write_bytes(b"PK half of a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path)
    assert steps == []
    monkeypatch.setattr(torch, "save", save)
    found = prepare(tmp_path)
    assert steps == ["bundle", "peer"]
    assert torch.load(found.weights, weights_only=True)["weight"].shape == (2, 3)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_every_contender_gets_the_same_weights_each_time(tmp_path: Path, steps: list[str]) -> None:
    first, second = prepare(tmp_path / "a"), prepare(tmp_path / "b")
    states = [torch.load(found.weights, weights_only=True) for found in (first, second)]
    assert torch.equal(states[0]["weight"], states[1]["weight"])
    model = open_clip_model(first.weights)
    assert torch.equal(model.weight, states[0]["weight"])
    assert not model.training
    assert first.bundle.read_bytes().decode().endswith(f":{first.weights}")


def test_what_is_missing_alone_is_made_again(tmp_path: Path, steps: list[str]) -> None:
    found = prepare(tmp_path)
    (folder,) = found.photos.values()
    photo = min(folder.glob("*.jpg"))
    before, weights = photo.read_bytes(), found.weights.read_bytes()
    photo.unlink()
    found.bundle.unlink()
    steps.clear()
    assert prepare(tmp_path) == found
    assert steps == ["bundle"]
    assert (photo.read_bytes(), found.weights.read_bytes()) == (before, weights)


@settings(deadline=None, max_examples=15)
@given(st.integers(8, 120), st.integers(8, 120), st.sampled_from(["temple.jpg", "cat.jpg", "rocket.jpg"]))
def test_a_photo_has_its_size_and_the_grain_of_a_camera(width: int, height: int, source: str) -> None:
    data = jpeg((width, height), source)
    assert data == jpeg((width, height), source)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (width, height), "RGB")
        pixels = np.asarray(image, np.float32)
    # Neighbours differ, as they do not in a photo that was only enlarged.
    assert np.abs(np.diff(pixels.mean(axis=2), axis=1)).mean() > 1
