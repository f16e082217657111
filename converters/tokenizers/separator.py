"""open_clip's `strip_sep_token`, which turns separator ids into 0, inside a `tokenizers` JSON."""

from __future__ import annotations

import json
from typing import Any

from edgekit.errors import UnsupportedModelError

_STRIPPED_ID = 0
# Stands for a separator written out in a text. Two tokens cannot share an id in the library, so that the literal has
# to become an ordinary word: eight cuneiform signs in this order occur in no text but this one.
_WORD = "\U00012000\U0001202d\U00012038\U00012079\U000120a9\U0001214e\U00012190\U000121a0"


def strip_separator(tokenizer_json: str, separator: str, name: str) -> str:
    """Make a tokenizer give 0 instead of its separator's id.

    Args:
        tokenizer_json: JSON of the `tokenizers` library.
        separator: the separator token, such as ``[SEP]``.
        name: tokenizer's name, for the error.

    Returns:
        The changed JSON: the post-processor adds 0, and the separator as literal text becomes 0 too.

    Raises:
        UnsupportedModelError: the model is no WordPiece, the one kind for which open_clip uses this.
    """
    tokenizer: dict[str, Any] = json.loads(tokenizer_json)
    if tokenizer["model"].get("type") != "WordPiece":
        msg = f"{name}: strip_sep_token with a {tokenizer['model'].get('type')} model is not supported"
        raise UnsupportedModelError(msg)
    number = tokenizer["model"]["vocab"][separator]
    tokenizer["model"]["vocab"][_WORD] = _STRIPPED_ID
    tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["content"] != separator]
    literal = {"type": "Replace", "pattern": {"String": separator}, "content": f" {_WORD} "}
    rest = [tokenizer["normalizer"]] if tokenizer["normalizer"] is not None else []
    tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [literal, *rest]}
    _strip_in_processor(tokenizer["post_processor"], number)
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))


def _strip_in_processor(processor: dict[str, Any] | None, number: int) -> None:
    if processor is None:
        return
    for inner in processor.get("processors", []):
        _strip_in_processor(inner, number)
    # TemplateProcessing keeps its tokens here, BertProcessing in the pair below.
    for token in processor.get("special_tokens", {}).values():
        token["ids"] = [_STRIPPED_ID if each == number else each for each in token["ids"]]
    if "sep" in processor and processor["sep"][1] == number:
        processor["sep"] = [processor["sep"][0], _STRIPPED_ID]
