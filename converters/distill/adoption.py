"""Carry a tower that the student keeps over from its teacher's bundle, with all that was measured on it.

The conversion proves a kept graph against itself, which says nothing of a tower that was quantized. So its record, its
golden inputs and their float references are taken from the teacher's bundle, where they were measured against float.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.converters.distill.kept import kept_record, kept_variant
from edgekit.golden import TOWERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.bundle.manifest import GoldenSpec, Manifest, TowerRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.golden import TowerName

FLOAT, MIXED = "fp32", "mixed"


def adopt(manifest: Manifest, tree: Path, teacher: Bundle, kept: TowerName) -> Manifest:
    """Replace a kept tower, its golden inputs and references by the teacher's own.

    Args:
        manifest: of the student, with one variant.
        tree: its members.
        teacher: the first teacher's bundle.
        kept: the tower that the student keeps.

    Returns:
        The manifest; its variant is called ``mixed`` where the kept tower is not float32.
    """
    (variant,) = manifest.variants
    source = kept_variant(teacher)
    precision = FLOAT if source.precision == FLOAT else MIXED
    home = f"variants/{precision}"
    records = {
        tower: _carried(tree, home, teacher, kept_record(teacher, tower), tower)
        if tower == kept
        else _moved(tree, home, variant.towers[tower])
        for tower in TOWERS
    }
    text = manifest.text
    if kept == "text" and text is not None:
        # What the conversion found with float rounding need not hold for a quantized graph.
        text = replace(text, trim_padding=teacher.text.trim_padding)
    made = replace(
        variant,
        id=precision,
        precision=precision,
        image=records["image"],
        text=records["text"],
        toolchain={**source.toolchain, **variant.toolchain},
    )
    golden = _golden(manifest.golden, tree, teacher, kept)
    _drop_unused(tree, manifest, (*_files(records), *_golden_files(golden)))
    return replace(manifest, variants=(made,), golden=golden, text=text)


def _carried(tree: Path, home: str, teacher: Bundle, record: TowerRecord, tower: TowerName) -> TowerRecord:
    # A graph refers to its sidecars by name, so names stay; a folder of its own keeps both towers' apart.
    names = {path: f"{home}/{tower}/{path.rpartition('/')[2]}" for path in (record.artifact, *record.sidecars)}
    for path, name in names.items():
        _put(tree / name, teacher.read(path))
    return replace(record, artifact=names[record.artifact], sidecars=tuple(names[path] for path in record.sidecars))


def _moved(tree: Path, home: str, record: TowerRecord) -> TowerRecord:
    names = {path: f"{home}/{path.rpartition('/')[2]}" for path in (record.artifact, *record.sidecars)}
    for path, name in names.items():
        if path != name:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(tree / path, tree / name)
    return replace(record, artifact=names[record.artifact], sidecars=tuple(names[path] for path in record.sidecars))


def _golden(golden: GoldenSpec, tree: Path, teacher: Bundle, kept: TowerName) -> GoldenSpec:
    theirs = teacher.manifest.golden
    members = (
        [theirs.text_embeddings]
        if kept == "text"
        else [theirs.image_embeddings, *(path for image in theirs.images for path in (image.photo, image.pixels))]
    )
    names = {path: f"golden/{kept}/{path.rpartition('/')[2]}" for path in members}
    for path, name in names.items():
        _put(tree / name, teacher.read(path))
    if kept == "text":
        return replace(golden, texts=theirs.texts, text_embeddings=names[theirs.text_embeddings])
    images = tuple(replace(image, photo=names[image.photo], pixels=names[image.pixels]) for image in theirs.images)
    return replace(golden, images=images, image_embeddings=names[theirs.image_embeddings])


def _drop_unused(tree: Path, before: Manifest, used: tuple[str, ...]) -> None:
    """Remove what the conversion wrote for the kept tower."""
    (variant,) = before.variants
    written = (*_files(variant.towers), *_golden_files(before.golden))
    for path in set(written) - set(used):
        (tree / path).unlink()


def _files(records: Mapping[TowerName, TowerRecord]) -> tuple[str, ...]:
    return tuple(path for record in records.values() for path in (record.artifact, *record.sidecars))


def _golden_files(golden: GoldenSpec) -> tuple[str, ...]:
    pictures = (path for image in golden.images for path in (image.photo, image.pixels))
    return (golden.image_embeddings, golden.text_embeddings, *pictures)


def _put(path: Path, data: memoryview) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
