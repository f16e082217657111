"""Photos of every kind and in any number to unit rows."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import edgekit
import tiny_bundle as tiny
from edgekit import clip as clip_module
from edgekit.errors import ImageError, InputError
from edgekit.preprocess import preprocess
from edgekit.tower import MAX_BATCH
from spy_runtime import SpyRuntime
from tiny_towers import embed_pixels, weights

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit import Clip


def arrays(count: int) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(3)
    return [random.integers(0, 256, (40, 48, 3), np.uint8) for _ in range(count)]


def expected(clip: Clip, images: Any) -> Any:
    pixels = np.stack([preprocess(image, clip.manifest.image) for image in images])
    return embed_pixels(weights(0, tiny.make_tokenizer().get_vocab_size()), pixels)


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 40])
def test_any_number(clip: Clip, spy: SpyRuntime, count: int) -> None:
    images = arrays(count)
    rows = clip.embed_images(images)
    assert (rows.shape, rows.dtype) == ((count, 16), np.float32)
    assert sum(spy.batches("image")) == count
    assert max(spy.batches("image"), default=0) <= MAX_BATCH
    if count:
        np.testing.assert_allclose(rows, expected(clip, images), atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_the_batch_does_not_change_a_row(clip: Clip) -> None:
    images = arrays(19)
    together = clip.embed_images(images)
    alone = np.concatenate([clip.embed_images([image]) for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_a_fixed_batch_is_filled_up_and_cut(tmp_path: Path, spy: SpyRuntime) -> None:
    with edgekit.load(tiny.build(tmp_path / "s.edge", variants=("static",))) as clip:
        for count in (0, 1, 2, 3, 5, 17):
            spy.forget()
            images = arrays(count)
            rows = clip.embed_images(images)
            assert rows.shape == (count, 16)
            assert set(spy.batches("image")) <= {2}
            if count:
                np.testing.assert_allclose(rows, expected(clip, images), atol=1e-5)
        assert clip.embed_texts(["a cat", "a dog", "a cup"]).shape == (3, 16)


def test_every_kind_of_source_is_the_same_photo(clip: Clip, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    pixels = arrays(1)[0]
    Image.fromarray(pixels).save(photo)
    upright = Image.open(io.BytesIO(photo.read_bytes()))
    rows = clip.embed_images([photo, str(photo), photo.read_bytes(), pixels, upright])
    for row in rows[1:]:
        np.testing.assert_array_equal(row, rows[0])


def test_an_array_of_photos_is_a_list_of_photos(clip: Clip) -> None:
    stack = np.stack(arrays(3))
    np.testing.assert_array_equal(clip.embed_images(stack), clip.embed_images(list(stack)))
    np.testing.assert_array_equal(clip.embed_images(tuple(stack)), clip.embed_images(list(stack)))
    assert clip.embed_images(stack[:0]).shape == (0, 16)


def test_the_channel_order_is_the_callers_word(clip: Clip) -> None:
    (image,) = arrays(1)
    rgb, swapped = clip.embed_images([image]), clip.embed_images([image[..., ::-1]], channel_order="bgr")
    np.testing.assert_array_equal(rgb, swapped)
    assert not np.allclose(rgb, clip.embed_images([image], channel_order="bgr"))
    with pytest.raises(InputError, match="channel_order"):
        clip.embed_images([image], channel_order="gbr")  # type: ignore[arg-type]


def test_decoding_and_threads_are_passed_on(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    real = clip_module.preprocess_batch

    def listening(*arguments: Any, **options: Any) -> Any:
        seen.append(options)
        return real(*arguments, **options)

    monkeypatch.setattr(clip_module, "preprocess_batch", listening)
    clip.embed_images(arrays(1), decoding="exact", threads=1)
    clip.embed_images(arrays(1))
    assert [(o["decoding"], o["threads"]) for o in seen] == [("exact", 1), ("fast", None)]
    with pytest.raises(InputError, match="decoding"):
        clip.embed_images(arrays(1), decoding="lazy")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="threads"):
        clip.embed_images(arrays(1), threads=0)


def test_decoding_goes_no_further_ahead_than_a_chunk(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = clip_module.preprocess_batch

    def listening(images: Any, *arguments: Any, **options: Any) -> Any:
        sizes.append(len(images))
        return real(images, *arguments, **options)

    monkeypatch.setattr(clip_module, "preprocess_batch", listening)
    clip.embed_images(arrays(40))
    assert sizes == [clip_module.CHUNK, clip_module.CHUNK, 8]


@pytest.mark.parametrize(
    "wrong",
    [
        "photo.jpg",
        tiny.PHOTOS / "cat.jpg",
        b"\xff\xd8",
        Image.new("RGB", (4, 4)),
        np.zeros((4, 4, 3), np.uint8),
        (image for image in ()),
        {"a": 1},
        None,
        7,
    ],
)
def test_what_is_no_list_of_photos_is_told(clip: Clip, wrong: Any) -> None:
    with pytest.raises(InputError, match="takes a list of photos"):
        clip.embed_images(wrong)


def test_a_broken_photo_is_named(clip: Clip, tmp_path: Path, photos: list[Path]) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(photos[0].read_bytes()[:2000])
    with pytest.raises(ImageError, match=r"bad\.jpg: is truncated"):
        clip.embed_images([photos[0], bad, photos[1]])
    with pytest.raises(ImageError, match=r"missing\.jpg: no such file"):
        clip.embed_images(["missing.jpg"])


def test_a_broken_photo_without_a_name_has_its_position_in_the_whole_list(clip: Clip) -> None:
    sources = [*arrays(20), b"not a photo"]
    with pytest.raises(ImageError, match=r"^<bytes>: .*\(image 20\)$"):
        clip.embed_images(sources)


def test_rows_belong_to_the_caller(clip: Clip) -> None:
    images = arrays(2)
    first = clip.embed_images(images)
    kept = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(clip.embed_images(images), kept)
