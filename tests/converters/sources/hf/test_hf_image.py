"""Image processors as records: fields, scaling, refusals, and the geometry of the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.converters.sources import hf_image, hf_load
from edgekit.errors import UnsupportedModelError
from edgekit.preprocess import preprocess

if TYPE_CHECKING:
    from pathlib import Path

library = hf_load.transformers()


def clip(**changes: Any) -> Any:
    fields = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}, **changes}
    return library.CLIPImageProcessorPil(**fields)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_clip() -> None:
    spec = hf_image.image_spec(library.CLIPImageProcessorPil())
    assert (spec.height, spec.width, spec.resize_mode, spec.shortest_edge) == (224, 224, "shortest", 224)
    assert spec.interpolation == "bicubic"
    assert spec.mean == (0.48145466, 0.4578275, 0.40821073)
    assert spec.std == (0.26862954, 0.26130258, 0.27577711)
    assert spec.fill == (0, 0, 0)


def test_crop_smaller_than_the_resize() -> None:
    spec = hf_image.image_spec(clip())
    assert (spec.height, spec.shortest_edge) == (32, 40)


def test_squash_need_not_be_square() -> None:
    spec = hf_image.image_spec(library.SiglipImageProcessorPil(size={"height": 48, "width": 32}))
    assert (spec.height, spec.width, spec.resize_mode, spec.shortest_edge) == (48, 32, "squash", 0)


@pytest.mark.parametrize(
    ("number", "name"), [(0, "nearest"), (1, "lanczos"), (2, "bilinear"), (3, "bicubic"), (4, "box"), (5, "hamming")]
)
def test_filters(number: int, name: str) -> None:
    assert hf_image.image_spec(clip(resample=number)).interpolation == name


def test_offset_of_efficientnet() -> None:
    processor = library.EfficientNetImageProcessorPil(
        size={"height": 32, "width": 32},
        rescale_factor=1 / 127.5,
        rescale_offset=True,
        do_normalize=False,
        include_top=False,
    )
    spec = hf_image.image_spec(processor)
    assert spec.mean == spec.std == (0.5, 0.5, 0.5)


def test_second_division_of_efficientnet() -> None:
    processor = library.EfficientNetImageProcessorPil(size={"height": 32, "width": 32})
    spec = hf_image.image_spec(processor)
    assert spec.std == pytest.approx(tuple(s * s for s in processor.image_std))


def test_an_absent_deviation_does_not_matter_where_nothing_is_divided() -> None:
    spec = hf_image.image_spec(clip(do_normalize=False, image_std=None, image_mean=None))
    assert (spec.mean, spec.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_one_number_stands_for_all_channels() -> None:
    spec = hf_image.image_spec(clip(image_mean=0.5, image_std=0.25))
    assert (spec.mean, spec.std) == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def test_without_normalization() -> None:
    spec = hf_image.image_spec(clip(do_normalize=False))
    assert (spec.mean, spec.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


channel = st.floats(0.05, 0.95)


@given(
    mean=st.tuples(channel, channel, channel),
    std=st.tuples(channel, channel, channel),
    factor=st.sampled_from([1 / 255, 1 / 127.5, 0.00392156862745098, 1.0]),
    level=st.integers(0, 255),
)
@settings(max_examples=25, deadline=None)
def test_mean_and_std_reproduce_the_processor(
    mean: tuple[float, ...], std: tuple[float, ...], factor: float, level: int
) -> None:
    processor = clip(image_mean=list(mean), image_std=list(std), rescale_factor=factor)
    spec = hf_image.image_spec(processor)
    own = np.asarray(processor(images=Image.new("RGB", (50, 50), (level,) * 3))["pixel_values"][0])[:, 16, 16]
    ours = (level / 255 - np.array(spec.mean)) / np.array(spec.std)
    assert np.allclose(own, ours, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"do_resize": False}, "do_resize"),
        ({"do_rescale": False}, "do_rescale"),
        ({"do_pad": True}, "do_pad"),
        ({"do_center_crop": False}, "do_center_crop"),
        ({"size": {"shortest_edge": 40, "longest_edge": 80}}, "longest_edge"),
        ({"crop_size": {"height": 32, "width": 24}}, "crop_size"),
        ({"crop_size": {"height": 48, "width": 48}}, "crop_size"),
        ({"size": {"height": 40, "width": 36}}, "crop_size"),
        ({"size": {"height": 30, "width": 30}}, "crop_size"),
        ({"image_mean": [0.5]}, "image_mean"),
        ({"image_mean": "half"}, "image_mean='half' .* three numbers"),
        ({"image_std": [0.2, 0.0, 0.2]}, r"image_std=.* three positive numbers"),
        ({"image_std": [0.2, -0.2, 0.2]}, r"image_std=.* three positive numbers"),
        ({"image_std": ["a", "b", "c"]}, r"image_std=.* three positive numbers"),
        ({"image_std": [float("nan")] * 3}, r"image_std=.* three positive numbers"),
        ({"rescale_factor": 0}, "rescale_factor=0 .* larger than zero"),
        ({"rescale_factor": "1/255"}, "rescale_factor='1/255'"),
        ({"rescale_factor": None}, "rescale_factor=None"),
        ({"resample": "bicubic"}, "resample='bicubic' .* filter number"),
        ({"crop_size": {"height": -1, "width": -1}}, "crop_size"),
        ({"crop_size": {"height": 0, "width": 0}, "size": {"height": 40, "width": 40}}, "crop_size"),
        ({"size": {"height": 0, "width": 0}, "do_center_crop": False}, r"size=.* positive"),
    ],
)
def test_what_cannot_be_expressed_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(UnsupportedModelError, match=field):
        hf_image.image_spec(clip(**changes))


def test_unknown_filter_is_named() -> None:
    processor = clip()
    processor.resample = 9
    with pytest.raises(UnsupportedModelError, match="resample=9"):
        hf_image.image_spec(processor)


def test_naflex_processor_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="pixel_attention_mask"):
        hf_image.image_spec(library.Siglip2ImageProcessorPil())


def test_channel_flip_without_a_field_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that does more than its fields say is caught by running it."""
    own = library.CLIPImageProcessorPil._preprocess

    def flipped(self: Any, images: list[Any], **arguments: Any) -> Any:
        return own(self, [image[::-1] for image in images], **arguments)

    monkeypatch.setattr(library.CLIPImageProcessorPil, "_preprocess", flipped)
    with pytest.raises(UnsupportedModelError, match="turns RGB"):
        hf_image.image_spec(clip())


