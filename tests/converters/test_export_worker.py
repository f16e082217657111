"""The child that loads a source: references, facts and graphs land in the work folder as the source gives them."""

from __future__ import annotations

import importlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tiny_bundle as tiny
import tiny_source
from edgekit.bundle import schema
from edgekit.converters import exchange, export_worker
from edgekit.converters.records import SourceModel, SourceOptions
from edgekit.errors import ImageError, InputError
from tiny_towers import SIZE

NONE = SourceOptions()


@pytest.fixture
def model() -> SourceModel:
    made = tiny_source.load("good", NONE)
    assert isinstance(made, SourceModel)
    return made


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register ``tiny`` as a third party's package does, in this process."""
    info = tmp_path / "site" / "tiny_source-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-source\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[edgekit.sources]\ntiny = tiny_source:load\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    importlib.invalidate_caches()


def request(folder: Path, photos: list[Path], source: str = "tiny:good", tokenizer: str = "") -> exchange.Request:
    asked = exchange.Request(source, tokenizer, tuple(map(str, photos)), ("a cat", "a dog", ""))
    (folder / exchange.REQUEST).write_text(schema.dumps(asked))
    return asked


def photos(folder: Path) -> list[Path]:
    return [Path(shutil.copy(tiny.PHOTOS / f"{name}.jpg", folder)) for name in ("cat", "coffee")]


def test_all_of_a_conversions_first_half_lies_in_the_folder(registered: None, tmp_path: Path) -> None:
    request(tmp_path, photos(tmp_path))
    export_worker.main(tmp_path)
    facts = exchange.read_facts(tmp_path)
    assert (facts.name, facts.license, facts.dimension, facts.scores) == ("tiny", "Apache-2.0", 16, "softmax")
    assert facts.space == f"sha256:{facts.weights_sha256[:32]}"  # the source names none of its own
    assert facts.storage == {"image": "float32", "text": "float32"}
    assert exchange.master(tmp_path, "image").is_file()
    assert exchange.master(tmp_path, "text").is_file()
    # The exported tokenizer is one that the SDK reads, and gives the ids that the source gave.
    expected = np.load(exchange.array(tmp_path, "reference_token_ids"))
    found = exchange.encoder(tmp_path, trim_padding=False).encode(("a cat", "a dog", ""))
    np.testing.assert_array_equal(found, expected)
    short = exchange.trimmed_ids(tmp_path)
    assert [row.tolist() for row in short] == [[i for i in row if i != 0] for row in expected.tolist()]


def test_the_users_tokenizer_reaches_the_source(registered: None, tmp_path: Path) -> None:
    request(tmp_path, photos(tmp_path), tokenizer="/somewhere/own.json")
    export_worker.main(tmp_path)
    assert exchange.read_facts(tmp_path).description == "For tests; tokenizer own.json."


def test_references_are_computed_one_input_at_a_time(model: SourceModel, tmp_path: Path) -> None:
    """A framework may pick other kernels for a batch; the golden vectors are those of single inputs."""
    seen: list[int] = []

    class Watched:
        def reference(self, batch: Any) -> Any:
            seen.append(len(batch))
            return model.image_tower.reference(batch)

        def export(self, path: Path) -> None:
            raise NotImplementedError

    watched = replace(model, image_tower=Watched())
    export_worker.write_references(tmp_path, watched, request(tmp_path, photos(tmp_path)))
    assert seen == [1, 1]
    assert np.load(exchange.array(tmp_path, "reference_image")).dtype == np.float32
    assert np.load(exchange.array(tmp_path, "reference_token_ids")).dtype == np.int32


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_both_sides_see_a_photo_upright(model: SourceModel, tmp_path: Path, orientation: int) -> None:
    """A camera's note on how it was held is followed by edgekit and given to no transform of the source."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24] = (200, 30, 30)
    image, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112] = orientation
    turned = tmp_path / "turned.png"
    image.save(turned, exif=exif)
    export_worker.write_references(tmp_path, model, request(tmp_path, [turned]))
    ours, theirs = (np.load(exchange.array(tmp_path, name))[0] for name in ("pixels", "reference_pixels"))
    np.testing.assert_array_equal(ours, theirs)
    red = {1: ours[:8, :, 0], 3: ours[-8:, :, 0], 6: ours[:, -8:, 0], 8: ours[:, :8, 0]}[orientation]
    assert red.min() > 180


def save(path: Path, mode: str, alpha: int = 255) -> Path:
    """The cat, in a mode that the file's format has."""
    with Image.open(tiny.PHOTOS / "cat.jpg") as photo:
        small = photo.resize((70, 50))
    if "A" in mode:
        small.putalpha(alpha)
    (small.convert("L").convert(mode) if mode == "I;16" else small.convert(mode)).save(path)
    return path


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "CMYK"])
def test_both_sides_see_a_photo_of_any_usual_mode_alike(model: SourceModel, tmp_path: Path, mode: str) -> None:
    path = save(tmp_path / ("photo.tiff" if mode == "CMYK" else "photo.png"), mode)
    export_worker.write_references(tmp_path, model, request(tmp_path, [path]))
    ours, theirs = (np.load(exchange.array(tmp_path, name)) for name in ("pixels", "reference_pixels"))
    assert ours.shape == theirs.shape == (1, SIZE, SIZE, 3)
    assert int(np.abs(ours.astype(int) - theirs.astype(int)).max()) <= 1


@pytest.mark.parametrize(
    ("mode", "alpha"), [("P", 255), ("1", 255), ("I;16", 255), ("YCbCr", 255), ("RGBA", 254), ("LA", 0)]
)
def test_pictures_that_transforms_treat_differently_are_refused(
    model: SourceModel, tmp_path: Path, mode: str, alpha: int
) -> None:
    """Resized before or after they become RGB they look different; the model is not to blame for that."""
    path = save(tmp_path / ("picture.tiff" if mode == "YCbCr" else "picture.png"), mode, alpha)
    with pytest.raises(InputError, match=rf"picture\.\w+: a picture of mode {mode} \(a palette, transparency"):
        export_worker.write_references(tmp_path, model, request(tmp_path, [path]))
    assert not exchange.array(tmp_path, "pixels").exists()


def test_a_photo_that_is_none_is_named(model: SourceModel, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ImageError, match=r"broken\.png"):
        export_worker.write_references(tmp_path, model, request(tmp_path, [*photos(tmp_path), broken]))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("tiny:nothing", r"tiny:nothing: the source 'tiny' returned str, not a SourceModel"),
        ("abacus:x:y", r"abacus:x:y: there is no source 'abacus'; a source starts with one of .*hf, .*onnx, .*tiny"),
        (":x", "there is no source ''"),
        ("Tiny:good", "there is no source 'Tiny'"),
    ],
)
def test_what_is_no_source_is_told_with_those_there_are(registered: None, source: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        export_worker.load_source(source, NONE)


def test_a_sources_own_name_may_hold_colons(registered: None) -> None:
    assert export_worker.load_source("tiny:a:b/c.pt", NONE).name == "tiny"
    assert export_worker.load_source("tiny", NONE).name == "tiny"
