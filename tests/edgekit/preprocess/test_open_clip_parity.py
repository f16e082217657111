"""Against the reference itself: open_clip's and timm's transforms, up to and without their float part."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from edgekit.converters import torch_compat
from edgekit.preprocess import preprocess

SIZES = ((101, 67), (67, 101), (640, 480), (300, 300), (50, 333), (30, 20))


def _pixels(transform, image: Image.Image) -> np.ndarray:
    """Run a transform with mean 0 and standard deviation 1, and return its uint8 pixels."""
    return np.rint(transform(ImageOps.exif_transpose(image)).permute(1, 2, 0).numpy() * 255).astype(np.uint8)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [(224, 224), (256, 192), (96, 160)])
def test_open_clip_transform(mode, interpolation, size, photo_paths, make_spec) -> None:
    torch_compat.prepare()
    from open_clip.transform import image_transform

    transform = image_transform(
        size,
        is_train=False,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        resize_mode=mode,
        interpolation=interpolation,
        fill_color=90,
    )
    # open_clip does not pass its interpolation on for a target that is not square.
    used = "bicubic" if mode == "shortest" and size[0] != size[1] else interpolation
    spec = make_spec(size, mode, interpolation=used, fill=(90, 90, 90))
    with Image.open(photo_paths[1]) as photo:
        images = [photo.resize(wanted, Image.Resampling.LANCZOS) for wanted in SIZES]
    for image in images:
        np.testing.assert_array_equal(preprocess(image, spec), _pixels(transform, image))


@pytest.mark.parametrize("kind", ["L", "LA", "RGBA", "P", "1", "CMYK"])
def test_open_clip_on_other_modes(kind, cat, make_spec) -> None:
    torch_compat.prepare()
    from open_clip.transform import image_transform

    image = cat.convert(kind)
    if kind in ("LA", "RGBA"):
        image.putalpha(Image.linear_gradient("L").resize(cat.size))
    transform = image_transform(48, is_train=False, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    np.testing.assert_array_equal(preprocess(image, make_spec((48, 48))), _pixels(transform, image))


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "nearest", "lanczos", "box", "hamming"])
@pytest.mark.parametrize("crop_pct", [0.875, 0.95, 1.0])
def test_timm_transform(interpolation, crop_pct, photo_paths, make_spec) -> None:
    torch_compat.prepare()
    from timm.data.transforms_factory import transforms_imagenet_eval

    transform = transforms_imagenet_eval(
        224, crop_pct=crop_pct, interpolation=interpolation, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
    )
    spec = make_spec((224, 224), edge=int(224 / crop_pct), interpolation=interpolation)
    for path in photo_paths:
        with Image.open(path) as image:
            np.testing.assert_array_equal(preprocess(path, spec, decoding="exact"), _pixels(transform, image))