def test_size_other_than_the_fields_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    own = library.CLIPImageProcessorPil._preprocess

    def cut(self: Any, images: list[Any], **arguments: Any) -> Any:
        features = own(self, images, **arguments)
        features["pixel_values"] = [image[:, :-1] for image in features["pixel_values"]]
        return features

    monkeypatch.setattr(library.CLIPImageProcessorPil, "_preprocess", cut)
    with pytest.raises(UnsupportedModelError, match="shape"):
        hf_image.image_spec(clip())


@given(width=st.integers(20, 120), height=st.integers(20, 120))
@settings(max_examples=30, deadline=None)
def test_reference_of_squash_is_pillows_resize(width: int, height: int) -> None:
    processor = library.SiglipImageProcessorPil(size={"height": 24, "width": 32})
    image = noise(width, height)
    expected = np.asarray(image.resize((32, 24), Image.Resampling.BICUBIC))
    found = hf_image.image_reference(processor)(image)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


@given(width=st.integers(20, 120), height=st.integers(20, 120))
@settings(max_examples=30, deadline=None)
def test_reference_of_shortest_crops_at_the_floor(width: int, height: int) -> None:
    """transformers rounds the crop's origin down, where torchvision rounds half to even."""
    image = noise(width, height)
    size = (40, int(40 * height / width)) if width <= height else (int(40 * width / height), 40)
    left, top = (size[0] - 32) // 2, (size[1] - 32) // 2
    expected = np.asarray(image.resize(size, Image.Resampling.BICUBIC))[top : top + 32, left : left + 32]
    assert np.array_equal(hf_image.image_reference(clip())(image), expected)


@pytest.mark.parametrize("size", [{"shortest_edge": 40}, {"height": 40, "width": 40}])
@given(width=st.integers(20, 120), height=st.integers(20, 120))
@settings(max_examples=30, deadline=None)
def test_edgekit_gives_the_processors_own_pixels(size: dict[str, int], width: int, height: int) -> None:
    processor, image = clip(size=size), noise(width, height)
    spec = hf_image.image_spec(processor)
    assert np.array_equal(preprocess(image, spec, decoding="exact"), hf_image.image_reference(processor)(image))


def test_squash_then_crop() -> None:
    spec = hf_image.image_spec(clip(size={"height": 40, "width": 40}))
    assert (spec.height, spec.resize_mode, spec.shortest_edge, spec.crop_rounding) == (32, "squash", 40, "floor")


def test_reference_of_efficientnet_is_neither_scaled_nor_divided() -> None:
    processor = library.EfficientNetImageProcessorPil(size={"height": 8, "width": 8}, resample=2)
    image = noise(30, 20)
    expected = np.asarray(image.resize((8, 8), Image.Resampling.BILINEAR))
    assert np.array_equal(hf_image.image_reference(processor)(image), expected)


def test_processor_on_torchvision_is_loaded_as_the_one_on_pillow(tmp_path: Path) -> None:
    library.SiglipImageProcessor(size={"height": 24, "width": 32}).save_pretrained(tmp_path)
    processor = hf_load.image_processor(tmp_path)
    image = noise(77, 50)
    expected = np.asarray(image.resize((32, 24), Image.Resampling.BICUBIC))
    assert np.array_equal(hf_image.image_reference(processor)(image), expected)
