"""Opening the parts of a transformers checkpoint: offline once its files are here, quiet, and without its code."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from edgekit.converters.tokenizers.local import check_vocabulary
from edgekit.errors import InputError, MissingDependencyError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

_FIRST_WITH_BACKENDS = 5


def transformers() -> Any:
    """Import transformers with a torchvision that matches or is made to.

    Returns:
        The module.

    Raises:
        MissingDependencyError: transformers or PyTorch is not installed.
    """
    from edgekit.converters.torch_compat import prepare

    try:
        prepare()
        import torch  # noqa: F401
        import transformers as module
    except ImportError as error:
        raise MissingDependencyError(
            f"this source needs transformers and PyTorch ({error}): pip install 'edgekit[convert]'"
        ) from error
    return module


def dual_encoder(folder: Path) -> nn.Module:
    """Load a checkpoint as the architecture its configuration names, in float32, with plain attention.

    Args:
        folder: the checkpoint.

    Returns:
        The model in eval mode.

    Raises:
        InputError: the weights are damaged or incomplete; the message names the file or the weights.
        UnsupportedModelError: the architecture is not in the installed transformers, or is no dual encoder.
    """
    import torch

    library = transformers()
    from edgekit.converters.sources.hf_encoders import check_dual_encoder

    check_dual_encoder(_empty_model(folder))
    with quiet(library):
        try:
            model, report = library.AutoModel.from_pretrained(
                str(folder),
                attn_implementation="eager",
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
                trust_remote_code=False,
            )
        except Exception as error:
            raise InputError(f"{folder}: its weights cannot be loaded: {_line(error)}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise InputError(
            f"{folder}: the weight file lacks {len(missing)} tensors of {type(model).__name__} (first: {missing[0]}); "
            "they would be random"
        )
    loaded: nn.Module = model.eval().requires_grad_(False)
    return loaded


def image_processor(folder: Path) -> Any:
    """Load a checkpoint's image processor, the one built on Pillow where there is one.

    Args:
        folder: the checkpoint.

    Returns:
        The processor.

    Raises:
        InputError: its configuration cannot be read.
    """
    library = transformers()
    major = int(library.__version__.split(".")[0])
    choice = {"backend": "pil"} if major >= _FIRST_WITH_BACKENDS else {"use_fast": False}
    with quiet(library):
        try:
            return library.AutoImageProcessor.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, **choice
            )
        except Exception as error:
            raise InputError(f"{folder}: its image processor cannot be loaded: {_line(error)}") from error


def tokenizer(folder: Path) -> Any:
    """Load a checkpoint's tokenizer.

    Args:
        folder: the checkpoint, or any folder in transformers' tokenizer format.

    Returns:
        The tokenizer.

    Raises:
        InputError: its files cannot be read, or its vocabulary is missing.
    """
    library = transformers()
    with quiet(library):
        try:
            found = library.AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        except Exception as error:
            raise InputError(f"{folder}: its tokenizer cannot be loaded: {_line(error)}") from error
    check_vocabulary(folder, found)
    return found


def processor_class(library: Any, model: nn.Module) -> type | None:
    """Return the processor class that transformers pairs with a model's architecture.

    Args:
        library: what `transformers` gives.
        model: the model.

    Returns:
        The class, or None where it pairs none.
    """
    mapping = library.models.auto.processing_auto.PROCESSOR_MAPPING
    found: type | None = mapping.get(type(model.config), None)
    return found


def has_logit_bias(folder: Path) -> bool:
    """Tell whether a checkpoint's architecture scores with a bias, without reading any weights.

    Args:
        folder: a folder with a transformers ``config.json``.

    Returns:
        True where the architecture has a ``logit_bias``.

    Raises:
        UnsupportedModelError: the architecture is not in the installed transformers.
    """
    return hasattr(_empty_model(folder), "logit_bias")


@contextlib.contextmanager
def quiet(library: Any) -> Iterator[None]:
    """Keep transformers from writing its own bars and advice inside the block, and put its settings back.

    Args:
        library: what `transformers` gives.
    """
    logging = library.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _empty_model(folder: Path) -> nn.Module:
    """The architecture alone: parameters on the meta device take no memory."""
    import torch

    library = transformers()
    with quiet(library):
        try:
            config = library.AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
            with torch.device("meta"):
                model: nn.Module = library.AutoModel.from_config(config, trust_remote_code=False)
        except Exception as error:
            raise UnsupportedModelError(
                f"{folder / 'config.json'}: not an architecture that the installed transformers "
                f"{library.__version__} knows: {_line(error)}"
            ) from error
    return model


def _line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
