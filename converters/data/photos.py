"""``photos``: the real photos that scikit-image and scikit-learn carry, with captions of our own.

Photos whose licence the packages do not state are left out.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from edgekit.converters.data import writing
from edgekit.converters.data.records import DataSource, Package

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.converters.data.records import Contents


@dataclass(frozen=True)
class _Photo:
    """A photo's file below its package's folder, and what it shows."""

    package: str
    file: str
    caption: str


_SKIMAGE, _SKLEARN = "scikit-image", "scikit-learn"
_FOLDERS = {_SKIMAGE: "skimage/data/", _SKLEARN: "sklearn/datasets/images/"}

PHOTOS = (
    _Photo(_SKIMAGE, "astronaut.png", "a smiling woman in an orange space suit in front of a flag"),
    _Photo(_SKIMAGE, "brick.png", "a wall of bricks"),
    _Photo(_SKIMAGE, "camera.png", "a man in a coat with a film camera on a tripod"),
    _Photo(_SKIMAGE, "chelsea.png", "the face of a tabby cat"),
    _Photo(_SKIMAGE, "clock_motion.png", "a blurred clock on a wall"),
    _Photo(_SKIMAGE, "coffee.png", "a cup of coffee with a spoon on a wooden table"),
    _Photo(_SKIMAGE, "coins.png", "rows of ancient coins"),
    _Photo(_SKIMAGE, "grass.png", "blades of grass in a lawn"),
    _Photo(_SKIMAGE, "gravel.png", "pebbles of gravel on the ground"),
    _Photo(_SKIMAGE, "hubble_deep_field.jpg", "galaxies in deep space"),
    _Photo(_SKIMAGE, "ihc.png", "stained tissue of the colon under a microscope"),
    _Photo(_SKIMAGE, "moon.png", "craters on the surface of the moon"),
    _Photo(_SKIMAGE, "page.png", "a printed page of a book"),
    _Photo(_SKIMAGE, "retina.jpg", "the retina of a human eye"),
    _Photo(_SKIMAGE, "rocket.jpg", "a rocket lifting off from its launch pad"),
    _Photo(_SKLEARN, "china.jpg", "a Chinese temple with curved roofs"),
    _Photo(_SKLEARN, "flower.jpg", "a flower with many red and yellow petals"),
)

_PACKAGES = (
    Package(
        manager="pip",
        name=_SKIMAGE,
        version="0.26.0",
        sha256="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
        size=13_711_217,
        wanted=(_FOLDERS[_SKIMAGE], "scikit_image-0.26.0.dist-info/LICENSE.txt"),
        licenses=("scikit_image-0.26.0.dist-info/LICENSE.txt",),
    ),
    Package(
        manager="pip",
        name=_SKLEARN,
        version="1.9.1",
        sha256="52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
        size=9_315_422,
        wanted=(_FOLDERS[_SKLEARN], "scikit_learn-1.9.1.dist-info/licenses/COPYING"),
        licenses=(f"{_FOLDERS[_SKLEARN]}README.txt", "scikit_learn-1.9.1.dist-info/licenses/COPYING"),
    ),
)


def build(packages: Mapping[str, Path], out: Path) -> Contents:
    """Copy the photos as they are."""
    (out / writing.IMAGES).mkdir()
    rows = []
    for photo in PHOTOS:
        target = f"{writing.IMAGES}/{PurePosixPath(photo.file).name}"
        shutil.copyfile(packages[photo.package] / _FOLDERS[photo.package] / photo.file, out / target)
        rows.append((target, photo.caption))
    return writing.table(out, "caption", rows)


SOURCE = DataSource(
    name="photos",
    description="photos of scikit-image and scikit-learn, with English captions written for edgekit",
    task="retrieval",
    license=(
        "Photos: CC0, public domain or without known restrictions, except china.jpg (danielbuechele) and flower.jpg\n"
        "(vultilion), CC BY 2.0: name them where you show or share the photos.\n"
        "Captions: edgekit, Apache-2.0."
    ),
    packages=_PACKAGES,
    build=build,
)
