"""Which tokens of a vocabulary must stay so that given ones come out as before; per kind of `tokenizers` model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

_BYTE = re.compile(r"<0x[0-9A-F]{2}>\Z")


def vocabulary(model: dict[str, Any]) -> dict[str, int]:
    """Return token to id, added tokens left out.

    Args:
        model: the field ``model`` of a tokenizer's JSON.

    Returns:
        Token to id.

    Raises:
        UnsupportedModelError: the kind of tokenizer is not one that can be pruned.
    """
    kind = model.get("type")
    if kind in ("BPE", "WordPiece"):
        return {str(token): int(i) for token, i in model["vocab"].items()}
    if kind == "Unigram":
        return {str(token): i for i, (token, _) in enumerate(model["vocab"])}
    raise UnsupportedModelError(f"tokenizer: a model of type {kind!r} cannot be pruned; BPE, WordPiece and Unigram can")


def closure(model: dict[str, Any], used: Iterable[str]) -> set[str]:
    """Return the tokens that must stay.

    They are the used ones, those that lead to them, and every token of one character or byte: whatever could be
    written before can still be written, if in more tokens.

    - BPE: merges are applied in order of rank. With every part of a used token present, and all merges between
      present tokens in their old order, each step finds the same merge: the lowest of more is the lowest of fewer.
    - WordPiece: takes the longest match; nothing longer matched before, so nothing does now.
    - Unigram: takes the best path; it is still there, and others only went. The least score stays too, since the price
      of an unknown character is counted from it.

    Args:
        model: the ``model`` of a tokenizer's JSON.
        used: tokens.

    Returns:
        Tokens.

    Raises:
        UnsupportedModelError: the model's settings make the argument above wrong.
    """
    known = vocabulary(model)
    kept = {token for token in used if token in known}
    kept |= {token for token in known if _is_fallback(model, token)}
    if model.get("unk_token") in known:
        kept.add(str(model["unk_token"]))
    if model["type"] == "BPE":
        return _with_parts(model, kept, known)
    if model["type"] == "Unigram":
        kept.add(min(model["vocab"], key=lambda entry: (entry[1], entry[0]))[0])
        if model.get("unk_id") is not None:
            kept.add(model["vocab"][model["unk_id"]][0])
    return kept


def pruned_model(model: dict[str, Any], kept: set[str], new_ids: dict[int, int]) -> dict[str, Any]:
    """Return the tokenizer's model with only the kept tokens, under their new ids."""
    if model["type"] == "Unigram":
        vocab: Any = [entry for entry in model["vocab"] if entry[0] in kept]
        unknown = None if model.get("unk_id") is None else new_ids[model["unk_id"]]
        return {**model, "vocab": vocab, "unk_id": unknown}
    vocab = {token: new_ids[i] for token, i in model["vocab"].items() if token in kept}
    if model["type"] == "WordPiece":
        return {**model, "vocab": vocab}
    merges = [merge for merge in model["merges"] if {*_pair(merge), "".join(_pair(merge))} <= kept]
    return {**model, "vocab": vocab, "merges": merges}


def _is_fallback(model: dict[str, Any], token: str) -> bool:
    if _BYTE.match(token):
        return True
    bare = token
    prefix, suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    if prefix and len(bare) > len(prefix):
        bare = bare.removeprefix(prefix)
    if suffix and len(bare) > len(suffix):
        bare = bare.removesuffix(suffix)
    return len(bare) == 1


def _with_parts(model: dict[str, Any], kept: set[str], known: dict[str, int]) -> set[str]:
    if model.get("dropout"):
        raise UnsupportedModelError("tokenizer: BPE with dropout gives other tokens each time and cannot be pruned")
    if model.get("continuing_subword_prefix"):
        raise UnsupportedModelError("tokenizer: BPE with a continuing_subword_prefix cannot be pruned safely")
    ranks = {_pair(merge): rank for rank, merge in enumerate(model["merges"])}
    suffix = model.get("end_of_word_suffix") or ""
    found = set(kept)
    for token in kept:
        found |= _parts(token, ranks, suffix) & set(known)
    return found


def _parts(token: str, ranks: dict[tuple[str, str], int], suffix: str) -> set[str]:
    """Merge a token's characters as the tokenizer does and return everything that comes up."""
    ends = bool(suffix) and token.endswith(suffix) and len(token) > len(suffix)
    symbols = list(token.removesuffix(suffix) if ends else token)
    if ends:
        symbols[-1] += suffix
    found = set(symbols)
    while len(symbols) > 1:
        pairs = [(ranks[pair], i) for i in range(len(symbols) - 1) if (pair := (symbols[i], symbols[i + 1])) in ranks]
        if not pairs:
            break
        _, first = min(pairs)
        symbols[first : first + 2] = ["".join(symbols[first : first + 2])]
        found.add(symbols[first])
    return found


def _pair(merge: str | list[str]) -> tuple[str, str]:
    first, second = merge.split(" ", 1) if isinstance(merge, str) else merge
    return first, second
