"""The tiny bundle with labels frozen into it, made without the converter: ``freeze(path)``, and broken ones.

Label vectors come from the tiny text tower's own arithmetic, heads from a seed.
"""

from __future__ import annotations

import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tiny_bundle as tiny
from edgekit.bundle.label_records import HeadSpec, LabelFiles, LabelSpec
from edgekit.bundle.writer import write_bundle
from tiny_towers import DIMENSION, embed_ids, weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from edgekit.bundle.label_records import HeadKind
    from edgekit.bundle.manifest import EmbeddingSpec, Manifest

NAMES = ("cat", "dog", "cup of coffee", "rocket")
TEMPLATE = "a photo of {}"
EXAMPLES = 6


def freeze(
    path: Path,
    *,
    head: HeadKind | None = None,
    keep_text: bool = False,
    variants: Sequence[str] = ("fp32",),
    sigmoid: bool = False,
    change: Callable[[Manifest], Manifest] | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a bundle with the labels `NAMES`.

    Args:
        path: the ``.edge`` file.
        head: which head it has; None for none.
        keep_text: leave the text tower in.
        variants: kinds of `tiny_bundle.KINDS`.
        sigmoid: score by a sigmoid with a bias.
        change: applied to the manifest before it is checked and written.
        extra: other contents of members, by path.

    Returns:
        `path`.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = tiny.tree(folder, variants)
        if sigmoid:
            spec = replace(manifest.embedding, scores="sigmoid", logit_bias=-5.0)
            manifest = replace(manifest, embedding=spec)
        embeddings = np.load(folder / manifest.golden.image_embeddings)
        arrays = make_arrays(head, embeddings, manifest.embedding)
        for array, values in arrays.items():
            tiny._put(folder, f"labels/{array}.npy", npy(values))
        files = LabelFiles(**{array: f"labels/{array}.npy" for array in arrays})
        spec = LabelSpec(NAMES, (TEMPLATE,), {}, head_spec(head))
        frozen = replace(
            manifest, labels=spec, variants=tuple(replace(variant, labels=files) for variant in manifest.variants)
        )
        if not keep_text:
            golden = replace(frozen.golden, texts=(), text_embeddings="")
            closed = tuple(replace(variant, text=None) for variant in frozen.variants)
            frozen = replace(frozen, text=None, golden=golden, variants=closed)
            for member in ("text/tokenizer.json", "golden/text_embeddings.npy"):
                (folder / member).unlink()
            for member in (folder / "variants").rglob("text.onnx"):
                member.unlink()
        for member, data in (extra or {}).items():
            tiny._put(folder, member, data)
        write_bundle(path, change(frozen) if change else frozen, folder)
    return path


def vectors() -> npt.NDArray[np.float32]:
    """(K, 16) unit rows of `NAMES`, by the tiny text tower's arithmetic."""
    tokenizer = tiny.make_tokenizer()
    ids = np.array([tokenizer.encode(TEMPLATE.format(name)).ids for name in NAMES], np.int32)
    return embed_ids(weights(0, tokenizer.get_vocab_size()), ids).astype(np.float32)


def make_arrays(head: HeadKind | None, rows: npt.NDArray[np.float32], spec: EmbeddingSpec) -> dict[str, Any]:
    """Every array of a head, and the scores of `rows` by plain arithmetic."""
    found: dict[str, Any] = {"vectors": vectors()}
    random = np.random.default_rng(5)
    logits = spec.logit_scale * rows.astype(np.float64) @ found["vectors"].T.astype(np.float64) + spec.logit_bias
    if head == "ridge":
        found["weights"] = random.normal(size=(len(NAMES), DIMENSION + 1)).astype(np.float32)
        logits += np.c_[rows, np.ones(len(rows))] @ found["weights"].T.astype(np.float64)
    if head == "cache":
        keys = random.normal(size=(EXAMPLES, DIMENSION))
        found["keys"] = (keys / np.linalg.norm(keys, axis=1, keepdims=True)).astype(np.float32)
        found["classes"] = (np.arange(EXAMPLES) % len(NAMES)).astype(np.int32)
        for row, place in zip(rows.astype(np.float64), range(len(rows)), strict=True):
            for key, number in zip(found["keys"].astype(np.float64), found["classes"], strict=True):
                logits[place, number] += 2.0 * np.exp(-1.5 * (1 - row @ key))
    if spec.scores == "sigmoid":
        scores = 1 / (1 + np.exp(-logits))
    else:
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return {**found, "scores": scores.astype(np.float32)}


def head_spec(head: HeadKind | None) -> HeadSpec | None:
    """The record of a head."""
    if head is None:
        return None
    cache = head == "cache"
    return HeadSpec(head, 2.0, 1.5 * cache, 0.5 * (not cache), "set", "ab" * 32, EXAMPLES, 0.5, 0.75)


def npy(array: npt.NDArray[np.generic]) -> bytes:
    """The bytes of a ``.npy`` file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()
