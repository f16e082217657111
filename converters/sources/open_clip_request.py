"""Read what follows ``open_clip:`` and decide which model and which weights are meant, before anything is loaded."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.converters.json_files import read_object
from edgekit.converters.sources import fields
from edgekit.errors import InputError

_SCHEMAS = ("hf-hub:", "local-dir:")
_WEIGHT_SUFFIXES = {".pt", ".pth", ".bin", ".safetensors", ".npz", ".npy"}
_CONFIG_KEYS = ("embed_dim", "vision_cfg", "text_cfg")


@dataclass(frozen=True)
class Request:
    """A model and its weights, both known to exist as far as can be told without a network.

    Attributes:
        model: name for open_clip's factory; a built-in or registered name, or one with open_clip's own
            ``hf-hub:`` or ``local-dir:`` prefix.
        config: the model's configuration, empty for ``hf-hub:`` (it is in the repository).
        tag: pretrained tag known to open_clip, or empty.
        tag_config: what open_clip knows of the tag: where its files are, and its training's settings.
        file: local weight file, or None.
    """

    model: str
    config: dict[str, Any]
    tag: str
    tag_config: dict[str, Any]
    file: Path | None

    @property
    def is_random(self) -> bool:
        """Whether nothing names any weights."""
        return not self.tag and self.file is None and not self.model.startswith(_SCHEMAS)


def parse(spec: str) -> Request:
    """Understand ``NAME`` or ``NAME:PRETRAINED``.

    NAME is a built-in architecture, the path of a configuration file in open_clip's JSON format (it is then
    registered under its stem), ``hf-hub:OWNER/REPO`` or ``local-dir:FOLDER``. PRETRAINED is one of open_clip's
    tags for NAME, or a local ``.pt``, ``.pth``, ``.bin``, ``.safetensors`` or big_vision ``.npz`` file.

    Args:
        spec: the text after ``open_clip:``.

    Returns:
        The request.

    Raises:
        InputError: a name, tag, file or configuration that does not exist or cannot be read.
    """
    if spec.startswith("local-dir:"):
        return Request(spec, _folder_config(Path(spec.partition(":")[2])), "", {}, None)
    if spec.startswith("hf-hub:"):
        if spec.count(":") > 1:
            raise InputError(f"{spec}: a hub repository holds its own weights; nothing may follow its name")
        return Request(spec, {}, "", {}, None)
    name, colon, pretrained = spec.partition(":")
    if not name or (colon and not pretrained):
        raise InputError(f"open_clip:{spec}: write open_clip:NAME or open_clip:NAME:PRETRAINED")
    model, config = _registered(Path(name)) if name.endswith(".json") else _built_in(name)
    tag_config = _tag_config(model, pretrained)
    if tag_config:
        _check_activation(model, pretrained, config, tag_config)
        return Request(model, config, pretrained, tag_config, None)
    return Request(model, config, "", {}, _weight_file(model, pretrained) if pretrained else None)


def _built_in(name: str) -> tuple[str, dict[str, Any]]:
    from open_clip import list_models
    from open_clip.factory import get_model_config

    model = name.replace("/", "-")
    config = get_model_config(model)
    if config is None:
        close = difflib.get_close_matches(model, list_models(), n=3, cutoff=0.4)
        hint = f" (close: {', '.join(close)})" if close else ""
        raise InputError(f"open_clip has no model '{name}'{hint}; a configuration file is given as open_clip:PATH.json")
    return model, config


def _registered(path: Path) -> tuple[str, dict[str, Any]]:
    """Read a configuration file and make open_clip know it; a later file of the same stem takes the name over."""
    from open_clip import add_model_config

    path = path.expanduser()
    config = read_object(path)
    missing = [key for key in _CONFIG_KEYS if key not in config]
    if "model_cfg" in config:
        raise InputError(f"{path}: this is a checkpoint folder's configuration; give local-dir:{path.parent}")
    if missing:
        raise InputError(f"{path}: not an open_clip configuration, it lacks {', '.join(missing)}")
    _check_config(config, path)
    add_model_config(path)
    return path.stem, config


def _folder_config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise InputError(f"local-dir:{folder}: no such folder")
    config = read_object(folder / "open_clip_config.json")
    model = config.get("model_cfg")
    if not isinstance(model, dict) or any(key not in model for key in _CONFIG_KEYS):
        raise InputError(f"{folder / 'open_clip_config.json'}: 'model_cfg' needs {', '.join(_CONFIG_KEYS)}")
    if not any(file.suffix in (".safetensors", ".bin", ".pth") for file in folder.iterdir()):
        raise InputError(f"local-dir:{folder}: no weights there (.safetensors, .bin or .pth)")
    fields.section(config, "preprocess_cfg", folder / "open_clip_config.json")
    _check_config(model, folder / "open_clip_config.json")
    return model


def _check_config(config: dict[str, Any], path: Path) -> None:
    """Check what edgekit itself reads of a configuration; the rest is open_clip's to refuse."""
    fields.whole(config["embed_dim"], "embed_dim", path)
    for name in ("vision_cfg", "text_cfg"):
        if not isinstance(config[name], dict):
            raise InputError(f"{path}: {name} is {config[name]!r}, an object was expected")
    text = config["text_cfg"]
    fields.section(text, "tokenizer_kwargs", path)
    if "context_length" in text:
        fields.whole(text["context_length"], "context_length", path, least=2)
    for name in ("hf_model_name", "hf_tokenizer_name"):
        if not isinstance(text.get(name) or "", str):
            raise InputError(f"{path}: {name} is {text[name]!r}, the name of a repository or a folder was expected")


def _tag_config(model: str, tag: str) -> dict[str, Any]:
    from open_clip import get_pretrained_cfg

    return dict(get_pretrained_cfg(model, tag)) if tag else {}


def _check_activation(model: str, tag: str, config: dict[str, Any], tag_config: dict[str, Any]) -> None:
    """Refuse weights trained with another activation; open_clip only warns, and the embeddings are then wrong."""
    from open_clip import list_models

    if not tag_config.get("quick_gelu", False) or config.get("quick_gelu", False):
        return
    twin = f"{model}-quickgelu"
    hint = f"convert open_clip:{twin}:{tag}" if twin in list_models() else "use a configuration with quick_gelu true"
    raise InputError(f"the weights '{tag}' were trained with QuickGELU, which {model} does not use; {hint} instead")


def _weight_file(model: str, pretrained: str) -> Path:
    from open_clip import list_pretrained_tags_by_model

    path = Path(pretrained).expanduser()
    if path.is_file():
        if path.suffix not in _WEIGHT_SUFFIXES:
            raise InputError(f"{path}: weights are read from {', '.join(sorted(_WEIGHT_SUFFIXES))} files")
        return path
    if path.suffix in _WEIGHT_SUFFIXES or os.sep in pretrained:
        raise InputError(f"{path}: no such weight file")
    tags = list_pretrained_tags_by_model(model)
    known = f"known for {model}: {', '.join(tags)}" if tags else f"open_clip has no weights for {model}"
    raise InputError(f"'{pretrained}' is neither a pretrained tag ({known}) nor a local file")
