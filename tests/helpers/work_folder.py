"""A conversion's work folder as its child processes leave it, made in a moment from the tiny towers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tiny_bundle as tiny
from edgekit.bundle import schema
from edgekit.bundle.manifest import Agreement, ImageSpec
from edgekit.converters import exchange
from edgekit.converters.assembly import Result
from edgekit.converters.verdict import Preprocessing
from edgekit.preprocess import preprocess
from tiny_towers import DIMENSION, MEAN, PAD_ID, SIZE, STD, embed_ids, embed_pixels, save_image_tower, save_text_tower
from tiny_towers import weights as tiny_weights

if TYPE_CHECKING:
    from tiny_towers import Weights

TEXTS = (
    *("a photo of a cat", "a dog", "", "a cup of coffee on the temple in the sky", "unheard words"),
    *("a car", "a .", "one", "two"),
)
SPEC = ImageSpec(SIZE, SIZE, "squash", 0, "bicubic", (0, 0, 0), MEAN, STD)
PERFECT = Agreement(7, 0.0, 1.0, 1.0, 1.0, 1.0)
EXACT = Preprocessing(0, 1.0, len(TEXTS))


@dataclass(frozen=True)
class Work:
    """Where it lies, what it was asked for, and the weights behind it."""

    folder: Path
    photos: tuple[Path, ...]
    weights: Weights
    pixels: Any
    ids: Any

    def result(self, **changes: Any) -> Result:
        """Return what a conversion without any trouble hands to the assembly."""
        storage: Any = {"image": "float32", "text": "float32"}
        fidelity: Any = {"image": PERFECT, "text": PERFECT}
        facts: dict[str, Any] = {
            "source": "tiny:work",
            "photos": self.photos,
            "graphs": self.folder / "float32",
            "storage": storage,
            "fidelity": fidelity,
            "preprocessing": EXACT,
            "trim_padding": True,
        }
        return Result(**{**facts, **changes})


def make(folder: Path, **changes: Any) -> Work:
    """Write a work folder.

    Args:
        folder: it is created.
        changes: fields of `exchange.Facts` that shall have another value.

    Returns:
        What is in it.
    """
    (folder / "float32").mkdir(parents=True)
    photos = tuple(sorted(tiny.PHOTOS.glob("*.jpg"))[:7])
    tokenizer = tiny.make_tokenizer()
    w = tiny_weights(3, tokenizer.get_vocab_size())
    request = exchange.Request("tiny:work", "", tuple(map(str, photos)), TEXTS)
    (folder / exchange.REQUEST).write_text(schema.dumps(request))
    facts: dict[str, Any] = {
        "name": "tiny",
        "license": "MIT",
        "description": "For tests.",
        "weights_sha256": "cd" * 32,
        "dimension": DIMENSION,
        "logit_scale": 20.0,
        "logit_bias": 0.0,
        "scores": "softmax",
        "image": SPEC,
        "context_length": tiny.CONTEXT_LENGTH,
        "pad_id": PAD_ID,
        "cleaning": "none",
        "templates": ("a photo of {}",),
        "storage": {"image": "float32", "text": "float32"},
        "toolchain": {"tiny": "1"},
        "space": "space-of-tests",
        "history": (),
        "sections": {},
        "attachments": {},
        "unjudged": (),
    }
    (folder / exchange.FACTS).write_text(schema.dumps(exchange.Facts(**{**facts, **changes})))
    (folder / exchange.TOKENIZER).write_text(tokenizer.to_str())
    save_image_tower(folder / "float32" / "image.onnx", w)
    save_text_tower(folder / "float32" / "text.onnx", w)
    pixels = np.stack([preprocess(photo, SPEC, decoding="exact") for photo in photos])
    ids = np.array([tokenizer.encode(text).ids for text in TEXTS], np.int32)
    arrays = {
        "pixels": pixels,
        "reference_pixels": pixels,
        "reference_token_ids": ids,
        "reference_image": embed_pixels(w, pixels),
        "reference_text": embed_ids(w, ids),
    }
    for name, array in arrays.items():
        np.save(exchange.array(folder, name), array)
    return Work(folder, photos, w, pixels, ids)
