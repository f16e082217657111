"""``stamps``: Tux Paint's photographs of things, with their English captions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from edgekit.converters.data import writing
from edgekit.converters.data.records import DataSource, Package

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.converters.data.records import Contents

_STAMPS = "usr/share/tuxpaint/stamps/"
_COPYRIGHT = "usr/share/doc/tuxpaint-stamps-default/copyright"

COLOURS = 2000
"""A photograph on white has more colours than this; drawings have fewer, unless their author filed them as cartoons."""

_PACKAGE = Package(
    manager="apt",
    name="tuxpaint-stamps-default",
    version="2022.06.04-1",
    sha256="6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
    size=160_880_444,
    wanted=(_STAMPS, _COPYRIGHT),
    licenses=(_COPYRIGHT,),
)


def is_photograph(path: Path, image: Image.Image) -> bool:
    """Tell a photograph from a drawing: no vector original beside it, not filed under ``cartoon``, many colours.

    Of the package's 796 PNG files, 316 pass and have an English caption. About 15 of them are shaded drawings.

    Args:
        path: of the PNG.
        image: the same, RGB on white.

    Returns:
        Whether it is taken for one.
    """
    if "cartoon" in path.parts or path.with_suffix(".svg").exists():
        return False
    return image.getcolors(COLOURS) is None


def caption(path: Path) -> str:
    """Return the first line of a stamp's text, which is the English caption; empty where there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return " ".join(lines[0].split()) if lines else ""


def build(packages: Mapping[str, Path], out: Path) -> Contents:
    """Write the photographs on white, under their paths in the package, and the captions."""
    root = packages[_PACKAGE.name] / _STAMPS
    rows = []
    for path in sorted(root.rglob("*.png")):
        text = caption(path.with_suffix(".txt"))
        if not text:
            continue
        with Image.open(path) as opened:
            image = writing.on_white(opened)
        relative = path.relative_to(root)
        if is_photograph(path, image):
            target = Path(writing.IMAGES) / relative
            (out / target).parent.mkdir(parents=True, exist_ok=True)
            image.save(out / target)
            rows.append((target.as_posix(), text))
    return writing.table(out, "caption", rows)


SOURCE = DataSource(
    name="stamps",
    description="photographs of animals, tools, food and vehicles, cut out, with English captions",
    task="retrieval",
    license=(
        "Tux Paint stamps: collected by Bill Kendrick and the Tux Paint community, released under the GNU General\n"
        "Public License, version 2; several pictures are in the public domain. Use them, and share what is made of\n"
        "them, under these terms."
    ),
    packages=(_PACKAGE,),
    build=build,
)
