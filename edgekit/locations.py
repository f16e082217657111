"""Where edgekit finds packaged bundles and keeps what it learnt about this device."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from edgekit.errors import BundleError, InputError

SUFFIX = ".edge"


def resolve(bundle: str | os.PathLike[str] | bytes) -> Path | bytes:
    """Return the path that a bundle's name or path stands for; bytes are returned as they are.

    Args:
        bundle: the name of a packaged bundle (``starter``), a path, or the bytes of a ``.edge`` file.

    Returns:
        A path, or the bytes.

    Raises:
        BundleError: the name is empty.
    """
    if isinstance(bundle, bytes):
        return bundle
    path = Path(bundle)
    if not str(bundle):
        raise BundleError("the bundle's path is empty; give the path of a .edge file, or the name 'starter'")
    if not path.suffix and path.name == str(bundle) and not path.exists():
        packaged = Path(str(files("edgekit.samples") / f"{bundle}{SUFFIX}"))
        if packaged.is_file():
            return packaged
    return path


def cache_dir() -> Path:
    """Say where edgekit keeps what it learnt about this device.

    Returns:
        ``$EDGEKIT_CACHE``, else ``$XDG_CACHE_HOME/edgekit``, else ``~/.cache/edgekit``; it may not exist yet.

    Raises:
        InputError: none is set, and this user has no home folder, as in some containers.
    """
    chosen = os.environ.get("EDGEKIT_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "edgekit"
    except RuntimeError as error:
        raise InputError(f"no cache folder: {error}; set EDGEKIT_CACHE to a folder that can be written to") from error
