"""Leave out the tokens that a fixed set of texts never uses: the table of them is most of a small text tower."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.converters.graph import checks, store
from edgekit.converters.quantize.methods import token_closure, token_table
from edgekit.errors import ConversionError, InputError, UnsupportedModelError
from edgekit.text import TextEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.bundle.manifest import TextSpec


@dataclass(frozen=True)
class Pruned:
    """A smaller tokenizer, and what was left out.

    Attributes:
        tokenizer: JSON of the new tokenizer, UTF-8.
        spec: the text settings with the new ``pad_id``.
        kept: old ids that stay, rising; their positions are the new ids.
        tokens_before: size of the vocabulary.
        tokens_after: size that remains.
        bytes_before: of the tables looked up by token id.
        bytes_after: of what remains of them.
        examples: some of the tokens that went, those of the lowest ids.
    """

    tokenizer: bytes
    spec: TextSpec
    kept: tuple[int, ...]
    tokens_before: int
    tokens_after: int
    bytes_before: int
    bytes_after: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        dropped = self.tokens_before - self.tokens_after
        saved = self.bytes_before - self.bytes_after
        share = saved / self.bytes_before if self.bytes_before else 0.0
        return (
            f"dropped {dropped} of {self.tokens_before} tokens, {saved / 1e6:.1f} of {self.bytes_before / 1e6:.1f} MB "
            f"of the token table ({share:.0%}); other words are written in smaller pieces and embed differently"
        )


def prune(master: Path, out: Path, tokenizer: bytes, spec: TextSpec, texts: Sequence[str]) -> Pruned:
    """Write a text tower that knows only the tokens of some texts, and the tokenizer that goes with it.

    Kept are the tokens of `texts`, those that lead to them, all special tokens, and every token of one character or
    byte, so that any other text can still be encoded: in more tokens, and with another embedding than before. The
    ids of `texts`, renumbered, and so their embeddings, stay the same to the bit; that is checked on every text.

    Args:
        master: the float text tower, its external data beside it.
        out: where the new tower goes, its weights in ``<name>.data`` beside it; must differ from `master`.
        tokenizer: JSON of the `tokenizers` library, UTF-8.
        spec: the manifest's text settings.
        texts: every text that must stay as it is, such as all labels in all templates, or a sample of a language.

    Returns:
        The tokenizer, and what was left out. Stored ids, such as those of golden texts, are the caller's to renumber.

    Raises:
        InputError: there are no texts, or both paths are the same.
        TextError: a text is not a string, or cannot be encoded.
        UnsupportedModelError: the tokenizer or the graph cannot be pruned safely; the message says why.
        ConversionError: the pruned tokenizer does not give the same tokens.
    """
    if not texts:
        raise InputError("pruning the vocabulary needs texts to keep; give the labels or a sample of the language")
    if master.resolve() == out.resolve():
        raise InputError(f"{out}: would replace the float graph; give another name")
    model = store.load(master)
    before = TextEncoder(tokenizer, spec).encode(texts)
    parsed = parse(tokenizer)
    kept = kept_ids(parsed, {int(i) for i in np.unique(before)} | token_table.compared_ids(model) | {spec.pad_id})
    new_ids = {old: new for new, old in enumerate(kept)}
    if spec.pad_id not in new_ids:
        raise UnsupportedModelError(f"tokenizer: the padding id {spec.pad_id} is no token of it; it cannot be pruned")
    smaller = json.dumps(renumbered(parsed, new_ids), ensure_ascii=False).encode()
    new_spec = replace(spec, pad_id=new_ids[spec.pad_id])
    _check_same(before, TextEncoder(smaller, new_spec).encode(texts), new_ids, texts)
    rows = np.array(kept, np.int64)
    bytes_before, bytes_after = token_table.cut_rows(model, rows, new_ids)
    store.save(model, out)
    checks.check_file(out)
    known = all_tokens(parsed)
    gone = sorted((i, token) for token, i in known.items() if i not in new_ids)
    return Pruned(
        smaller,
        new_spec,
        kept,
        len(known),
        len(kept),
        bytes_before,
        bytes_after,
        tuple(token for _, token in gone[:20]),
    )


def parse(tokenizer: bytes) -> dict[str, Any]:
    """Read a tokenizer that can be pruned.

    Args:
        tokenizer: JSON of the `tokenizers` library, UTF-8.

    Returns:
        Its fields.

    Raises:
        UnsupportedModelError: it is something else, or of another kind than BPE, WordPiece and Unigram.
    """
    try:
        parsed = json.loads(tokenizer)
        token_closure.vocabulary(parsed["model"])
    except (ValueError, KeyError, TypeError) as error:
        raise UnsupportedModelError(f"tokenizer: not JSON of the tokenizers library ({error!r})") from error
    return dict(parsed)


def all_tokens(parsed: dict[str, Any]) -> dict[str, int]:
    """Return token to id, added tokens with them."""
    added = {entry["content"]: int(entry["id"]) for entry in parsed.get("added_tokens") or []}
    return {**token_closure.vocabulary(parsed["model"]), **added}


def kept_ids(parsed: dict[str, Any], used: set[int]) -> tuple[int, ...]:
    """Return the ids that must stay so that used ones come out as before: those, special ones, and their closure.

    Args:
        parsed: a tokenizer's fields.
        used: ids.

    Returns:
        Old ids, rising; their positions are the new ids.

    Raises:
        UnsupportedModelError: the tokenizer cannot be pruned safely; the message says why.
    """
    known = all_tokens(parsed)
    names = {i: token for token, i in known.items()}
    if len(names) != len(known):
        raise UnsupportedModelError("tokenizer: two tokens have one id; it cannot be pruned safely")
    special = {int(entry["id"]) for entry in parsed.get("added_tokens") or []} | _processor_ids(parsed)
    ids = {i for i in used | special if i in names}
    kept = token_closure.closure(parsed["model"], [names[i] for i in ids])
    return tuple(sorted({known[token] for token in kept} | ids))


def _processor_ids(parsed: dict[str, Any]) -> set[int]:
    """Return the ids that the post-processors and the padding write."""
    found: list[int] = []

    def note(old: int) -> int:
        found.append(old)
        return old

    _renumber_settings(parsed, note)
    return set(found)


def renumbered(parsed: dict[str, Any], new_ids: dict[int, int]) -> dict[str, Any]:
    """Return a tokenizer's fields with only some tokens, under their new ids.

    Args:
        parsed: the fields; unchanged.
        new_ids: old id to new id, of at least the special tokens.

    Returns:
        The fields.

    Raises:
        UnsupportedModelError: a post-processor is of a kind whose ids cannot be found.
    """
    smaller = _renumber_settings(parsed, lambda i: new_ids[i])
    names = {token for token, i in token_closure.vocabulary(parsed["model"]).items() if i in new_ids}
    smaller["model"] = token_closure.pruned_model(parsed["model"], names, new_ids)
    added = parsed.get("added_tokens") or []
    smaller["added_tokens"] = [{**entry, "id": new_ids[int(entry["id"])]} for entry in added]
    return smaller


def _renumber_settings(parsed: dict[str, Any], new: Callable[[int], int]) -> dict[str, Any]:
    """Copy everything but the model, with ids of padding and post-processors passed through `new`."""
    copy = {key: value for key, value in parsed.items() if key != "model"}
    if copy.get("padding"):
        copy["padding"] = {**copy["padding"], "pad_id": new(int(copy["padding"]["pad_id"]))}
    if copy.get("post_processor"):
        copy["post_processor"] = _processor(copy["post_processor"], new)
    return copy


def _processor(settings: dict[str, Any], new: Callable[[int], int]) -> dict[str, Any]:
    kind = settings["type"]
    if kind == "Sequence":
        return {**settings, "processors": [_processor(entry, new) for entry in settings["processors"]]}
    if kind == "TemplateProcessing":
        tokens = {
            name: {**entry, "ids": [new(int(i)) for i in entry["ids"]]}
            for name, entry in settings["special_tokens"].items()
        }
        return {**settings, "special_tokens": tokens}
    if kind in ("BertProcessing", "RobertaProcessing"):
        return {**settings, **{side: [settings[side][0], new(int(settings[side][1]))] for side in ("sep", "cls")}}
    if kind == "ByteLevel":
        return settings
    raise UnsupportedModelError(f"tokenizer: a post-processor of type {kind!r} cannot be renumbered safely")


def _check_same(
    before: npt.NDArray[np.int32], after: npt.NDArray[np.int32], new_ids: dict[int, int], texts: Sequence[str]
) -> None:
    expected = np.vectorize(new_ids.__getitem__, otypes=[np.int32])(before)
    wrong = np.flatnonzero((expected != after).any(axis=1))
    if len(wrong):
        raise ConversionError(
            f"tokenizer: pruned, it gives other tokens for {len(wrong)} of {len(texts)} texts, the first "
            f"{texts[int(wrong[0])]!r}; keep the whole vocabulary"
        )
