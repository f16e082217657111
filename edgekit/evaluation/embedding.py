"""Embed a set's images and texts with opened towers; broken photos are named and left out."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import ImageError
from edgekit.preprocess import preprocess
from edgekit.text_embedder import TextEmbedder
from edgekit.tower import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.bundle.reader import Bundle
    from edgekit.evaluation.records import Dataset, Item
    from edgekit.preprocess import Decoding
    from edgekit.tower import DeviceTower

_TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class EmbeddedImages:
    """What became of a set's images.

    Attributes:
        rows: (K, D) float32 unit rows of the images that could be decoded, in order.
        kept: (K,) their indices among the items.
        broken: the errors of the others, each beginning with the image's name.
        seconds: time that the image tower alone took.
    """

    rows: npt.NDArray[np.float32]
    kept: tuple[int, ...]
    broken: tuple[ImageError, ...]
    seconds: float


def embed_items(
    items: Sequence[Item],
    spec: ImageSpec,
    tower: DeviceTower,
    *,
    decoding: Decoding = "fast",
    strict: bool = False,
    progress: Callable[[int], None] | None = None,
) -> EmbeddedImages:
    """Decode and embed images, a batch at a time, so that memory stays bounded.

    Args:
        items: the images.
        spec: the bundle's preprocessing.
        tower: an image tower.
        decoding: as for `edgekit.preprocess.preprocess`.
        strict: raise at the first photo that cannot be decoded.
        progress: called with the number of images done since the last call.

    Returns:
        The rows, and what was left out.

    Raises:
        ExecutionError: the engine failed, or returned a NaN or an infinity.
        ImageError: a photo cannot be decoded, and `strict`.
    """
    parts, kept, broken, seconds = [], list[int](), list[ImageError](), 0.0

    def pixels(index: int) -> npt.NDArray[np.uint8] | ImageError:
        return _pixels(items[index], spec, decoding)

    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="edgekit-evaluate") as pool:
        for start in range(0, len(items), MAX_BATCH):
            batch, chunk = [], range(start, min(start + MAX_BATCH, len(items)))
            for index, found in zip(chunk, pool.map(pixels, chunk), strict=True):
                if isinstance(found, ImageError):
                    if strict:
                        raise found
                    broken.append(found)
                else:
                    kept.append(index)
                    batch.append(found)
            if batch:
                stacked, began = np.stack(batch), time.perf_counter()
                parts.append(tower.embed(stacked))
                seconds += time.perf_counter() - began
            if progress is not None:
                progress(len(chunk))
    rows = np.concatenate(parts) if parts else tower.embed(np.empty((0, spec.height, spec.width, 3), np.uint8))
    return EmbeddedImages(rows, tuple(kept), tuple(broken), seconds)


def embed_texts(
    bundle: Bundle, tower: DeviceTower, dataset: Dataset, templates: tuple[str, ...]
) -> npt.NDArray[np.float32]:
    """Embed a set's texts as its task asks.

    Args:
        bundle: holds the tokenizer, and the golden texts that stand in where the set has no texts.
        tower: a text tower.
        dataset: class names are put into `templates`, captions are used as they are.
        templates: each with one ``{}``.

    Returns:
        (M, D) float32, unit rows, one for each text.

    Raises:
        TextError: a template is malformed.
        ExecutionError: the engine failed, or returned a NaN or an infinity.
    """
    embedder = TextEmbedder(bundle, tower)
    texts = dataset.texts or tuple(golden.text for golden in bundle.manifest.golden.texts)
    parts = []
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        chunk = texts[start : start + _TEXTS_AT_ONCE]
        labels = dataset.task == "classification"
        parts.append(embedder.embed_labels(chunk, templates) if labels else embedder.embed(chunk))
    return np.concatenate(parts)


def _pixels(item: Item, spec: ImageSpec, decoding: Decoding) -> npt.NDArray[np.uint8] | ImageError:
    try:
        return preprocess(item.read(), spec, decoding=decoding)
    except OSError as error:
        return ImageError(f"{item.name}: cannot be read: {error.strerror or error}")
    except ImageError as error:
        return ImageError(f"{item.name}: {str(error).removeprefix('<bytes>: ')}")
