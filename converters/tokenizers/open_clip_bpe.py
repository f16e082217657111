"""open_clip's own BPE tokenizer as a `tokenizers` JSON.

The steps of `open_clip.tokenizer.SimpleTokenizer`, re-expressed: a pattern splits the cleaned text into words, a word's
UTF-8 bytes become printable characters, BPE merges them, and the end-of-text token is kept when the text is truncated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.converters.records import TextPipeline
from edgekit.converters.tokenizers.cleanings import cleaning_name
from edgekit.converters.tokenizers.probe import check_same_ids
from edgekit.converters.tokenizers.unicode_classes import any_case, character_class
from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

_SPECIALS = ("<start_of_text>", "<end_of_text>")
_CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
_WORDS = (r"[\p{L}]+", r"[\p{N}]", r"[^\s\p{L}\p{N}]+")
_END_OF_WORD = "</w>"
_PAD_ID = 0


@dataclass(frozen=True)
class _Shortcut:
    """How a literal special token in the text becomes one id.

    open_clip takes it for one only where its word pattern finds it, so that it cannot be an added token of the JSON,
    which would be found anywhere. Instead a second split removes all but the first two characters of exactly this
    word; they mix punctuation and a letter, as no other word does, and a merge of its own turns them into the id.

    Attributes:
        removed: pattern for what the second split removes.
        merge: the two pieces that stay.
        word: name of the resulting piece, to which the special token's id is given.
    """

    removed: str
    merge: tuple[str, str]
    word: str


def pipeline_from_simple_tokenizer(tokenizer: Any, context_length: int | None = None) -> TextPipeline:
    """Express an open_clip `SimpleTokenizer` as a text pipeline with the same ids.

    Args:
        tokenizer: an `open_clip.tokenizer.SimpleTokenizer`, with any vocabulary and cleaning.
        context_length: L; the tokenizer's own when None.

    Returns:
        The pipeline; padding is id 0, as in open_clip.

    Raises:
        UnsupportedModelError: a setting has no deterministic or no JSON form; the message names it.
    """
    length = context_length or tokenizer.context_length
    _check(tokenizer, length)
    pipeline = TextPipeline(
        tokenizer_json=json.dumps(_build(tokenizer, length), ensure_ascii=False, separators=(",", ":")),
        context_length=length,
        pad_id=_PAD_ID,
        cleaning=cleaning_name(tokenizer.clean_fn),
        reference=_reference(tokenizer, length),
    )
    check_same_ids(pipeline, "SimpleTokenizer", _SPECIALS)
    return pipeline


def _reference(tokenizer: Any, length: int) -> Callable[[Sequence[str]], npt.NDArray[np.int32]]:
    def reference(texts: Sequence[str]) -> npt.NDArray[np.int32]:
        ids: npt.NDArray[np.int32] = tokenizer(list(texts), length).numpy().astype("int32")
        return ids

    return reference


def _check(tokenizer: Any, length: int | None) -> None:
    if length is None or length < len(_SPECIALS):
        msg = f"SimpleTokenizer: context_length is {length}, expected at least {len(_SPECIALS)}: give context_length"
        raise UnsupportedModelError(msg)
    if tokenizer.reduction_fn is not None:
        msg = "SimpleTokenizer: reduction_mask drops tokens at random, which is for training: create it without"
        raise UnsupportedModelError(msg)
    expected = "|".join((*_SPECIALS, *_CONTRACTIONS, *_WORDS))
    if tokenizer.pat.pattern != expected:
        msg = f"SimpleTokenizer: unknown word pattern {tokenizer.pat.pattern!r} (additional_special_tokens?)"
        raise UnsupportedModelError(msg)


def _build(tokenizer: Any, length: int) -> dict[str, Any]:
    merges = _merges(tokenizer.bpe_ranks, tokenizer.encoder)
    shortcuts = [_shortcut(special) for special in _SPECIALS]
    vocabulary = _vocabulary(tokenizer.encoder, shortcuts)
    start, end = (tokenizer.encoder[special] for special in _SPECIALS)
    words = "|".join(
        [any_case(literal) for literal in (*_SPECIALS, *_CONTRACTIONS)]
        + [character_class(pattern.rstrip("+")) + ("+" if pattern.endswith("+") else "") for pattern in _WORDS]
    )
    return {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": length, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": {"Fixed": length},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": _PAD_ID,
            "pad_type_id": 0,
            "pad_token": "!",
        },
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": words}, "behavior": "Removed", "invert": True},
                *(
                    {"type": "Split", "pattern": {"Regex": s.removed}, "behavior": "Removed", "invert": False}
                    for s in shortcuts
                ),
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": _SPECIALS[0], "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": _SPECIALS[1], "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                name: {"id": name, "ids": [number], "tokens": [name]}
                for name, number in zip(_SPECIALS, (start, end), strict=True)
            },
        },
        "decoder": None,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": _END_OF_WORD,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [*merges, *(list(shortcut.merge) for shortcut in shortcuts)],
        },
    }


def _shortcut(special: str) -> _Shortcut:
    kept, last, removed = special[0], special[1], special[2:]
    merge = (kept, last + _END_OF_WORD)
    return _Shortcut(f"(?<=\\A{kept}{last}){removed}\\z", merge, "".join(merge))


def _vocabulary(encoder: Mapping[str, int], shortcuts: Sequence[_Shortcut]) -> dict[str, int]:
    # A vocabulary file that ends early leaves empty pieces, which no text can give.
    vocabulary = {piece: number for piece, number in encoder.items() if piece and piece not in _SPECIALS}
    for special, shortcut in zip(_SPECIALS, shortcuts, strict=True):
        if shortcut.word in vocabulary:
            msg = f"SimpleTokenizer: the vocabulary merges {shortcut.word!r} across punctuation: not supported"
            raise UnsupportedModelError(msg)
        vocabulary[shortcut.word] = encoder[special]
    return vocabulary


def _merges(ranks: Mapping[tuple[str, ...], int], encoder: Mapping[str, int]) -> list[list[str]]:
    """List the merges in order of rank, without those that can never apply.

    open_clip applies one merge everywhere before it looks for the next, the `tokenizers` library always takes the best
    one that is there. Both give the same pieces when each piece exists before the first merge that uses it.
    """
    ordered = sorted(ranks, key=ranks.__getitem__)
    usable = [pair for pair in ordered if len(pair) == 2 and all(piece in encoder for piece in pair)]
    last_made = {"".join(pair): position for position, pair in enumerate(usable)}
    for position, pair in enumerate(usable):
        if any(last_made.get(piece, -1) >= position for piece in pair):
            msg = f"SimpleTokenizer: merge {' '.join(pair)!r} stands before a merge that makes one of its parts"
            raise UnsupportedModelError(msg)
    return [list(pair) for pair in usable]
