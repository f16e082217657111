"""The ``hf:`` source: transformers dual encoders, from a local folder or a hub repository."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

from edgekit.converters.records import SourceModel
from edgekit.converters.sources import hf_files, hf_image, hf_load
from edgekit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.converters.records import SourceOptions

_TEMPLATES = ("a photo of a {}.",)
_PACKAGES = ("huggingface-hub", "tokenizers", "torch", "transformers")


def load(spec: str, options: SourceOptions) -> SourceModel:
    """Load a checkpoint in transformers' format.

    Any architecture is taken whose model gives image and text features on their own, into one space, from pixels of
    a fixed size and from token ids: CLIP, SigLIP, fixed-size SigLIP 2, Chinese-CLIP, ALIGN, AltCLIP, pairs of towers.
    That the parts were understood is checked by running them: masks, preprocessing, scale and bias must reproduce
    what the model, the processor and the tokenizer do together. No code of the checkpoint is run.

    Args:
        spec: a folder, or a hub repository id such as ``openai/clip-vit-base-patch32``.
        options: a local tokenizer, used instead of the checkpoint's.

    Returns:
        The model, its preprocessing and tokenizer, with references computed by transformers itself.

    Raises:
        InputError: a file is missing or damaged, or the hub cannot be reached; the message names the file.
        UnsupportedModelError: the architecture, or a setting of the processor or tokenizer, cannot be converted.
        MissingDependencyError: transformers or PyTorch is not installed.
    """
    library = hf_load.transformers()
    import torch

    checkpoint = hf_files.find(spec, needs_tokenizer=options.tokenizer is None)
    # Small parts first: what they refuse shows before gigabytes of weights are read.
    processor = hf_load.image_processor(checkpoint.folder)
    image_spec = hf_image.image_spec(processor)
    tokenizer = _tokenizer(checkpoint.folder, options)
    model = hf_load.dual_encoder(checkpoint.folder)
    with hf_load.quiet(library), torch.no_grad():
        return _assemble(library, checkpoint, model, processor, image_spec, tokenizer)


def _assemble(
    library: Any,
    checkpoint: hf_files.Checkpoint,
    model: torch.nn.Module,
    processor: Any,
    image_spec: ImageSpec,
    tokenizer: Any,
) -> SourceModel:
    import torch

    from edgekit.converters import towers
    from edgekit.converters.digest import weights_sha256
    from edgekit.converters.sources import hf_encoders, hf_text
    from edgekit.converters.tokenizers.hf import pipeline_from_transformers

    padded = hf_text.padded_length(hf_load.processor_class(library, model), processor, tokenizer)
    length = hf_text.context_length(model, padded, tokenizer)
    pad_id = hf_text.pad_id(tokenizer)
    probe = hf_text.probe(tokenizer, length)
    image = hf_encoders.ImageEncoder(model).eval()
    text = hf_encoders.text_encoder(model, pad_id, probe)
    pixels = torch.randn(2, 3, image_spec.height, image_spec.width, generator=torch.Generator().manual_seed(0))
    dimension = hf_encoders.check_logits(model, image, text, probe, pixels)
    scale, bias, scores = hf_encoders.logit_terms(model)
    return SourceModel(
        name=checkpoint.name,
        license=checkpoint.license,
        description=f"{type(model).__name__} of transformers, {checkpoint.name}",
        weights_sha256=weights_sha256({"model": model}),
        dimension=dimension,
        logit_scale=scale,
        logit_bias=bias,
        scores=scores,
        image=image_spec,
        image_tower=towers.image_tower(image, image_spec),
        image_reference=hf_image.image_reference(processor),
        text=pipeline_from_transformers(tokenizer, length),
        text_tower=towers.text_tower(text, length, pad_id),
        templates=_TEMPLATES,
        toolchain={package: metadata.version(package) for package in _PACKAGES},
    )


def _tokenizer(folder: Path, options: SourceOptions) -> Any:
    from edgekit.converters.sources import hf_text

    if options.tokenizer is None:
        return hf_load.tokenizer(folder)
    given = hf_text.local_tokenizer(options.tokenizer)
    if given.bpe_file:
        raise InputError(f"{given.path}: this is open_clip's vocabulary; hf: takes a tokenizer in Hugging Face format")
    return given.tokenizer
