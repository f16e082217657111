"""The tokenizer that belongs to an open_clip model, as a text pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.converters.export import first_line
from edgekit.converters.sources.open_clip_hub import HUB_FAILURE, fast_hub, quiet
from edgekit.converters.tokenizers import hf, local, open_clip_bpe
from edgekit.errors import ConversionError, InputError, UnsupportedModelError

if TYPE_CHECKING:
    from edgekit.bundle.manifest import Cleaning
    from edgekit.converters.records import SourceOptions, TextPipeline
    from edgekit.converters.sources.open_clip_request import Request

_CLEANINGS: tuple[Cleaning, ...] = ("whitespace", "lower", "canonicalize")
# Settings of open_clip's wrapper that also hold for a tokenizer given as a path.
_KNOWN_SETTINGS = {"clean", "strip_sep_token"}


def text_pipeline(request: Request, options: SourceOptions) -> TextPipeline:
    """Find the model's tokenizer through open_clip and express it as a pipeline.

    Args:
        request: the model.
        options: a local tokenizer, which takes the place of a hub's; the model's cleaning and context length
            still apply.

    Returns:
        The pipeline.

    Raises:
        InputError: the local tokenizer cannot be read.
        ConversionError: the tokenizer is on a hub that does not answer; the message names it.
        UnsupportedModelError: a kind or setting of tokenizer that cannot be expressed.
    """
    if options.tokenizer is not None:
        return _given(request, options.tokenizer)
    import open_clip

    source = _text_config(request).get("hf_tokenizer_name", "")
    on_hub = request.model.startswith("hf-hub:") or bool(source and not Path(source).exists())
    try:
        with fast_hub(on_hub), quiet():
            tokenizer = open_clip.get_tokenizer(request.model)
    except Exception as error:
        if on_hub and HUB_FAILURE.search(f"{type(error).__name__} {error}"):
            raise ConversionError(
                f"the tokenizer of {request.model} could not be fetched. Wanted: tokenizer_config.json and "
                f"tokenizer.json of {source or request.model.partition(':')[2]}. Save them in a folder and give "
                f"--tokenizer FOLDER"
            ) from error
        raise UnsupportedModelError(
            f"{request.model}: open_clip cannot build the tokenizer {source or 'of this model'}: {first_line(error)}"
        ) from error
    return _from_wrapper(tokenizer)


def _from_wrapper(tokenizer: Any) -> TextPipeline:
    """Dispatch on what open_clip's tokenizers carry: their own merges, or a tokenizer of transformers."""
    if hasattr(tokenizer, "bpe_ranks"):
        return open_clip_bpe.pipeline_from_simple_tokenizer(tokenizer)
    return hf.pipeline_from_open_clip(tokenizer)


def _given(request: Request, path: Path) -> TextPipeline:
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, SimpleTokenizer

    config = _text_config(request)
    length = int(config.get("context_length", DEFAULT_CONTEXT_LENGTH))
    settings = dict(config.get("tokenizer_kwargs") or {})
    if unknown := sorted(set(settings) - _KNOWN_SETTINGS):
        raise UnsupportedModelError(f"{request.model}: tokenizer_kwargs {', '.join(unknown)} with a local tokenizer")
    if config.get("tokenizer_mode"):
        raise UnsupportedModelError(f"{request.model}: tokenizer_mode '{config['tokenizer_mode']}' is not supported")
    # What open_clip's two wrappers clean with when the configuration does not say.
    cleaning = settings.get("clean", "whitespace" if config.get("hf_tokenizer_name") else "lower")
    if cleaning not in _CLEANINGS:
        raise UnsupportedModelError(f"{request.model}: text cleaning '{cleaning}' is not supported")
    found = local.load_local_tokenizer(path)
    if found.bpe_file:
        if config.get("hf_tokenizer_name"):
            raise InputError(f"{path}: this is open_clip's own vocabulary; {request.model} does not use it")
        return open_clip_bpe.pipeline_from_simple_tokenizer(
            SimpleTokenizer(bpe_path=str(path), context_length=length, clean=cleaning)
        )
    return hf.pipeline_from_transformers(
        found.tokenizer, length, cleaning=cleaning, strip_sep_token=bool(settings.get("strip_sep_token", False))
    )


def _text_config(request: Request) -> dict[str, Any]:
    """The text half of the configuration, fetched for a model that lives on a hub."""
    config: dict[str, Any] = request.config
    if request.model.startswith("hf-hub:"):
        from open_clip.factory import get_model_config

        with fast_hub(True), quiet():
            try:
                config = get_model_config(request.model)
            except Exception as error:
                repo = request.model.partition(":")[2]
                raise ConversionError(
                    f"{repo}/open_clip_config.json could not be fetched ({first_line(error)}). Put the repository's "
                    f"files in a folder and convert open_clip:local-dir:FOLDER instead"
                ) from error
    return dict(config["text_cfg"])
