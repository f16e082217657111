"""The two halves of a transformers dual encoder as plain modules: pixels in, token ids in, features out."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

MaskRule = Literal["none", "not_pad", "to_first_pad"]
_RULES: tuple[MaskRule, ...] = ("none", "not_pad", "to_first_pad")
# Two ways to the same embedding differ by float rounding alone; a wrong mask differs by far more.
_SAME = 2e-5


class ImageEncoder(nn.Module):
    """``get_image_features`` of a model: normalized float32 (N, 3, H, W) to float32 (N, D), not unit length."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode a batch."""
        return _features(self.model.get_image_features(pixel_values=pixels))  # type: ignore[operator]


class TextEncoder(nn.Module):
    """``get_text_features`` of a model, fed by token ids alone: integer (N, L) to float32 (N, D), not unit length.

    Args:
        model: the dual encoder.
        pad_id: id of the padding token.
        mask_rule: how the attention mask follows from the ids. ``none`` passes no mask, ``not_pad`` masks every
            padding id, ``to_first_pad`` keeps everything up to the first padding id and that one too (a tokenizer
            whose padding id is its end-of-text id).
    """

    def __init__(self, model: nn.Module, pad_id: int, mask_rule: MaskRule) -> None:
        super().__init__()
        self.model = model
        self.pad_id = pad_id
        self.mask_rule = mask_rule
        self.takes_types = "token_type_ids" in inspect.signature(_text_method(model)).parameters

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Encode a batch."""
        ids = token_ids.long()
        arguments = {"input_ids": ids}
        if self.mask_rule != "none":
            arguments["attention_mask"] = _mask(ids, self.pad_id, self.mask_rule)
        if self.takes_types:
            arguments["token_type_ids"] = torch.zeros_like(ids)
        return _features(_text_method(self.model)(**arguments))


def check_dual_encoder(model: nn.Module) -> None:
    """Refuse a model that does not give image and text features on their own.

    Args:
        model: any transformers model.

    Raises:
        UnsupportedModelError: a method is missing, or its image half needs more than pixels.
    """
    name = type(model).__name__
    for method in ("get_image_features", "get_text_features"):
        if not hasattr(model, method):
            raise UnsupportedModelError(
                f"{name} has no {method}; only dual encoders with get_image_features and get_text_features can be "
                "converted"
            )
    if "spatial_shapes" in inspect.signature(model.get_image_features).parameters:  # type: ignore[arg-type]
        raise UnsupportedModelError(
            f"{name} takes patches and spatial_shapes (NaFlex): its input depends on each photo's aspect ratio, which "
            "one fixed-size graph cannot follow; convert the fixed-resolution checkpoint of the same family"
        )


def text_encoder(model: nn.Module, pad_id: int, tokenized: Mapping[str, torch.Tensor]) -> TextEncoder:
    """Return the text half with the simplest mask rule that reproduces the model on the tokenizer's own output.

    Args:
        model: a dual encoder in eval mode.
        pad_id: id of the padding token.
        tokenized: what the checkpoint's tokenizer gives for some padded texts: ``input_ids`` (N, L), and
            ``attention_mask`` and ``token_type_ids`` where the tokenizer provides them.

    Returns:
        The encoder.

    Raises:
        UnsupportedModelError: no rule reproduces the model.
    """
    wanted = inspect.signature(_text_method(model)).parameters
    own = {key: value for key, value in tokenized.items() if key in wanted}
    with torch.inference_mode():
        reference = _unit(_features(_text_method(model)(**own)))
        if reference.ndim != 2:
            raise UnsupportedModelError(
                f"{type(model).__name__}.get_text_features gives shape {tuple(reference.shape)}, one vector per token; "
                "one vector per text is needed"
            )
        errors: dict[str, float] = {}
        for rule in _RULES if "attention_mask" in own else _RULES[:1]:
            encoder = TextEncoder(model, pad_id, rule)
            errors[rule] = float((_unit(encoder(own["input_ids"])) - reference).abs().max())
            if errors[rule] <= _SAME:
                return encoder.eval()
    raise UnsupportedModelError(
        f"{type(model).__name__}: the tokenizer's attention mask does not follow from the token ids "
        f"(largest error by rule: {errors})"
    )


def logit_terms(model: nn.Module) -> tuple[float, float, Literal["softmax", "sigmoid"]]:
    """Return the scale on the cosine (already exponentiated), the bias, and how the model was trained to score.

    Args:
        model: a dual encoder with a ``logit_scale`` or a ``temperature`` parameter, and perhaps ``logit_bias``.

    Returns:
        Scale, bias (0.0 where there is none) and ``sigmoid`` where there is a bias, ``softmax`` elsewhere.

    Raises:
        UnsupportedModelError: the model has neither parameter, or one that is no single finite number.
    """
    scale = getattr(model, "logit_scale", None)
    temperature = getattr(model, "temperature", None)
    bias = getattr(model, "logit_bias", None)
    if isinstance(scale, torch.Tensor):
        factor = _number(model, "logit_scale", scale.detach().double().exp())
    elif isinstance(temperature, torch.Tensor):
        factor = _number(model, "temperature", 1.0 / temperature.detach().double())
    else:
        raise UnsupportedModelError(f"{type(model).__name__} has neither logit_scale nor temperature")
    if isinstance(bias, torch.Tensor):
        return factor, _number(model, "logit_bias", bias.detach()), "sigmoid"
    return factor, 0.0, "softmax"


def check_logits(
    model: nn.Module,
    image: ImageEncoder,
    text: TextEncoder,
    tokenized: Mapping[str, torch.Tensor],
    pixels: torch.Tensor,
) -> int:
    """Check that ``scale * cosine + bias`` of the two halves is what the whole model answers.

    Args:
        model: the dual encoder in eval mode.
        image: its image half.
        text: its text half.
        tokenized: as for `text_encoder`.
        pixels: normalized float32 (N, 3, H, W).

    Returns:
        D, the length of an embedding.

    Raises:
        UnsupportedModelError: the model's own logits differ, or the halves write vectors of different lengths.
    """
    scale, bias, _ = logit_terms(model)
    wanted = inspect.signature(model.forward).parameters
    own = {key: value for key, value in tokenized.items() if key in wanted}
    with torch.inference_mode():
        images, texts = _unit(image(pixels)), _unit(text(tokenized["input_ids"]))
        if images.ndim != 2 or images.shape[-1] != texts.shape[-1]:
            raise UnsupportedModelError(
                f"{type(model).__name__}: image features {tuple(images.shape)} and text features {tuple(texts.shape)} "
                "do not share one space"
            )
        logits = getattr(model(**own, pixel_values=pixels), "logits_per_image", None)
    if logits is None:
        raise UnsupportedModelError(f"{type(model).__name__} answers no logits_per_image to check the scale against")
    error = float((images @ texts.T * scale + bias - logits).abs().max())
    if not error <= 1e-3 * max(scale, 1.0):  # NaN is larger than no number
        raise UnsupportedModelError(
            f"{type(model).__name__}: its logits are not {scale:.4f} * cosine + {bias:.4f} (largest error {error:.3g})"
        )
    return int(images.shape[-1])


def longest_context(model: nn.Module, length: int, pad_id: int) -> int:
    """Return the number of ids a text may have: models that count positions from pad_id + 1 take fewer than `length`.

    Args:
        model: the dual encoder.
        length: what its configuration or its tokenizer says.
        pad_id: id of the padding token.

    Returns:
        The longest length that the model encodes.

    Raises:
        UnsupportedModelError: the model encodes neither that length nor the length that those positions leave.
    """
    other = 0 if pad_id != 0 else 1
    for candidate in (length, length - pad_id - 1):
        if candidate > 0 and _encodes(model, torch.full((1, candidate), other)):
            return candidate
    raise UnsupportedModelError(f"{type(model).__name__} does not encode a text of {length} tokens, its stated length")


def _number(model: nn.Module, name: str, value: torch.Tensor) -> float:
    if value.numel() != 1 or not bool(torch.isfinite(value).all()):
        found = float(value) if value.numel() == 1 else f"of shape {tuple(value.shape)}"
        raise UnsupportedModelError(f"{type(model).__name__}: {name} gives {found}; one finite number was expected")
    return float(value)


def _encodes(model: nn.Module, ids: torch.Tensor) -> bool:
    try:
        with torch.inference_mode():
            _text_method(model)(input_ids=ids)
    except (IndexError, RuntimeError, ValueError):  # positions past the end of the table, under various names
        return False
    return True


def _mask(ids: torch.Tensor, pad_id: int, rule: MaskRule) -> torch.Tensor:
    padding = ids == pad_id
    if rule == "not_pad":
        return (~padding).long()
    before = padding.long().cumsum(dim=1) - padding.long()
    return (before == 0).long()


def _features(output: Any) -> torch.Tensor:
    """Some releases answer the projected tensor, later ones an output object that carries it as pooler_output."""
    features: torch.Tensor = output if isinstance(output, torch.Tensor) else output.pooler_output
    return features


def _unit(features: torch.Tensor) -> torch.Tensor:
    return nn.functional.normalize(features.float(), dim=-1)


def _text_method(model: nn.Module) -> Any:
    return model.get_text_features
