"""Write a bundle's golden vectors: photos, their exact pixels, texts with their ids, reference embeddings."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np

from edgekit.bundle.manifest import GoldenImage, GoldenSpec, GoldenText
from edgekit.converters import exchange
from edgekit.converters.check_inputs import GOLDEN_PHOTOS, GOLDEN_TEXTS

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

_IMAGE_EMBEDDINGS, _TEXT_EMBEDDINGS = "golden/image_embeddings.npy", "golden/text_embeddings.npy"


def write_golden(folder: Path, tree: Path, photos: tuple[Path, ...], texts: tuple[str, ...]) -> GoldenSpec:
    """Write the first few photos and texts, with the framework's own embeddings, under `tree`.

    Args:
        folder: the work folder, holding ``pixels`` and the references.
        tree: the bundle's tree; ``golden/`` is created in it.
        photos: as given to the export process.
        texts: as given to the export process.

    Returns:
        The manifest's record of them.
    """
    (tree / "golden").mkdir(parents=True)
    pixels = np.load(exchange.array(folder, "pixels"))
    images = tuple(_image(tree, i, photo, pixels[i]) for i, photo in enumerate(photos[:GOLDEN_PHOTOS]))
    ids = exchange.trimmed_ids(folder)
    stored = tuple(
        GoldenText(text, tuple(int(i) for i in row))
        for text, row in zip(texts[:GOLDEN_TEXTS], ids[:GOLDEN_TEXTS], strict=True)
    )
    for path, tower, count in ((_IMAGE_EMBEDDINGS, "image", len(images)), (_TEXT_EMBEDDINGS, "text", len(stored))):
        rows = np.load(exchange.array(folder, f"reference_{tower}"))[:count]
        np.save(tree / path, rows.astype("<f4"), allow_pickle=False)
    return GoldenSpec(images, stored, _IMAGE_EMBEDDINGS, _TEXT_EMBEDDINGS)


def _image(tree: Path, index: int, photo: Path, pixels: npt.NDArray[np.uint8]) -> GoldenImage:
    from PIL import Image

    copy = f"golden/photo{index}{photo.suffix.lower()}"
    lossless = f"golden/pixels{index}.png"
    shutil.copyfile(photo, tree / copy)
    Image.fromarray(pixels).save(tree / lossless, optimize=True)
    return GoldenImage(copy, lossless)
