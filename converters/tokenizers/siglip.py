"""transformers' `SiglipTokenizer`, which runs SentencePiece from Python, as a `tokenizers` JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

from edgekit.errors import UnsupportedModelError
from edgekit.text.siglip import LITERAL_MARK

_UNIGRAM = 1


def is_siglip(tokenizer: Any) -> bool:
    """Tell whether this is transformers' SentencePiece-based `SiglipTokenizer`."""
    import transformers

    return not getattr(tokenizer, "is_fast", False) and isinstance(tokenizer, transformers.SiglipTokenizer)


def siglip_json(tokenizer: Any, length: int) -> str:
    """Write the JSON that goes with ``TextSpec.cleaning`` ``siglip``.

    Args:
        tokenizer: a `SiglipTokenizer`.
        length: context length.

    Returns:
        JSON whose normalizer is SentencePiece's character map (see `edgekit.text.siglip`), and whose special tokens
        carry a mark that no prepared text holds.

    Raises:
        UnsupportedModelError: a setting of the tokenizer or of its SentencePiece model has no counterpart here.
    """
    model = _model(tokenizer)
    normalizer = model.normalizer_spec
    added = dict(sorted(tokenizer.added_tokens_decoder.items()))
    vocabulary = [[piece.piece, piece.score] for piece in model.pieces]
    for number, token in added.items():
        if number < len(vocabulary):
            vocabulary[number][0] = LITERAL_MARK + token.content
    return json.dumps(
        {
            "version": "1.0",
            "truncation": {
                "direction": tokenizer.truncation_side.capitalize(),
                "max_length": length,
                "strategy": "LongestFirst",
                "stride": 0,
            },
            "padding": {
                "strategy": {"Fixed": length},
                "direction": tokenizer.padding_side.capitalize(),
                "pad_to_multiple_of": None,
                "pad_id": tokenizer.pad_token_id,
                "pad_type_id": 0,
                "pad_token": LITERAL_MARK + str(tokenizer.pad_token),
            },
            "added_tokens": [_added_token(number, token.content) for number, token in added.items()],
            "normalizer": {
                "type": "Precompiled",
                "precompiled_charsmap": base64.b64encode(normalizer.precompiled_charsmap).decode("ascii"),
            },
            "pre_tokenizer": None,
            "post_processor": _append(str(tokenizer.eos_token), tokenizer.eos_token_id),
            "decoder": None,
            "model": {
                "type": "Unigram",
                "unk_id": model.trainer_spec.unk_id,
                "vocab": vocabulary,
                "byte_fallback": model.trainer_spec.byte_fallback,
            },
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _model(tokenizer: Any) -> Any:
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto.FromString(tokenizer.sp_model.serialized_model_proto())
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    requirements = (
        ("do_lower_case is off", tokenizer.do_lower_case),
        ("split_special_tokens is on", not tokenizer.split_special_tokens),
        ("sp_model_kwargs asks for sampling", not tokenizer.sp_model_kwargs.get("enable_sampling")),
        ("the SentencePiece model is not a unigram model", trainer.model_type == _UNIGRAM),
        ("the SentencePiece model keeps extra whitespace", normalizer.remove_extra_whitespaces),
        ("the SentencePiece model does not escape whitespace", normalizer.escape_whitespaces),
        ("the SentencePiece model puts whitespace after words", not trainer.treat_whitespace_as_suffix),
        ("the SentencePiece model has no character map", bool(normalizer.precompiled_charsmap)),
    )
    for fault, fulfilled in requirements:
        if not fulfilled:
            msg = f"SiglipTokenizer: {fault}: not supported"
            raise UnsupportedModelError(msg)
    return model


def _added_token(number: int, content: str) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": number, "content": LITERAL_MARK + content, **flags}


def _append(token: str, number: int) -> dict[str, Any]:
    return {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": token, "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}},
    }
