"""Towers of open_clip one by one, rebuilt from a configuration, with every matrix a linear layer."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from edgekit.converters.distill.students.attention import unpack
from edgekit.converters.export import first_line
from edgekit.converters.graph.masks import MASKED
from edgekit.converters.torch_compat import prepare
from edgekit.errors import InputError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.converters.records import TextPipeline
    from edgekit.converters.sources.open_clip_request import Request


class OpenClipImage(nn.Module):
    """An image tower of open_clip; a final projection, where it has one, is the linear layer `head`."""

    def __init__(self, visual: Any) -> None:
        """Take over a tower; it is changed."""
        super().__init__()
        unpack(visual)
        projection = getattr(visual, "proj", None)
        self.visual = visual
        self.head: nn.Module = nn.Identity()
        self.last = _last_of_trunk(visual)
        if isinstance(projection, nn.Parameter):
            visual.proj = None
            self.head, self.last = _as_linear(projection), "head"

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Map float32 (N, 3, H, W) to float32 (N, D)."""
        found = self.visual(planes)
        # Towers that also feed a caption decoder (CoCa) return (embedding, tokens).
        rows: torch.Tensor = self.head(found[0] if isinstance(found, tuple) else found)
        return rows


class OpenClipText(nn.Module):
    """A text tower of open_clip that takes any length up to its context."""

    mask: torch.Tensor | None

    def __init__(self, text: Any) -> None:
        """Take over a `TextTransformer` or a whole `CLIP`, which carries its text tower's parts itself."""
        super().__init__()
        whole = hasattr(text, "text_pool_type")
        unpack(text.transformer)
        self.token_embedding = text.token_embedding
        self.positional_embedding = text.positional_embedding
        self.transformer = text.transformer
        self.ln_final = text.ln_final
        projection = text.text_projection
        self.head: nn.Module = _as_linear(projection) if isinstance(projection, nn.Parameter) else nn.Identity()
        if isinstance(projection, nn.Module):
            self.head = projection
        self.last = "head"
        mask = text.attn_mask
        self.register_buffer("mask", None if mask is None else mask.clamp(min=MASKED), persistent=False)
        self.pool = text.text_pool_type if whole else text.pool_type
        self.eos_id = text.text_eos_id if whole else text.eos_id

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Map int64 (N, L) to float32 (N, D)."""
        from open_clip.transformer import text_global_pool

        length = ids.shape[1]
        tokens = self.token_embedding(ids) + self.positional_embedding[:length]
        mask = None if self.mask is None else self.mask[:length, :length]
        tokens = self.ln_final(self.transformer(tokens, attn_mask=mask))
        rows: torch.Tensor = self.head(text_global_pool(tokens, ids, self.pool, eos_token_id=self.eos_id))
        return rows

    @property
    def full_length(self) -> bool:
        """Whether padding changes the embedding, so that texts must be padded to the context length."""
        return self.mask is None or self.pool == "last"


def image_config(request: Request, dimension: int, size: int) -> str:
    """Return the JSON text that `image_module` builds from.

    Args:
        request: an open_clip model.
        dimension: D; 0 keeps the configuration's.
        size: side of the input in pixels; 0 keeps the configuration's.

    Returns:
        The configuration of the image tower alone.
    """
    config = _config(request)
    vision = dict(config["vision_cfg"])
    if size:
        vision["image_size"] = size
    # Weights come from the recipe or not at all; training-time dropout of patches is not wanted either.
    vision.update({key: False for key in ("timm_model_pretrained",) if key in vision})
    chosen = {"embed_dim": dimension or config["embed_dim"], "vision_cfg": vision, "quick_gelu": _quick(config)}
    return json.dumps(chosen, sort_keys=True)


def text_config(request: Request, dimension: int, context_length: int) -> str:
    """Return the JSON text that `text_module` builds from.

    Args:
        request: an open_clip model.
        dimension: D; 0 keeps the configuration's.
        context_length: L; 0 keeps the configuration's.

    Returns:
        The configuration of the text tower alone.

    Raises:
        UnsupportedModelError: the tower is a model of transformers, whose configuration is elsewhere.
    """
    config = _config(request)
    text = dict(config["text_cfg"])
    if text.get("hf_model_name"):
        raise UnsupportedModelError(
            f"student.text.arch: the text tower of {request.model} is a model of transformers; take 'teacher' with a "
            "bundle made of it, or a configuration whose text tower is open_clip's own"
        )
    if context_length:
        text["context_length"] = context_length
    chosen = {"embed_dim": dimension or config["embed_dim"], "text_cfg": text, "quick_gelu": _quick(config)}
    return json.dumps(chosen, sort_keys=True)


def image_module(config: str) -> OpenClipImage:
    """Build an image tower with random weights.

    Args:
        config: what `image_config` gave.

    Returns:
        The tower.

    Raises:
        UnsupportedModelError: the installed libraries cannot build it.
    """
    prepare()
    from open_clip.model import _build_vision_tower

    settings = json.loads(config)
    try:
        visual = _build_vision_tower(settings["embed_dim"], settings["vision_cfg"], settings["quick_gelu"])
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise UnsupportedModelError(f"open_clip cannot build this image tower: {first_line(error)}") from error
    return OpenClipImage(visual)


def text_module(config: str) -> OpenClipText:
    """Build a text tower with random weights.

    Args:
        config: what `text_config` gave.

    Returns:
        The tower.

    Raises:
        UnsupportedModelError: the installed libraries cannot build it, or it is of another form.
    """
    prepare()
    from open_clip.model import _build_text_tower

    settings = json.loads(config)
    try:
        text = _build_text_tower(settings["embed_dim"], settings["text_cfg"], settings["quick_gelu"])
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise UnsupportedModelError(f"open_clip cannot build this text tower: {first_line(error)}") from error
    return _text(text)


def request_of(spec: str) -> Request:
    """Read ``NAME`` or ``NAME:WEIGHTS``, as the source ``open_clip:`` does.

    Args:
        spec: what follows ``open_clip:``.

    Returns:
        The request, with a configuration.

    Raises:
        InputError: there is no such model or file.
        UnsupportedModelError: its configuration is on a hub.
    """
    prepare()
    from edgekit.converters.sources.open_clip_request import parse

    request = parse(spec)
    if not request.config:
        raise UnsupportedModelError(
            f"open_clip:{spec}: its configuration is on a hub; fetch the checkpoint into a folder and write "
            "open_clip:local-dir:FOLDER"
        )
    return request


def whole_model(request: Request) -> Any:
    """Return open_clip's model with its weights, in float32.

    Args:
        request: a model and its weights.

    Returns:
        open_clip's own model.
    """
    from edgekit.converters.sources.open_clip_model import create

    return create(request)


def tokenizer_of(request: Request) -> TextPipeline:
    """Return the tokenizer that belongs to an open_clip model.

    Args:
        request: the model.

    Returns:
        The pipeline.
    """
    from edgekit.converters.records import SourceOptions
    from edgekit.converters.sources.open_clip_tokenizer import text_pipeline

    return text_pipeline(request, SourceOptions())


def has_own_text(spec: str) -> bool:
    """Tell whether an open_clip model's text tower can be rebuilt from its configuration alone.

    Args:
        spec: what follows ``open_clip:``; empty where the model is of another source.

    Returns:
        False for other sources, and for text towers of transformers.
    """
    return bool(spec) and not request_of(spec).config.get("text_cfg", {}).get("hf_model_name")


def renumbered(config: str, kept: Sequence[int]) -> str:
    """Return a text configuration whose end-of-text id is that of a smaller vocabulary.

    Args:
        config: what `text_config` gave.
        kept: old id of each new one, rising.

    Returns:
        The configuration.
    """
    settings = json.loads(config)
    ids = {old: new for new, old in enumerate(kept)}
    for name in ("eos_id", "pad_id"):
        if settings["text_cfg"].get(name) in ids:
            settings["text_cfg"][name] = ids[settings["text_cfg"][name]]
    return json.dumps(settings, sort_keys=True)


def text_of(model: Any) -> OpenClipText:
    """Return the text tower of open_clip's model, on a copy of its weights.

    Args:
        model: what `whole_model` gave.

    Returns:
        The tower.

    Raises:
        UnsupportedModelError: it is a model of transformers, or of another form.
    """
    return _text(copy.deepcopy(getattr(model, "text", model)))


def image_of(model: Any) -> OpenClipImage:
    """Return the image tower of open_clip's model, on a copy of its weights.

    Args:
        model: what `whole_model` gave.

    Returns:
        The tower.
    """
    return OpenClipImage(copy.deepcopy(model.visual))


def preprocessing(model: Any) -> ImageSpec:
    """Return the preprocessing that open_clip attached to a model with weights.

    Args:
        model: what `whole_model` gave.

    Returns:
        The record.
    """
    from edgekit.converters.sources.open_clip_image import image_spec

    return image_spec(dict(model.visual.preprocess_cfg))


def scaled(spec: ImageSpec) -> ImageSpec:
    """Return a preprocessing with open_clip's own mean and standard deviation, for a tower that has no weights."""
    prepare()
    from open_clip.transform import PreprocessCfg

    own = PreprocessCfg()
    return replace(spec, mean=_three(own.mean), std=_three(own.std))


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)


