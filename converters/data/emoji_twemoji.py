"""``emoji-twemoji``: Twitter's emoji, labelled with their English names."""

from __future__ import annotations

from edgekit.converters.data import emoji
from edgekit.converters.data.emoji_pixels import builder
from edgekit.converters.data.records import DataSource, Package

_IMAGES = "package/img/twitter/64/"
_PACKAGE = Package(
    manager="npm",
    name="emoji-datasource-twitter",
    version="16.0.0",
    sha256="f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
    size=61_683_754,
    wanted=(_IMAGES, "package/README.md"),
    licenses=("package/README.md",),
)

SOURCE = DataSource(
    name="emoji-twemoji",
    description="Twitter's Twemoji, 64 pixels, labelled with their English names",
    task="classification",
    license=(
        "Pictures: Twemoji, Twitter and other contributors, CC BY 4.0: name them where you show or share them.\n"
        f"{emoji.NAMES_LICENSE}"
    ),
    packages=(_PACKAGE, emoji.NAMES),
    build=builder(_PACKAGE.name, _IMAGES),
)
