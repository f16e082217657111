"""Write two trained towers as a folder that ``edgekit convert onnx:FOLDER`` reads (the layout with two sub-folders)."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import torch

from edgekit.bundle.manifest import ImageSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

_OPSET = 17


def image_spec(size: int) -> ImageSpec:
    """Return the preprocessing of a square tower of `size` pixels, whose planes are in -1..1."""
    half = (0.5, 0.5, 0.5)
    return ImageSpec(size, size, "shortest", size, "bicubic", (0, 0, 0), half, half)


def write(
    folder: Path, image: nn.Module, text: nn.Module, tokenizer: Any, *, size: int, context_length: int, scale: float
) -> None:
    """Write graphs, configuration and tokenizer.

    Args:
        folder: an empty folder.
        image: float32 (N, 3, size, size) RGB planes, (pixels / 255 - 0.5) / 0.5, to (N, D).
        text: int64 (N, L) ids to (N, D).
        tokenizer: of transformers, the one that makes these ids.
        size: of the image tower's input, in pixels.
        context_length: L of a padded text.
        scale: factor on the cosine.
    """
    _json(folder / "config.json", {"text_cfg": {"context_length": context_length}, "logit_scale": scale})
    (folder / "visual").mkdir()
    (folder / "textual").mkdir()
    spec = image_spec(size)
    _json(folder / "visual" / "preprocess_cfg.json", {"size": size, "mean": spec.mean, "std": spec.std})
    planes = torch.zeros(2, 3, size, size)
    _export(image, planes, "image", folder / "visual" / "model.onnx", {"image": {0: "N"}, "embedding": {0: "N"}})
    ids = torch.ones(2, context_length, dtype=torch.int64)
    axes = {"text": {0: "N", 1: "L"}, "embedding": {0: "N"}}
    _export(text, ids, "text", folder / "textual" / "model.onnx", axes)
    tokenizer.save_pretrained(str(folder / "textual"))


def _export(
    module: nn.Module, example: torch.Tensor, given: str, path: Path, axes: Mapping[str, Mapping[int, str]]
) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # advice about tracing; conversion compares the graph with itself and runs it
        torch.onnx.export(
            module.eval(),
            (example,),
            str(path),
            input_names=[given],
            output_names=["embedding"],
            dynamic_axes={name: dict(named) for name, named in axes.items()},
            opset_version=_OPSET,
            dynamo=False,
        )


def _json(path: Path, fields: Mapping[str, object]) -> None:
    path.write_text(json.dumps(fields), encoding="utf-8")
