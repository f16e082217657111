"""A complete small bundle, made in a moment and without torch, and ways to make a broken one out of it.

``build(path)`` writes one with a right variant. Other kinds of variant, for the refusals, are in `KINDS`; each becomes
a variant whose id is the kind, so ``build(path, variants=("fp32", "wrong"))`` holds a right and a wrong one.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from edgekit.bundle import container, provenance
from edgekit.bundle.manifest import (
    SCHEMA_VERSION,
    Agreement,
    EmbeddingSpec,
    GoldenImage,
    GoldenSpec,
    GoldenText,
    ImageSpec,
    Manifest,
    SourceRecord,
    TensorSpec,
    TextSpec,
    Tolerance,
    TowerRecord,
    VariantRecord,
)
from edgekit.bundle.writer import write_bundle
from edgekit.preprocess import preprocess
from tiny_towers import (
    DIMENSION,
    MEAN,
    PAD_ID,
    SIZE,
    STD,
    Weights,
    embed_ids,
    embed_pixels,
    save_image_tower,
    save_text_tower,
    weights,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PHOTOS = Path(__file__).parents[2] / "samples" / "photos"
GOLDEN_PHOTOS = ("cat.jpg", "coffee.jpg")
TEXTS = ("a photo of a cat", "a cup of coffee", "Two red bicycles, parked!", "a rocket")
CONTEXT_LENGTH = 8
_SPECIAL = ("[PAD]", "[UNK]", "[BOS]", "[EOS]")
WORDS = (
    *("a", "an", "the", "of", "on", "in", "with", "and", "photo", "picture", "one", "two", "red", "blue", "green"),
    *("small", "large", "cat", "dog", "cup", "coffee", "rocket", "astronaut", "flower", "temple", "galaxies"),
    *("bicycle", "bicycles", "car", "person", "sky", "water", "parked", "flying", ",", ".", "!"),
)
_PERFECT = Agreement(4, 0.0, 1.0, 1.0, 1.0, 1.0)
_TOLERANCE = Tolerance(0.9999, 0.999)

KINDS = (
    "fp32",  # right
    "static",  # right, and both towers take exactly two rows at a time
    "wrong",  # another model's image tower: the golden check must refuse it
    "wrong_text",  # another model's text tower
    "nan",  # the image tower returns NaN
    "escaping",  # the image tower's weights are said to lie in ../../etc/passwd
    "absolute",  # … in /etc/passwd
    "unlisted",  # … in a member of the bundle that is not among the tower's sidecars: the tokenizer
    "malformed",  # the image tower is no ONNX file
    "lying",  # the manifest calls the image tower's input by another name than the graph
)


def build(
    path: Path,
    *,
    variants: Sequence[str] = ("fp32",),
    change: Callable[[Manifest], Manifest] | None = None,
    extra: Mapping[str, bytes] | None = None,
    seed: int = 0,
) -> Path:
    """Write a bundle.

    Args:
        path: the ``.edge`` file.
        variants: kinds out of `KINDS`, in order.
        change: applied to the manifest before it is checked and written.
        extra: further members, or other contents of members, by path.
        seed: of the weights, and part of the embedding space's id.

    Returns:
        `path`.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = tree(folder, variants, seed)
        for member, data in (extra or {}).items():
            _put(folder, member, data)
        write_bundle(path, change(manifest) if change else manifest, folder)
    return path


def tree(folder: Path, variants: Sequence[str] = ("fp32",), seed: int = 0) -> Manifest:
    """Write every member but the manifest under `folder`; return the manifest, complete but for ``files``."""
    tokenizer = make_tokenizer()
    w = weights(seed, tokenizer.get_vocab_size())
    text = TextSpec("text/tokenizer.json", CONTEXT_LENGTH, PAD_ID, "none", True, ("a photo of {}",))
    _put(folder, text.tokenizer, tokenizer.to_str().encode())
    _put(folder, "card.md", b"# tiny\n\nA model for tests. It knows nothing.\n")
    digest = hashlib.sha256(b"".join(x.tobytes() for x in (w.patches, w.image, w.table, w.text))).hexdigest()
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name="tiny",
        version="1",
        license="Apache-2.0",
        description="Random weights, for tests.",
        source=SourceRecord(f"tests:tiny:{seed}", digest),
        embedding=EmbeddingSpec(f"tiny-{seed}", DIMENSION, 20.0, 0.0, "softmax"),
        image=ImageSpec(SIZE, SIZE, "shortest", SIZE, "bicubic", (0, 0, 0), MEAN, STD),
        text=text,
        variants=tuple(_variant(folder, kind, w) for kind in variants),
        golden=_golden(folder, w, tokenizer),
        provenance=provenance.extend((), "convert", {"source": f"tests:tiny:{seed}"}),
        files=(),
    )


