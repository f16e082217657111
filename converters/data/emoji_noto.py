"""``emoji-noto``: Google's emoji, labelled with their English names."""

from __future__ import annotations

from edgekit.converters.data import emoji
from edgekit.converters.data.emoji_pixels import builder
from edgekit.converters.data.records import DataSource, Package

_IMAGES = "package/img/google/64/"
_PACKAGE = Package(
    manager="npm",
    name="emoji-datasource-google",
    version="16.0.0",
    sha256="fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
    size=74_344_091,
    wanted=(_IMAGES, "package/README.md"),
    licenses=("package/README.md",),
)

SOURCE = DataSource(
    name="emoji-noto",
    description="Google's Noto emoji, 64 pixels, labelled with their English names",
    task="classification",
    license=f"Pictures: Noto Emoji, Google, Apache-2.0.\n{emoji.NAMES_LICENSE}",
    packages=(_PACKAGE, emoji.NAMES),
    build=builder(_PACKAGE.name, _IMAGES),
)
