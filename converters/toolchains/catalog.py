"""The toolchains that edgekit knows."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from edgekit.bundle import schema
from edgekit.converters.toolchains.records import Toolchain
from edgekit.errors import InputError

_SUFFIX = ".json"


def names() -> tuple[str, ...]:
    """Return the names of all toolchains, in alphabetic order."""
    folder = files("edgekit.converters.toolchains") / "locks"
    return tuple(sorted(file.name.removesuffix(_SUFFIX) for file in folder.iterdir() if file.name.endswith(_SUFFIX)))


def find(name: str) -> Toolchain:
    """Return a toolchain by name.

    Args:
        name: one of `names`.

    Returns:
        Its record.

    Raises:
        InputError: there is no such toolchain.
    """
    if name not in names():
        raise InputError(f"there is no toolchain {name!r}; there are {', '.join(names())}")
    text = (files("edgekit.converters.toolchains") / "locks" / f"{name}{_SUFFIX}").read_bytes()
    return schema.loads(Toolchain, text, f"{name}{_SUFFIX}")


def digest(toolchain: Toolchain) -> str:
    """Return the SHA-256 of a toolchain's record: another version of any package gives another one."""
    return hashlib.sha256(schema.dumps(toolchain).encode()).hexdigest()