def make_tokenizer() -> Tokenizer:
    """Words of `WORDS`, lower-cased, between [BOS] and [EOS], to 8 ids; every other word is [UNK]."""
    vocabulary = {word: i for i, word in enumerate((*_SPECIAL, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[(name, vocabulary[name]) for name in ("[BOS]", "[EOS]")]
    )
    tokenizer.enable_truncation(CONTEXT_LENGTH)
    tokenizer.enable_padding(length=CONTEXT_LENGTH, pad_id=PAD_ID, pad_token="[PAD]")
    return tokenizer


def unpack(bundle: Path, folder: Path) -> Path:
    """Unpack a bundle as any zip tool would; return `folder`."""
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)
    return folder


def pack(members: Mapping[str, bytes]) -> bytes:
    """Return a bundle's zip of any members at all, in the order given; nothing in them is checked."""
    stream = io.BytesIO()
    container.write(stream, ((name, io.BytesIO(data)) for name, data in members.items()))
    return stream.getvalue()


def contents(bundle: Path) -> dict[str, bytes]:
    """Return the bytes of every member, the manifest first."""
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def edit_manifest(bundle: Path, edit: Callable[[Any], Any]) -> bytes:
    """Return `bundle` with another manifest, which need not be a valid one.

    Args:
        bundle: a ``.edge`` file.
        edit: gets the manifest as JSON gives it; may change it in place, or return what shall stand instead.
    """
    members = contents(bundle)
    plain = json.loads(members["manifest.json"])
    edited = edit(plain)
    members["manifest.json"] = json.dumps(plain if edited is None else edited).encode()
    return pack(members)


def _golden(folder: Path, w: Weights, tokenizer: Tokenizer) -> GoldenSpec:
    spec = ImageSpec(SIZE, SIZE, "shortest", SIZE, "bicubic", (0, 0, 0), MEAN, STD)
    images, rows = [], []
    for i, name in enumerate(GOLDEN_PHOTOS):
        photo = _small_jpeg(PHOTOS / name)
        pixels = preprocess(photo, spec, decoding="exact")
        lossless = io.BytesIO()
        Image.fromarray(pixels).save(lossless, "PNG")
        images.append(GoldenImage(f"golden/photo{i}.jpg", f"golden/pixels{i}.png"))
        _put(folder, images[-1].photo, photo)
        _put(folder, images[-1].pixels, lossless.getvalue())
        rows.append(pixels)
    encoded = [tokenizer.encode(text) for text in TEXTS]
    texts = tuple(
        GoldenText(text, tuple(e.ids[: sum(e.attention_mask)])) for text, e in zip(TEXTS, encoded, strict=True)
    )
    golden = GoldenSpec(tuple(images), texts, "golden/image_embeddings.npy", "golden/text_embeddings.npy")
    ids = np.array([e.ids for e in encoded], np.int32)
    arrays = {golden.image_embeddings: embed_pixels(w, np.stack(rows)), golden.text_embeddings: embed_ids(w, ids)}
    for path, array in arrays.items():
        stream = io.BytesIO()
        np.save(stream, array)
        _put(folder, path, stream.getvalue())
    return golden


def _variant(folder: Path, kind: str, w: Weights) -> VariantRecord:
    if kind not in KINDS:
        raise ValueError(f"there is no kind {kind!r}")
    home = f"variants/{kind}"
    image, text = f"{home}/image.onnx", f"{home}/text.onnx"
    (folder / home).mkdir(parents=True)
    other = weights(977, len(w.table))
    batch: int | str = 2 if kind == "static" else "batch"
    locations = {"escaping": "../../etc/passwd", "absolute": "/etc/passwd", "unlisted": "../../text/tokenizer.json"}
    names = save_image_tower(
        folder / image,
        replace(w, image=other.image) if kind == "wrong" else w,
        batch=batch,
        location=locations.get(kind, ""),
        not_a_number=kind == "nan",
    )
    if kind == "malformed":
        (folder / image).write_bytes(b"\x08this is not a model")
    save_text_tower(folder / text, replace(w, text=other.text) if kind == "wrong_text" else w, batch=batch)
    pixels = TensorSpec("images" if kind == "lying" else "pixels", "uint8", (batch, SIZE, SIZE, 3))
    ids, out = (
        TensorSpec("token_ids", "int32", (batch, "length")),
        TensorSpec("embedding", "float32", (batch, DIMENSION)),
    )
    sidecars = tuple(f"{home}/{name}" for name in names)
    return VariantRecord(
        kind,
        "onnx",
        "any",
        "fp32",
        TowerRecord(image, sidecars, pixels, out, _PERFECT, _TOLERANCE),
        TowerRecord(text, (), ids, out, _PERFECT, _TOLERANCE),
        {"tiny_towers": "1"},
    )


def _small_jpeg(photo: Path) -> bytes:
    image = Image.open(photo)
    image.thumbnail((64, 64))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    return stream.getvalue()


def _put(folder: Path, name: str, data: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
