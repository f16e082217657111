"""What the comparison runs on: one set of weights in each contender's own format, and photos of two sizes."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.atomic import atomic_file, write_bytes
from edgekit.converters.convert import ConvertOptions, convert

if TYPE_CHECKING:
    import torch

MODEL = "ViT-B-32"
SIZES = {"640x480": (640, 480), "12 MP": (4000, 3000)}
_SOURCE_PHOTOS = ("temple.jpg", "cat.jpg", "rocket.jpg", "flower.jpg")
# The promise that the packaged starter is quantized under, too; what is delivered has kept it on held-out photos.
PROMISE = ("--data", "stamps", "--towers", "image", "--min-agreement", "0.9", "--budget", "15")
# Grain of a phone camera, so that the enlarged photo costs as much to decode as a real one of its size.
_GRAIN, _QUALITY = 6.0, 92


@dataclass(frozen=True)
class Material:
    """Paths of everything the contenders need.

    Attributes:
        bundle: for edgekit.
        folder: ``visual.onnx``, ``textual.onnx``, ``config.json`` and the vocabulary, for modern-onnx-clip.
        weights: a state dictionary, for open_clip.
        photos: per size, a folder of JPEGs.
    """

    bundle: Path
    folder: Path
    weights: Path
    photos: dict[str, Path]


def prepare(cache: Path) -> Material:
    """Make the material in `cache`, or return what an earlier run made there.

    The weights are random (seed 0): speed and memory do not depend on their values.
    """
    cache.mkdir(parents=True, exist_ok=True)
    made = Material(
        bundle=cache / f"{MODEL}.edge",
        folder=cache / "modern-onnx-clip",
        weights=cache / f"{MODEL}.pt",
        photos={name: cache / name.replace(" ", "") for name in SIZES},
    )
    for size, folder in made.photos.items():
        folder.mkdir(exist_ok=True)
        for source in _SOURCE_PHOTOS:
            if not (folder / source).exists():
                write_bytes(folder / source, jpeg(SIZES[size], source))
    if not made.weights.exists():
        _save_weights(made.weights)
    if not made.bundle.exists():
        convert(f"open_clip:{MODEL}:{made.weights}", made.bundle, ConvertOptions(), lambda _stage: None)
    if not (made.folder / "config.json").exists():
        _export_peer(made.folder, made.weights)
    return made


def quantized(material: Material) -> Path:
    """Quantize the bundle under `PROMISE`, or return what an earlier run made; it needs the set ``stamps``.

    Args:
        material: its `bundle` is quantized.

    Returns:
        A bundle whose one variant is the fastest that kept the promise on held-out photos.

    Raises:
        subprocess.CalledProcessError: the search failed, or nothing kept the promise.
    """
    out = material.bundle.with_name(f"{MODEL}-int8.edge")
    if not out.exists():
        command = [sys.executable, "-m", "edgekit.cli.main", "quantize", str(material.bundle), "-o", str(out), *PROMISE]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return out


def jpeg(size: tuple[int, int], source: str = _SOURCE_PHOTOS[0]) -> bytes:
    """Return a sample photo at `size` (width, height) as JPEG, with the grain of a camera."""
    from PIL import Image

    with Image.open(str(files("edgekit.samples") / "photos" / source)) as photo:
        pixels = np.asarray(photo.convert("RGB").resize(size, Image.Resampling.BICUBIC), np.float32)
    grain = np.random.default_rng(0).normal(0, _GRAIN, (*pixels.shape[:2], 1))
    stream = io.BytesIO()
    Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def open_clip_model(weights: Path, architecture: str = MODEL) -> torch.nn.Module:
    """Return open_clip's own model with the stored weights, in evaluation mode."""
    import torch

    model = _create_model(architecture)
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model.eval()


def _save_weights(path: Path) -> None:
    import torch

    torch.manual_seed(0)
    # Whole or not at all: the next run takes what lies there.
    with atomic_file(path) as stream:
        torch.save(_create_model().state_dict(), stream)


def _create_model(architecture: str = MODEL) -> torch.nn.Module:
    from edgekit.converters import torch_compat

    torch_compat.prepare()
    import open_clip

    model: torch.nn.Module = open_clip.create_model(architecture)
    return model


def _encoder(model: torch.nn.Module, method: str) -> torch.nn.Module:
    """Return a module whose forward is one of the model's methods."""
    import torch

    class Encode(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            encoded: torch.Tensor = getattr(self.model, method)(batch)
            return encoded

    return Encode().eval()


def _export_peer(folder: Path, weights: Path) -> None:
    """Export as modern-onnx-clip's own exporter does: float NCHW images, int64 texts, free batch."""
    import open_clip
    import torch

    folder.mkdir(exist_ok=True)
    model = open_clip_model(weights)
    inputs = {
        "visual": ("encode_image", torch.randn(1, 3, 224, 224), "image"),
        "textual": ("encode_text", torch.zeros((1, 77), dtype=torch.long), "text"),
    }
    for name, (method, example, given) in inputs.items():
        torch.onnx.export(
            _encoder(model, method),
            (example,),
            str(folder / f"{name}.onnx"),
            input_names=[given],
            output_names=["embedding"],
            dynamic_axes={given: {0: "batch_size"}, "embedding": {0: "batch_size"}},
            opset_version=17,
            dynamo=False,
        )
    vocabulary = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    shutil.copy(vocabulary, folder)
    # Last: a folder that has it is complete.
    write_bytes(folder / "config.json", json.dumps({"image_size": 224, "context_length": 77}).encode())
