"""How many tokens a transformers checkpoint takes, and what its own tokenizer feeds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from torch import nn

    from edgekit.converters.tokenizers.local import LocalTokenizer

# A tokenizer that states no length answers a number no text reaches.
_NO_LIMIT = 1_000_000
# One short, one middling, and one that every context truncates: padding of every amount, none included.
_PROBES = ("a", "a photo of a cat", "a photo of a cat and a dog " * 200)


def context_length(model: nn.Module, processor_length: int | None, tokenizer: Any) -> int:
    """Return L, the number of ids a text is padded or truncated to.

    A length that the checkpoint's processor pads to by default wins; otherwise it is the smaller of the tokenizer's
    ``model_max_length`` and the positions of the text tower, less those that its numbering leaves out.

    Args:
        model: the dual encoder.
        processor_length: what `padded_length` found, or None.
        tokenizer: the checkpoint's tokenizer.

    Returns:
        L.

    Raises:
        UnsupportedModelError: neither the tokenizer nor the text tower states a limit, or the tower does not encode it.
    """
    from edgekit.converters.sources.hf_encoders import longest_context

    stated = [processor_length] if processor_length is not None else [int(tokenizer.model_max_length)]
    text_config = getattr(model.config, "text_config", None)
    positions = getattr(text_config, "max_position_embeddings", None)
    if isinstance(positions, int):
        stated.append(positions)
    length = min(stated)
    if length >= _NO_LIMIT:
        raise UnsupportedModelError(
            f"{type(model).__name__}: neither the tokenizer's model_max_length nor text_config.max_position_embeddings "
            "states the context length; set model_max_length in tokenizer_config.json"
        )
    return longest_context(model, length, pad_id(tokenizer))


def padded_length(processor_class: type | None, image_processor: Any, tokenizer: Any) -> int | None:
    """Return the length to which the checkpoint's processor pads a short text by default, if it does.

    Args:
        processor_class: the processor class of the checkpoint's architecture, or None.
        image_processor: its image processor.
        tokenizer: its tokenizer.

    Returns:
        The length, or None where the processor does not pad or does not take these parts.
    """
    if processor_class is None:
        return None
    try:
        ids = processor_class(image_processor, tokenizer)(text=["a"])["input_ids"][0]
    except (TypeError, ValueError, AttributeError):  # a class for other parts has no say about these
        return None
    bare = tokenizer(["a"])["input_ids"][0]
    return len(ids) if len(ids) > len(bare) else None


def probe(tokenizer: Any, length: int) -> Mapping[str, torch.Tensor]:
    """Return what the tokenizer feeds the model for a few texts, padded to `length`.

    Args:
        tokenizer: the checkpoint's tokenizer.
        length: L.

    Returns:
        ``input_ids`` int64 (3, L), and ``attention_mask`` and ``token_type_ids`` where the tokenizer gives them.
    """
    tokens = tokenizer(list(_PROBES), padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return dict(tokens)


def local_tokenizer(path: Path) -> LocalTokenizer:
    """Open the tokenizer that the user gave in the place of the checkpoint's.

    Args:
        path: folder or file.

    Returns:
        What it holds.

    Raises:
        InputError: the path is missing, or holds no known form.
    """
    from edgekit.converters.sources import hf_load
    from edgekit.converters.tokenizers.local import load_local_tokenizer

    with hf_load.quiet(hf_load.transformers()):
        return load_local_tokenizer(path)


def pad_id(tokenizer: Any) -> int:
    """Return the id of the padding token.

    Args:
        tokenizer: the checkpoint's tokenizer.

    Returns:
        The id.

    Raises:
        UnsupportedModelError: the tokenizer has none.
    """
    if tokenizer.pad_token_id is None:
        raise UnsupportedModelError(
            f"{type(tokenizer).__name__} has no padding token; set pad_token in tokenizer_config.json"
        )
    return int(tokenizer.pad_token_id)
