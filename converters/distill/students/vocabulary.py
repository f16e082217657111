"""A smaller tokenizer for a small text tower: the tokens that the training texts use most, under new ids."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.converters.quantize.methods import token_closure
from edgekit.converters.quantize.methods.vocabulary import all_tokens, kept_ids, parse, renumbered
from edgekit.errors import InputError, UnsupportedModelError
from edgekit.text.cleaning import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edgekit.bundle.manifest import Cleaning

_BATCH = 4096
_ASCII = frozenset(chr(code) for code in range(33, 127))


@dataclass(frozen=True)
class Reduced:
    """A tokenizer with fewer tokens.

    Attributes:
        tokenizer_json: of the `tokenizers` library, with the truncation, padding and special tokens it had.
        pad_id: id of the padding token in it.
        kept: old id of each new one, rising.
        counts: int64 (len(kept),): how often the texts use each, as the new tokenizer cuts them.
    """

    tokenizer_json: str
    pad_id: int
    kept: tuple[int, ...]
    counts: npt.NDArray[np.int64]


def reduce(
    tokenizer_json: str, pad_id: int, texts: Sequence[str], size: int, *, cleaning: Cleaning = "none"
) -> Reduced:
    """Keep the tokens that the texts use most.

    A text whose tokens are all kept has the same tokens as before, renumbered. Another one is written in smaller
    pieces, down to single characters. All characters (or bytes) that the texts or ASCII have stay; of WordPiece the
    others, such as those of other scripts, go and become the unknown token, since a tower that was never trained on
    them has nothing to say.

    Args:
        tokenizer_json: the original, of the `tokenizers` library.
        pad_id: id of its padding token.
        texts: at least one.
        size: tokens kept at most; 0 keeps all that the texts use.
        cleaning: what is done to a text before it is tokenized.

    Returns:
        The smaller tokenizer.

    Raises:
        InputError: there are no texts, or `size` is too small for the special tokens and characters alone; the message
            names the least.
        UnsupportedModelError: the tokenizer is of a kind that cannot be reduced safely; the message says why.
    """
    if not texts:
        raise InputError("data.texts: a smaller vocabulary needs texts to choose it by; give some, or vocabulary: 0")
    parsed = parse(tokenizer_json.encode())
    if pad_id not in set(all_tokens(parsed).values()):
        raise UnsupportedModelError(f"tokenizer: the padding id {pad_id} is no token of it; it cannot be reduced")
    cleaned = [clean(text, cleaning) for text in texts]
    counts = _counts(tokenizer_json, cleaned)
    ranked = sorted((i for i in counts if i != pad_id), key=lambda i: (-counts[i], i))
    kept = _largest(parsed, pad_id, ranked, size)
    new_ids = {old: new for new, old in enumerate(kept)}
    smaller = json.dumps(renumbered(parsed, new_ids), ensure_ascii=False)
    used = _counts(smaller, cleaned)
    return Reduced(smaller, new_ids[pad_id], kept, np.array([used[i] for i in range(len(kept))], np.int64))


def _largest(parsed: dict[str, Any], pad_id: int, ranked: list[int], size: int) -> tuple[int, ...]:
    """Return the closure of as many tokens, the most used first, as fit into `size`."""
    characters = _characters(parsed, ranked)

    def kept(count: int) -> tuple[int, ...]:
        return _without_foreign(parsed, kept_ids(parsed, {pad_id, *ranked[:count]}), characters)

    everything = kept(len(ranked))
    if not size or len(everything) <= size:
        return everything
    least = kept(0)
    if len(least) > size:
        raise InputError(
            f"student.text.vocabulary: {size} tokens are fewer than the {len(least)} that special tokens and single "
            "characters need; give more"
        )
    fits, too_many = 0, len(ranked)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if len(kept(middle)) <= size else (fits, middle)
    return kept(fits)


def _characters(parsed: dict[str, Any], used: list[int]) -> frozenset[str]:
    names = {i: token for token, i in all_tokens(parsed).items()}
    return _ASCII.union(*(names[i] for i in used))


def _without_foreign(parsed: dict[str, Any], kept: tuple[int, ...], characters: frozenset[str]) -> tuple[int, ...]:
    """Leave out WordPiece's pieces of one character that no text has; other kinds write bytes with theirs."""
    model = parsed["model"]
    if model["type"] != "WordPiece":
        return kept
    prefix = str(model.get("continuing_subword_prefix") or "##")
    special = {int(entry["id"]) for entry in parsed.get("added_tokens") or []}
    names = {i: token for token, i in token_closure.vocabulary(model).items()}

    def stays(i: int) -> bool:
        token = names.get(i, "")
        bare = token[len(prefix) :] if token.startswith(prefix) and len(token) > len(prefix) else token
        return i in special or len(bare) != 1 or bare in characters

    return tuple(i for i in kept if stays(i))


def _counts(tokenizer_json: str, texts: Sequence[str]) -> Counter[int]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_padding()
    found: Counter[int] = Counter()
    for start in range(0, len(texts), _BATCH):
        for encoding in tokenizer.encode_batch(list(texts[start : start + _BATCH])):
            found.update(encoding.ids)
    return found
