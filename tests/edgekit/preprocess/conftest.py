"""The oracle: the checkpoint's transform written with nothing but Pillow, resizing everything and cropping then."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest
from PIL import Image, ImageOps

from edgekit.bundle.manifest import ImageSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

PHOTOS = Path(__file__).parents[3] / "samples" / "photos"


class MakeSpec(Protocol):
    def __call__(
        self,
        size: tuple[int, int] = ...,
        mode: str = ...,
        edge: int = ...,
        interpolation: str = ...,
        fill: tuple[int, int, int] = ...,
    ) -> ImageSpec: ...


def _spec(
    size: tuple[int, int] = (48, 48),
    mode: str = "shortest",
    edge: int = -1,
    interpolation: str = "bicubic",
    fill: tuple[int, int, int] = (0, 0, 0),
) -> ImageSpec:
    """Size is (height, width); the edge is that of CLIP unless given."""
    if edge < 0:
        edge = size[0] if mode == "shortest" and size[0] == size[1] else 0
    return ImageSpec(size[0], size[1], mode, edge, interpolation, fill, (0.5,) * 3, (0.5,) * 3)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def make_spec() -> MakeSpec:
    return _spec


def _resized(width: int, height: int, spec: ImageSpec) -> tuple[int, int]:
    if spec.resize_mode == "squash":
        return spec.width, spec.height
    if spec.shortest_edge:
        short, long = sorted((width, height))
        new_long = int(spec.shortest_edge * long / short)
        return (spec.shortest_edge, new_long) if width <= height else (new_long, spec.shortest_edge)
    longest = 1.0 if spec.resize_mode == "longest" else 0.0
    by_height, by_width = height / spec.height, width / spec.width
    ratio = max(by_height, by_width) * longest + min(by_height, by_width) * (1.0 - longest)
    return round(width * 1.0 / ratio), round(height * 1.0 / ratio)


def _reference(image: Image.Image, spec: ImageSpec) -> npt.NDArray[np.uint8]:
    upright = ImageOps.exif_transpose(image)
    size = _resized(*upright.size, spec)
    resized = upright.resize(size, Image.Resampling[spec.interpolation.upper()]).convert("RGB")
    missing = max(spec.width - size[0], 0), max(spec.height - size[1], 0)
    border = (missing[0] // 2, missing[1] // 2, (missing[0] + 1) // 2, (missing[1] + 1) // 2)
    padded = ImageOps.expand(resized, border, spec.fill)
    left, top = round((padded.width - spec.width) / 2.0), round((padded.height - spec.height) / 2.0)
    return np.asarray(padded.crop((left, top, left + spec.width, top + spec.height)))


@pytest.fixture(scope="session")
def reference() -> Callable[[Image.Image, ImageSpec], npt.NDArray[np.uint8]]:
    return _reference


@pytest.fixture(scope="session")
def photo_paths() -> list[Path]:
    paths = sorted(PHOTOS.glob("*.jpg"))
    assert len(paths) >= 6
    return paths


@pytest.fixture(scope="session")
def cat() -> Image.Image:
    """A real photo, small and of odd size, so that every rounding rule has something to round."""
    with Image.open(PHOTOS / "cat.jpg") as opened:
        return opened.convert("RGB").resize((101, 67), Image.Resampling.LANCZOS)


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    return _encode
