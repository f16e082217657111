"""Tokenizers of the transformers library, and open_clip's wrappers around them, as text pipelines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edgekit.converters.records import TextPipeline
from edgekit.converters.tokenizers.cleanings import cleaning_name
from edgekit.converters.tokenizers.probe import check_same_ids
from edgekit.converters.tokenizers.separator import strip_separator
from edgekit.converters.tokenizers.siglip import is_siglip, siglip_json
from edgekit.errors import UnsupportedModelError
from edgekit.text.cleaning import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from edgekit.bundle.manifest import Cleaning

_STRIPPED_ID = 0


def pipeline_from_transformers(
    tokenizer: Any,
    context_length: int,
    *,
    cleaning: Cleaning = "none",
    strip_sep_token: bool = False,
) -> TextPipeline:
    """Express a tokenizer of the transformers library as a text pipeline with the same ids.

    The ids are those of ``tokenizer(texts, max_length=context_length, padding="max_length", truncation=True)``.

    Args:
        tokenizer: a tokenizer of transformers; padding side, truncation side and special tokens are its own.
        context_length: L.
        cleaning: what is done to a text before; ``none`` for transformers, open_clip's `clean` for its models.
        strip_sep_token: whether separator ids become 0, as in open_clip's `HFTokenizer`.

    Returns:
        The pipeline.

    Raises:
        UnsupportedModelError: the tokenizer has no JSON form that gives the same ids; the message names its class.
    """
    reference = _reference(tokenizer, context_length, cleaning, strip_sep_token=strip_sep_token)
    return _pipeline(tokenizer, context_length, cleaning, reference, strip_sep_token=strip_sep_token)


def pipeline_from_open_clip(tokenizer: Any, context_length: int | None = None) -> TextPipeline:
    """Express open_clip's `HFTokenizer` or `SigLipTokenizer` as a text pipeline with the same ids.

    Args:
        tokenizer: the wrapper; cleaning, separator stripping and language are its own.
        context_length: L; the wrapper's own when None.

    Returns:
        The pipeline.

    Raises:
        UnsupportedModelError: a setting has no JSON form; the message names it.
    """
    length = context_length or tokenizer.context_length
    if length is None:
        msg = f"{type(tokenizer).__name__}: has no context_length: give one"
        raise UnsupportedModelError(msg)
    mode = getattr(tokenizer, "tokenizer_mode", "")
    if mode:
        msg = f"{type(tokenizer).__name__}: tokenizer_mode {mode!r} puts a class token after the padding: not supported"
        raise UnsupportedModelError(msg)

    def reference(texts: Sequence[str]) -> npt.NDArray[np.int32]:
        return _as_ids(tokenizer(list(texts), length) if len(texts) else [], length)

    clean_fn = getattr(tokenizer, "clean_fn", None)
    return _pipeline(
        tokenizer.tokenizer,
        length,
        # SigLipTokenizer has no setting: it always canonicalizes.
        "canonicalize" if clean_fn is None else cleaning_name(clean_fn),
        reference,
        strip_sep_token=getattr(tokenizer, "strip_sep_token", False),
    )


def _pipeline(
    tokenizer: Any,
    length: int,
    cleaning: Cleaning,
    reference: Callable[[Sequence[str]], npt.NDArray[np.int32]],
    *,
    strip_sep_token: bool,
) -> TextPipeline:
    name = type(tokenizer).__name__
    if tokenizer.pad_token_id is None:
        msg = f"{name}: has no padding token: add pad_token to its tokenizer_config.json"
        raise UnsupportedModelError(msg)
    if is_siglip(tokenizer):
        if cleaning != "none" or strip_sep_token:
            msg = f"{name}: cleaning {cleaning!r} before it is not supported: give the T5Tokenizer of open_clip's model"
            raise UnsupportedModelError(msg)
        cleaning = "siglip"
    tokenizer_json = siglip_json(tokenizer, length) if cleaning == "siglip" else _backend_json(tokenizer, length)
    if strip_sep_token and tokenizer.sep_token_id is not None:
        tokenizer_json = strip_separator(tokenizer_json, str(tokenizer.sep_token), name)
    pipeline = TextPipeline(
        tokenizer_json=tokenizer_json,
        context_length=length,
        pad_id=int(tokenizer.pad_token_id),
        cleaning=cleaning,
        reference=reference,
    )
    check_same_ids(pipeline, name, [str(token) for token in tokenizer.all_special_tokens])
    return pipeline


def _backend_json(tokenizer: Any, length: int) -> str:
    from tokenizers import Tokenizer

    name = type(tokenizer).__name__
    if not getattr(tokenizer, "is_fast", False):
        msg = f"{name}: written in Python, no tokenizer.json can be made of it: give one with --tokenizer"
        raise UnsupportedModelError(msg)
    if tokenizer.split_special_tokens:
        msg = f"{name}: split_special_tokens has no place in a tokenizer.json: not supported"
        raise UnsupportedModelError(msg)
    try:
        backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    # The library raises bare Exception, for instance for a pre-tokenizer written in Python.
    except Exception as error:
        msg = f"{name}: cannot be written as a tokenizer.json ({error})"
        raise UnsupportedModelError(msg) from error
    backend.enable_truncation(length, direction=tokenizer.truncation_side)
    backend.enable_padding(
        length=length,
        direction=tokenizer.padding_side,
        pad_id=tokenizer.pad_token_id,
        pad_token=str(tokenizer.pad_token),
    )
    # Compact: the library indents, which adds a third to a large vocabulary.
    return json.dumps(json.loads(backend.to_str()), ensure_ascii=False, separators=(",", ":"))


def _reference(
    tokenizer: Any, length: int, cleaning: Cleaning, *, strip_sep_token: bool
) -> Callable[[Sequence[str]], npt.NDArray[np.int32]]:
    def reference(texts: Sequence[str]) -> npt.NDArray[np.int32]:
        cleaned = [clean(text, cleaning) for text in texts]
        if not cleaned:
            return _as_ids([], length)
        encoded = tokenizer(cleaned, max_length=length, padding="max_length", truncation=True)
        ids = _as_ids(encoded["input_ids"], length)
        if strip_sep_token and tokenizer.sep_token_id is not None:
            ids[ids == tokenizer.sep_token_id] = _STRIPPED_ID
        return ids

    return reference


def _as_ids(rows: Any, length: int) -> npt.NDArray[np.int32]:
    import numpy as np

    return np.asarray(rows, dtype=np.int32).reshape(-1, length)
