"""The manifest's name for an open_clip cleaning function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from edgekit.bundle.manifest import Cleaning

_NAMES: tuple[Cleaning, ...] = ("whitespace", "lower", "canonicalize")


def cleaning_name(function: Any) -> Cleaning:
    """Name the cleaning that an open_clip tokenizer does.

    Args:
        function: the tokenizer's `clean_fn`.

    Returns:
        The name for `TextSpec.cleaning`.

    Raises:
        UnsupportedModelError: the function is not one of open_clip's.
    """
    from open_clip.tokenizer import get_clean_fn

    for name in _NAMES:
        if function is get_clean_fn(name):
            return name
    msg = f"tokenizer: cleaning function {function!r} is not one of open_clip's ({', '.join(_NAMES)})"
    raise UnsupportedModelError(msg)
