"""Write the specialized bundle: the towers that stay, the arrays of the labels, and everything about them."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit import __version__, golden
from edgekit.atomic import write_bytes
from edgekit.bundle import provenance
from edgekit.bundle.label_records import HeadSpec, LabelFiles, LabelSpec
from edgekit.bundle.writer import write_bundle
from edgekit.converters.card import with_section
from edgekit.converters.specialize import sheet
from edgekit.converters.specialize.heads import FAMILIES
from edgekit.frozen_labels import FrozenLabels, Head

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from edgekit.bundle.manifest import Manifest, VariantRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.converters.specialize.embedding import Made
    from edgekit.converters.specialize.examples import Examples
    from edgekit.converters.specialize.examples_set import ExamplesSet
    from edgekit.converters.specialize.labels_file import Vocabulary
    from edgekit.converters.specialize.records import Options
    from edgekit.converters.specialize.selection import Selection

CARD, SECTION, LABELS = "card.md", "Labels", "labels"


@dataclass(frozen=True)
class Job:
    """What there is to pack.

    Attributes:
        bundle: the full one.
        options: of the user.
        vocabulary: the labels.
        templates: that labels without prompts of their own were put into.
        made: what each variant made of labels and examples, in the order of the manifest.
        examples: per variant, the examples; empty without.
        data: the examples' set; None without.
        selection: which head was taken; None without examples.
    """

    bundle: Bundle
    options: Options
    vocabulary: Vocabulary
    templates: tuple[str, ...]
    made: tuple[Made, ...]
    examples: tuple[Examples, ...]
    data: ExamplesSet | None
    selection: Selection | None


def pack(job: Job, out: Path) -> Manifest:
    """Write the bundle.

    Args:
        job: what to pack.
        out: the ``.edge`` file to create or replace; it appears whole or not at all.

    Returns:
        The manifest as written.

    Raises:
        BundleError: the full bundle is damaged.
        InputError: `out` cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=f".{out.name[:32]}.", dir=out.parent) as name:
        tree = Path(name)
        labels = LabelSpec(job.vocabulary.names, job.templates, job.vocabulary.prompts, _head_spec(job))
        variants = tuple(_variant(job, number, tree) for number in range(len(job.made)))
        manifest = _manifest(job, labels, variants)
        for path in _carried(job.bundle.manifest, manifest):
            _put(tree, path, bytes(job.bundle.read(path)))
        listed = {record.path for record in job.bundle.manifest.files}
        before = bytes(job.bundle.read(CARD)).decode() if CARD in listed else f"# {manifest.name}\n"
        sizes = {file.path: file.size for file in job.bundle.manifest.files}
        arrays = sum(path.stat().st_size for path in (tree / LABELS).rglob("*.npy"))
        card = with_section(before, SECTION, sheet.section(manifest, job.selection, sizes, arrays))
        _put(tree, CARD, card.encode())
        return write_bundle(out, manifest, tree)


def _manifest(job: Job, labels: LabelSpec, variants: tuple[VariantRecord, ...]) -> Manifest:
    old = job.bundle.manifest
    steps = provenance.extend(old.provenance, "specialize", _details(job, labels))
    new = replace(old, name=job.options.name or old.name, labels=labels, variants=variants, provenance=steps, files=())
    if job.options.keep_text:
        return new
    return replace(new, text=None, golden=replace(old.golden, texts=(), text_embeddings=""))


def _variant(job: Job, number: int, tree: Path) -> VariantRecord:
    """Write the arrays of one variant, and return its new record."""
    made, spec = job.made[number], job.bundle.manifest.embedding
    head = Head()
    if job.selection is not None and job.selection.choice is not None:
        choice = job.selection.choice
        head = FAMILIES[choice.kind].fit(job.examples[number], choice)
    frozen = FrozenLabels(job.vocabulary.names, made.vectors, spec, head)
    arrays = {
        "vectors": made.vectors,
        "scores": frozen.scores(golden.reference(job.bundle, "image")).astype(np.float32),
        "weights": head.weights,
        "keys": head.keys,
        "classes": head.classes,
    }
    paths = {}
    for name, array in arrays.items():
        if array is not None:
            paths[name] = f"{LABELS}/{number}/{name}.npy"
            _put(tree, paths[name], _npy(array))
    return replace(made.variant, labels=LabelFiles(**paths), text=made.variant.text if job.options.keep_text else None)


def _head_spec(job: Job) -> HeadSpec | None:
    if job.selection is None or job.selection.choice is None or job.data is None:
        return None
    choice = job.selection.choice
    return HeadSpec(
        kind=choice.kind,
        strength=choice.strength,
        sharpness=choice.sharpness,
        penalty=choice.penalty,
        data=job.data.name,
        digest=job.data.digest,
        examples=len(job.examples[0]),
        zero_shot=job.selection.accuracy("zero-shot").value,
        tuned=job.selection.accuracy(choice.kind).value,
    )


def _carried(old: Manifest, new: Manifest) -> Iterator[str]:
    """Yield the members that stay: those of the new manifest, and what no manifest's field refers to but the card."""
    used, before = set(_members(new)), set(_members(old))
    for file in old.files:
        if file.path != CARD and (file.path in used or file.path not in before):
            yield file.path


def _members(manifest: Manifest) -> Iterator[str]:
    golden_spec = manifest.golden
    yield golden_spec.image_embeddings
    for image in golden_spec.images:
        yield from (image.photo, image.pixels)
    if manifest.text is not None:
        yield from (manifest.text.tokenizer, golden_spec.text_embeddings)
    for variant in manifest.variants:
        yield variant.quantization
        for tower in variant.towers.values():
            yield from (tower.artifact, *tower.sidecars)
        if variant.labels is not None:
            yield from variant.labels.paths.values()


def _details(job: Job, labels: LabelSpec) -> dict[str, str]:
    words = json.dumps([labels.names, labels.prompts], sort_keys=True)
    details = {
        "bundle": job.bundle.digest,
        "variants": json.dumps([made.variant.id for made in job.made]),
        "labels": str(len(labels.names)),
        "labels_sha256": hashlib.sha256(words.encode()).hexdigest(),
        "templates": json.dumps(labels.templates),
        "text_tower": "kept" if job.options.keep_text else "left out",
        "head": labels.head.kind if labels.head else "none",
        "version_edgekit": __version__,
    }
    if job.data is not None and job.selection is not None:
        details |= {
            "data": job.data.name,
            "data_digest": job.data.digest,
            "examples": str(len(job.examples[0])),
            **{f"right_{trial.kind}": f"{trial.accuracy.value:.6f}" for trial in job.selection.trials},
        }
    return details


def _npy(array: npt.NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array.astype(array.dtype.newbyteorder("<")), allow_pickle=False)
    return stream.getvalue()


def _put(tree: Path, path: str, data: bytes) -> None:
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    write_bytes(tree / path, data)
