"""What transformers' `SiglipTokenizer`, which is written in Python, does to a text before SentencePiece's model.

The bundle's JSON keeps SentencePiece's character map as its normalizer; it is taken out here and applied by
`charsmap.py`, because the `tokenizers` library would apply it differently.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import string
from typing import Any

from edgekit.errors import BundleError
from edgekit.text.charsmap import Charsmap

SPACE = "▁"
# No prepared text holds a line break, so that a token behind one cannot be met by accident.
LITERAL_MARK = "\n"
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


class SiglipText:
    """Prepares texts; it holds no state that changes, so threads may share it."""

    def __init__(self, charsmap: Charsmap, literals: list[str]) -> None:
        self._charsmap = charsmap
        longest_first = sorted(literals, key=len, reverse=True)
        self._literals = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")") if literals else None

    def prepare(self, text: str) -> str:
        """Lower-case, remove ASCII punctuation, and normalize what lies between literal special tokens.

        Args:
            text: any text without lone surrogates.

        Returns:
            The text for the model's pieces, with ``▁`` for spaces and a line break before each special token.
        """
        whole = SPACE + text.replace(SPACE, " ")
        parts = [whole] if self._literals is None else self._literals.split(whole)
        # re.split with one group: ordinary text at even places, special tokens at odd ones.
        return "".join(LITERAL_MARK + part if place % 2 else self._ordinary(part) for place, part in enumerate(parts))

    def _ordinary(self, part: str) -> str:
        bare = part.lower().translate(_WITHOUT_PUNCTUATION)
        return self._charsmap.normalize(re.sub(r"\s+", " ", bare).strip())


def split_tokenizer_json(text: str) -> tuple[str, SiglipText]:
    """Part a bundle's JSON into what the `tokenizers` library does and what is done before.

    Args:
        text: JSON with a ``Precompiled`` normalizer, and special tokens that start with `LITERAL_MARK`.

    Returns:
        The JSON without its normalizer, and the preparation of texts.

    Raises:
        BundleError: the JSON is not of this form.
    """
    try:
        tokenizer: dict[str, Any] = json.loads(text)
        table = base64.b64decode(tokenizer["normalizer"]["precompiled_charsmap"], validate=True)
        literals = [token["content"].removeprefix(LITERAL_MARK) for token in tokenizer["added_tokens"]]
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        msg = f"text/tokenizer.json: lacks the parts that text.cleaning 'siglip' needs ({error!r}): convert again"
        raise BundleError(msg) from error
    tokenizer["normalizer"] = None
    return json.dumps(tokenizer), SiglipText(Charsmap(table), literals)