def _text(text: Any) -> OpenClipText:
    plain = hasattr(text, "positional_embedding") and hasattr(text, "attn_mask")
    if not plain or getattr(text, "cls_emb", None) is not None or getattr(text, "use_pad_mask", False):
        raise UnsupportedModelError(
            "student.text.arch: this open_clip text tower (a model of transformers, a class token or a padding mask) "
            "cannot be rebuilt; take 'teacher' with a bundle made of it"
        )
    return OpenClipText(text)


def _config(request: Request) -> dict[str, Any]:
    if not {"embed_dim", "vision_cfg", "text_cfg"} <= request.config.keys():
        raise InputError(f"open_clip:{request.model}: not a configuration of a dual encoder")
    return request.config


def _quick(config: dict[str, Any]) -> bool:
    return bool(config.get("quick_gelu", False))


def _as_linear(projection: nn.Parameter) -> nn.Linear:
    """A matrix that is multiplied from the right, as a layer."""
    layer = nn.Linear(projection.shape[0], projection.shape[1], bias=False)
    with torch.no_grad():
        layer.weight.copy_(projection.t())
    return layer


def _last_of_trunk(visual: nn.Module) -> str:
    """Return the path of the layer that ends a timm trunk of open_clip, or an empty string."""
    layers = [name for name, part in visual.named_modules() if isinstance(part, nn.Linear) and name == "head.proj"]
    return f"visual.{layers[0]}" if layers else ""
