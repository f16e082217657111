"""``openmoji``: the emoji of OpenMoji, drawn from their vectors, labelled with their English names."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

from edgekit.converters.data import emoji, writing
from edgekit.converters.data.records import DataSource, Package

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.converters.data.records import Contents

_IMAGES = "package/color/svg/"
_LICENSE = "package/LICENSE.txt"
_PACKAGE = Package(
    manager="npm",
    name="openmoji",
    version="17.0.0",
    sha256="55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68",
    size=4_339_458,
    wanted=(_IMAGES, _LICENSE),
    licenses=(_LICENSE,),
)


def picture(path: Path) -> Image.Image:
    """Draw an SVG as RGB of `emoji.SIZE`, on white."""
    import resvg_py

    # Without this machine's fonts: the same picture everywhere.
    drawn = resvg_py.svg_to_bytes(
        svg_string=path.read_text(encoding="utf-8"), width=emoji.SIZE, height=emoji.SIZE, skip_system_fonts=True
    )
    with Image.open(io.BytesIO(bytes(drawn))) as opened:
        return writing.on_white(opened)


def build(packages: Mapping[str, Path], out: Path) -> Contents:
    """Draw every concept that emojibase names."""
    pictures = sorted((packages[_PACKAGE.name] / _IMAGES).iterdir())
    return emoji.write(packages[emoji.NAMES.name], pictures, picture, out)


SOURCE = DataSource(
    name="openmoji",
    description="OpenMoji's outlined emoji, 64 pixels, labelled with their English names",
    task="classification",
    license=(
        "Pictures: OpenMoji, HfG Schwäbisch Gmünd and contributors, CC BY-SA 4.0: name them, and share what is made\n"
        f"of the pictures under the same terms.\n{emoji.NAMES_LICENSE}"
    ),
    packages=(_PACKAGE, emoji.NAMES),
    build=build,
    needs=("resvg_py",),
)
