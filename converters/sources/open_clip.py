"""The ``open_clip:`` source: any architecture of open_clip, with its own weights, transform and tokenizer."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING, Any

from edgekit.converters.torch_compat import prepare
from edgekit.errors import MissingDependencyError, UnsupportedModelError

if TYPE_CHECKING:
    import torch

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.converters.records import SourceModel, SourceOptions, TextPipeline
    from edgekit.converters.sources.open_clip_request import Request

_TEMPLATES = ("a photo of a {}.",)
_PACKAGES = ("open-clip-torch", "timm", "torch", "torchvision", "transformers")


def load(spec: str, options: SourceOptions) -> SourceModel:
    """Load ``NAME`` or ``NAME:PRETRAINED``.

    NAME is one of open_clip's architectures, the path of a JSON configuration in open_clip's format, or
    ``hf-hub:OWNER/REPO`` or ``local-dir:FOLDER`` as open_clip itself understands them. PRETRAINED is a tag of
    open_clip, or a local ``.pt``, ``.pth``, ``.bin``, ``.safetensors`` or big_vision ``.npz`` file. Without
    PRETRAINED the weights are random (the same on every call), which is of use for measuring speed only.

    Args:
        spec: what follows ``open_clip:``.
        options: a local tokenizer, where the hub that holds the model's own is out of reach.

    Returns:
        The model, its preprocessing and tokenizer, with references computed by open_clip itself.

    Raises:
        InputError: an unknown name or tag, a missing or damaged file, or weights of another architecture.
        UnsupportedModelError: an architecture that the installed libraries or the contract do not cover.
        ConversionError: a file that only a hub holds cannot be fetched; the message names it.
        MissingDependencyError: open_clip is not installed.
    """
    try:
        prepare()
        import open_clip  # noqa: F401
        import torch
    except ImportError as error:
        raise MissingDependencyError(
            f"the open_clip source needs open_clip and PyTorch ({error}): pip install 'edgekit[convert]'"
        ) from error
    from edgekit.converters.sources.open_clip_model import create
    from edgekit.converters.sources.open_clip_request import parse
    from edgekit.converters.sources.open_clip_tokenizer import text_pipeline

    request = parse(spec)
    # The tokenizer first: where it is missing, that shows before gigabytes of weights are read.
    text = text_pipeline(request, options)
    with torch.no_grad():
        return _assemble(request, create(request), text)


def _assemble(request: Request, model: Any, text: TextPipeline) -> SourceModel:
    from edgekit.converters import towers
    from edgekit.converters.digest import weights_sha256
    from edgekit.converters.records import SourceModel
    from edgekit.converters.sources import open_clip_image, open_clip_text
    from edgekit.converters.sources.open_clip_reparameterize import reparameterized

    preprocess = dict(model.visual.preprocess_cfg)
    spec = open_clip_image.image_spec(preprocess, f"{request.model}: preprocessing")
    image, encoder = open_clip_text.ImageEncoder(model), open_clip_text.TextEncoder(model)
    image_tower = towers.image_tower(image, spec, export_as=reparameterized(image))
    text_tower = towers.text_tower(encoder, text.context_length, text.pad_id, export_as=open_clip_text.sliced(model))
    bias = getattr(model, "logit_bias", None)
    return SourceModel(
        name=_name(request),
        license="unknown",
        description=_description(request),
        weights_sha256=weights_sha256({"image": model.visual, "text": open_clip_text.text_part(model)}),
        dimension=_dimension(request, image, encoder, spec, text),
        logit_scale=float(model.logit_scale.exp().mean()),
        logit_bias=0.0 if bias is None else float(bias.mean()),
        scores="softmax" if bias is None else "sigmoid",
        image=spec,
        image_tower=image_tower,
        image_reference=open_clip_image.image_reference(preprocess),
        text=text,
        text_tower=text_tower,
        templates=_TEMPLATES,
        toolchain=_versions(),
    )


def _name(request: Request) -> str:
    """A short name: the last part of NAME, and the tag or the weight file's stem."""
    model = re.split(r"[/:]", request.model.rstrip("/"))[-1]
    weights = request.tag or (request.file.stem if request.file is not None else "")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{model}-{weights}" if weights else model)


def _description(request: Request) -> str:
    if request.is_random:
        return f"open_clip {request.model} with random weights (seed 0), of use for measuring speed only"
    if request.tag:
        return f"open_clip {request.model}, pretrained weights '{request.tag}'"
    return f"open_clip {request.model}" + (f", weights of {request.file.name}" if request.file is not None else "")


def _dimension(
    request: Request, image: torch.nn.Module, encoder: torch.nn.Module, spec: ImageSpec, text: TextPipeline
) -> int:
    """Ask each tower for one embedding: a configuration may state a width that a tower does not project to."""
    import torch

    from edgekit.converters.export import first_line

    ids = torch.as_tensor(text.reference(["a"]), dtype=torch.int64)
    try:
        dimension = int(encoder(ids).shape[1])
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise UnsupportedModelError(
            f"the text tower does not run on this tokenizer's ids in PyTorch itself: {first_line(error)}"
        ) from error
    other = int(image(torch.zeros(1, 3, spec.height, spec.width)).shape[1])
    if other != dimension:
        raise UnsupportedModelError(
            f"{request.model}: the image tower gives {other} numbers and the text tower {dimension}; they do not write "
            "into one space: see embed_dim and the towers' projections in the configuration"
        )
    return dimension


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # transformers is optional to open_clip
    return versions
