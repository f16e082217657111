"""What must hold between the manifest's fields, beyond their types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.bundle import label_rules, provenance
from edgekit.bundle.container import check_name
from edgekit.bundle.members import MANIFEST
from edgekit.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.bundle.manifest import EmbeddingSpec, GoldenSpec, ImageSpec, Manifest, TextSpec, VariantRecord

_SHA256 = re.compile("[0-9a-f]{64}")
_MAX_SIDE = 8192
_MAX_CONTEXT = 1 << 16
_MAX_DIMENSION = 1 << 16
_MAX_ID = (1 << 31) - 1


def check_manifest(manifest: Manifest, where: str) -> None:
    """Check a manifest's values and references.

    Args:
        manifest: parsed.
        where: its name, for messages.

    Raises:
        BundleError: names the field and what is wrong.
    """
    for path, problem in _problems(manifest):
        raise BundleError(f"{where}.{path}: {problem}")
    seen = {MANIFEST}
    for record in manifest.files:
        check_name(record.path, seen, where)
    known = {record.path for record in manifest.files}
    for field, path in _references(manifest):
        if path not in known:
            raise BundleError(f"{where}.{field}: {path!r} is not among the bundle's files")


def _problems(manifest: Manifest) -> Iterator[tuple[str, str]]:
    if manifest.schema_version < 1:
        yield "schema_version", f"{manifest.schema_version} is not a version"
    if not manifest.name:
        yield "name", "is empty"
    # Messages and tables show these in one line; a control character would reach the terminal.
    for field in ("name", "version", "license"):
        if not getattr(manifest, field).isprintable():
            yield field, "holds a control character"
    for i, record in enumerate(manifest.files):
        if record.size < 0 or not _SHA256.fullmatch(record.sha256):
            yield f"files[{i}]", f"{record.path}: the size or the SHA-256 is malformed"
    yield from _embedding_problems(manifest.embedding)
    yield from _image_problems(manifest.image)
    yield from _text_problems(manifest.text)
    ids = [variant.id for variant in manifest.variants]
    if not ids or len(set(ids)) != len(ids):
        yield "variants", "is empty, or two variants have the same id"
    for i, variant in enumerate(manifest.variants):
        yield from _variant_problems(variant, f"variants[{i}]", manifest)
    yield from _golden_problems(manifest.golden, manifest.text)
    yield from label_rules.problems(manifest)
    problem = provenance.problem(manifest.provenance)
    if problem:
        yield "provenance", problem


def _embedding_problems(embedding: EmbeddingSpec) -> Iterator[tuple[str, str]]:
    if not 1 <= embedding.dimension <= _MAX_DIMENSION:
        yield "embedding.dimension", f"{embedding.dimension} is not in 1..{_MAX_DIMENSION}"
    if embedding.logit_scale <= 0:
        yield "embedding.logit_scale", f"{embedding.logit_scale} is not positive"
    if not embedding.space:
        yield "embedding.space", "is empty"


def _text_problems(text: TextSpec | None) -> Iterator[tuple[str, str]]:
    if text is None:
        return
    if not 1 <= text.context_length <= _MAX_CONTEXT:
        yield "text.context_length", f"{text.context_length} is not in 1..{_MAX_CONTEXT}"
    if not 0 <= text.pad_id <= _MAX_ID:
        yield "text.pad_id", f"{text.pad_id} is not in 0..{_MAX_ID}"
    for i, template in enumerate(text.templates):
        if template.count("{}") != 1:
            yield f"text.templates[{i}]", f"{template!r} has not exactly one '{{}}'"


def _image_problems(image: ImageSpec) -> Iterator[tuple[str, str]]:
    for name, side in (("height", image.height), ("width", image.width)):
        if not 1 <= side <= _MAX_SIDE:
            yield f"image.{name}", f"{side} is not in 1..{_MAX_SIDE}"
    if not 0 <= image.shortest_edge <= _MAX_SIDE:
        yield "image.shortest_edge", f"{image.shortest_edge} is not in 0..{_MAX_SIDE}"
    if not all(0 <= value <= 255 for value in image.fill):
        yield "image.fill", f"{image.fill} is not in 0..255"
    if not all(value > 0 for value in image.std):
        yield "image.std", f"{image.std} is not positive"


def _variant_problems(variant: VariantRecord, where: str, manifest: Manifest) -> Iterator[tuple[str, str]]:
    if not variant.id or not variant.id.isprintable():
        yield f"{where}.id", "is empty, or holds a control character"
    if (variant.text is None) != (manifest.text is None):
        yield f"{where}.text", "is a tower where the manifest has no text settings, or is null where it has"
    dimension = manifest.embedding.dimension
    for name, tower in variant.towers.items():
        bases = [path.rpartition("/")[2] for path in tower.sidecars]
        if len(set(bases)) != len(bases):
            yield f"{where}.{name}.sidecars", "two files have the same base name, by which the model refers to them"
        for field, spec in (("input", tower.input), ("output", tower.output)):
            if not spec.name or any(isinstance(length, int) and length < 1 for length in spec.shape):
                yield f"{where}.{name}.{field}", "has no name, or a dimension that is not positive"
        shape = tower.output.shape
        if len(shape) != 2 or shape[1] != dimension:
            yield f"{where}.{name}.output.shape", f"{shape} does not end in the embedding's dimension {dimension}"
        for field in ("cosine_min", "centred_min"):
            if not -1 <= getattr(tower.tolerance, field) <= 1:
                yield f"{where}.{name}.tolerance.{field}", "is not in -1..1"


def _golden_problems(golden: GoldenSpec, text: TextSpec | None) -> Iterator[tuple[str, str]]:
    if not golden.images or (text is not None and not golden.texts):
        yield "golden", "a bundle needs at least one golden photo and one golden text"
    if text is None and (golden.texts or golden.text_embeddings):
        yield "golden.texts", "are there, though the bundle has no text tower"
    length = 0 if text is None else text.context_length
    for i, stored in enumerate(golden.texts):
        if len(stored.token_ids) > length or not all(0 <= token <= _MAX_ID for token in stored.token_ids):
            yield f"golden.texts[{i}].token_ids", f"more than context_length ids, or one that is not in 0..{_MAX_ID}"


def _references(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield "golden.image_embeddings", manifest.golden.image_embeddings
    if manifest.text is not None:
        yield "text.tokenizer", manifest.text.tokenizer
        yield "golden.text_embeddings", manifest.golden.text_embeddings
    for i, golden in enumerate(manifest.golden.images):
        yield f"golden.images[{i}].photo", golden.photo
        yield f"golden.images[{i}].pixels", golden.pixels
    for i, variant in enumerate(manifest.variants):
        if variant.quantization:
            yield f"variants[{i}].quantization", variant.quantization
        for name, path in variant.labels.paths.items() if variant.labels else ():
            yield f"variants[{i}].labels.{name}", path
        for tower_name, tower in variant.towers.items():
            yield f"variants[{i}].{tower_name}.artifact", tower.artifact
            for sidecar in tower.sidecars:
                yield f"variants[{i}].{tower_name}.sidecars", sidecar
