"""``emoji-fluent``: Microsoft's emoji in three dimensions, labelled with their English names."""

from __future__ import annotations

from edgekit.converters.data import emoji
from edgekit.converters.data.emoji_pixels import builder
from edgekit.converters.data.records import DataSource, Package

_IMAGES = "package/assets/"
_PACKAGE = Package(
    manager="npm",
    name="@lobehub/fluent-emoji-3d",
    version="1.1.0",
    sha256="c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
    size=15_792_027,
    wanted=(_IMAGES, "package/README.md"),
    licenses=("package/README.md",),
)

SOURCE = DataSource(
    name="emoji-fluent",
    description="Microsoft's Fluent emoji in 3D, 64 pixels, labelled with their English names",
    task="classification",
    license=f"Pictures: Fluent Emoji, Microsoft, MIT licence; packaged by LobeHub, MIT licence.\n{emoji.NAMES_LICENSE}",
    packages=(_PACKAGE, emoji.NAMES),
    build=builder(_PACKAGE.name, _IMAGES),
)
