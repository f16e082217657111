"""The ``onnx:`` source: towers that somebody exported, with their configuration, in one of the usual layouts."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.converters.records import SourceModel
from edgekit.converters.sources import hf_files, onnx_folder_layouts, onnx_folder_settings
from edgekit.errors import InputError, MissingDependencyError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from edgekit.converters.records import SourceOptions, TextPipeline
    from edgekit.converters.sources.onnx_folder_layouts import Parts

_TEMPLATES = ("a photo of a {}.",)
_PACKAGES = ("onnx", "onnxruntime", "tokenizers", "transformers")
# One short, one middling, one that is truncated: padding of every amount.
_PROBES = ("a", "a photo of a cat", "a photo of a cat and a dog " * 200)


def load(spec: str, options: SourceOptions) -> SourceModel:
    """Load a folder of exported towers.

    Layouts: modern-onnx-clip (``visual.onnx``, ``textual.onnx``, ``config.json``, the BPE vocabulary), Immich
    (``visual/``, ``textual/``, open_clip's configuration) and Optimum or transformers.js (``onnx/vision_model.onnx``,
    ``onnx/text_model.onnx``, transformers' configuration). The graphs are wrapped to the contract, quantized ones
    as they are; references come from the graphs as they came.

    Scale and bias of the logits are not in such graphs; see `onnx_folder_settings.logits` for where they are found.

    Args:
        spec: the folder.
        options: a local tokenizer, used instead of the folder's.

    Returns:
        The model.

    Raises:
        InputError: a file or a field is missing or damaged, or a graph points outside its folder.
        UnsupportedModelError: no known layout, or a graph or a setting that cannot be converted.
        MissingDependencyError: onnx, onnxruntime or transformers is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"the onnx source needs onnx and onnxruntime ({error}): pip install 'edgekit[convert]'"
        ) from error
    from edgekit.converters import onnx_towers
    from edgekit.converters.sources import onnx_folder_session

    folder = Path(spec).expanduser()
    parts = onnx_folder_layouts.find(folder, needs_tokenizer=options.tokenizer is None)
    images = onnx_folder_settings.preprocessing(parts)
    text, probe = _text(parts, options)
    image_tower = onnx_towers.image_tower(parts.image, images.spec)
    text_tower = onnx_towers.text_tower(parts.text, text.context_length, text.pad_id, probe)
    pixels = np.zeros((1, images.spec.height, images.spec.width, 3), np.uint8)
    dimension = _common_dimension(parts, image_tower.reference(pixels), text_tower.reference(probe["input_ids"][:1]))
    logits = onnx_folder_settings.logits(parts)
    description = f"{parts.layout.name} export, {folder.resolve().name}"
    return SourceModel(
        name=folder.resolve().name,
        license=hf_files.license_of(folder),
        description=f"{description}; {logits.note}" if logits.note else description,
        weights_sha256=onnx_folder_session.digest([parts.image, parts.text]),
        dimension=dimension,
        logit_scale=logits.scale,
        logit_bias=logits.bias,
        scores=logits.scores,
        image=images.spec,
        image_tower=image_tower,
        image_reference=images.reference,
        text=text,
        text_tower=text_tower,
        templates=_TEMPLATES,
        toolchain={package: metadata.version(package) for package in _PACKAGES},
    )


def _text(parts: Parts, options: SourceOptions) -> tuple[TextPipeline, Mapping[str, npt.NDArray[np.integer]]]:
    """The pipeline, and the tokenizer's own ids and attention mask for a few texts."""
    from edgekit.converters.sources import hf_load, hf_text
    from edgekit.converters.tokenizers import hf as tokenizers

    length = onnx_folder_settings.context_length(parts)
    given = None if options.tokenizer is None else hf_text.local_tokenizer(options.tokenizer)
    if given is None and parts.layout.dialect == "onnx_clip":
        return _bpe_text(parts, parts.tokenizer or parts.folder, length)
    if given is not None and given.bpe_file:
        return _bpe_text(parts, given.path, length)
    tokenizer = hf_load.tokenizer((parts.tokenizer or parts.folder).parent) if given is None else given.tokenizer
    if length is None:
        length = _stated_length(parts, tokenizer)
    tokens = hf_text.probe(tokenizer, length)
    ids = tokens["input_ids"].numpy()
    mask = tokens["attention_mask"].numpy() if "attention_mask" in tokens else np.ones_like(ids)
    cleaning = onnx_folder_settings.cleaning(parts)
    pipeline = tokenizers.pipeline_from_transformers(tokenizer, length, cleaning=cleaning)
    return pipeline, {"input_ids": ids, "attention_mask": mask}


def _bpe_text(
    parts: Parts, vocabulary: Path, length: int | None
) -> tuple[TextPipeline, Mapping[str, npt.NDArray[np.integer]]]:
    from open_clip.tokenizer import SimpleTokenizer

    from edgekit.converters.tokenizers.open_clip_bpe import pipeline_from_simple_tokenizer

    other = parts.folder / "tokenizer.json"
    if vocabulary == parts.tokenizer and other.is_file():
        raise UnsupportedModelError(
            f"{other}: onnx_clip would use this file instead of {vocabulary.name}; remove the one that the towers were "
            "not exported with, or give --tokenizer"
        )
    try:
        tokenizer = SimpleTokenizer(bpe_path=str(vocabulary), context_length=length)
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise InputError(f"{vocabulary}: not readable as a BPE vocabulary ({error})") from error
    pipeline = pipeline_from_simple_tokenizer(tokenizer, length)
    ids = pipeline.reference(_PROBES)
    return pipeline, {"input_ids": ids, "attention_mask": (ids != pipeline.pad_id).astype(np.int64)}


def _stated_length(parts: Parts, tokenizer: Any) -> int:
    """L as the graph fixes it, else as the tokenizer states it."""
    from edgekit.converters.sources import onnx_folder_session

    for value in onnx_folder_session.session(parts.text).get_inputs():
        if len(value.shape) == 2 and isinstance(value.shape[1], int):
            return int(value.shape[1])
    stated = int(tokenizer.model_max_length)
    if stated >= 1_000_000:
        raise InputError(
            f"{parts.folder}: neither {parts.config.name} (text_config.max_position_embeddings) nor the tokenizer "
            "(model_max_length) states the context length"
        )
    return stated


def _common_dimension(parts: Parts, image: npt.NDArray[np.float32], text: npt.NDArray[np.float32]) -> int:
    if image.ndim != 2 or image.shape[1:] != text.shape[1:]:
        raise UnsupportedModelError(
            f"{parts.folder}: {parts.image.name} gives {image.shape} and {parts.text.name} gives {text.shape} for one "
            "input; the towers do not write into one space (exported without their projection?)"
        )
    return int(image.shape[1])
