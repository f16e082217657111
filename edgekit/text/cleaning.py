"""What is done to a text before its tokenizer sees it, as the checkpoint's own code does it.

Three of the names are open_clip's (`open_clip.tokenizer.get_clean_fn`); ``none`` leaves the text alone; ``siglip``
needs the tokenizer's own tables and is done in `siglip.py`.
"""

from __future__ import annotations

import html
import string
from typing import TYPE_CHECKING

from edgekit.errors import BundleError

if TYPE_CHECKING:
    from edgekit.bundle.manifest import Cleaning

_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def clean(text: str, how: Cleaning) -> str:
    """Clean one text.

    ``whitespace`` repairs the encoding with ftfy, decodes HTML entities twice and turns each run of whitespace into one
    space; ``lower`` does the same and lower-cases; ``canonicalize`` also turns ``_`` into a space and removes ASCII
    punctuation (big_vision's `canonicalize_text`).

    Args:
        text: any text.
        how: the manifest's `TextSpec.cleaning`, other than ``siglip``.

    Returns:
        The cleaned text, which may be empty.

    Raises:
        BundleError: `how` is not one of the four names.
    """
    if how == "none":
        return text
    if how == "whitespace":
        return _single_spaces(_repair(text))
    if how == "lower":
        return _single_spaces(_repair(text)).lower()
    if how == "canonicalize":
        without_punctuation = _repair(text).replace("_", " ").translate(_WITHOUT_PUNCTUATION)
        return _single_spaces(without_punctuation.lower())
    msg = f"manifest.json: text.cleaning is {how!r}, expected none, whitespace, lower or canonicalize"
    raise BundleError(msg)


def _repair(text: str) -> str:
    # Imported late: it costs more than the rest of `import edgekit` and image-only use never needs it.
    import ftfy

    return html.unescape(html.unescape(ftfy.fix_text(text))).strip()


def _single_spaces(text: str) -> str:
    # str.split() and not a regular expression: Python counts U+001C..U+001F as whitespace, `\s` of others does not.
    return " ".join(text.split())
