"""The emoji sets whose vendors ship pixels: Noto, Twemoji and Fluent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from edgekit.converters.data import emoji, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edgekit.converters.data.records import Contents


def builder(package: str, images: str) -> Callable[[Mapping[str, Path], Path], Contents]:
    """Return the function that builds a set.

    Args:
        package: the vendor's package.
        images: the folder of its pictures inside the package.

    Returns:
        A `build` of `DataSource`.
    """

    def build(packages: Mapping[str, Path], out: Path) -> Contents:
        pictures = sorted((packages[package] / images).iterdir())
        return emoji.write(packages[emoji.NAMES.name], pictures, picture, out)

    return build


def picture(path: Path) -> Image.Image:
    """Open a picture as RGB of `emoji.SIZE`, on white."""
    with Image.open(path) as opened:
        image = writing.on_white(opened)
    size = (emoji.SIZE, emoji.SIZE)
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
