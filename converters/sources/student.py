"""The ``student:`` source: a student that `edgekit distill` has trained, beside the tower that it keeps."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from PIL import Image

    from edgekit.bundle.manifest import Cleaning, ImageSpec
    from edgekit.bundle.reader import Bundle
    from edgekit.converters.distill.handover import Handover
    from edgekit.converters.distill.students.records import Student
    from edgekit.converters.records import SourceModel, SourceOptions, TextPipeline, Tower
    from edgekit.golden import TowerName

_PACKAGES = ("torch", "accelerate", "timm", "open-clip-torch", "safetensors", "tokenizers")


def load(spec: str, options: SourceOptions) -> SourceModel:
    """Load the student in a folder, such as ``STUDENT.distill/student``.

    A tower that is kept comes from the first teacher's bundle as it is.

    Args:
        spec: the folder, with trained weights and the facts that `edgekit.converters.distill.handover` describes.
        options: a tokenizer cannot be given; the student has its own.

    Returns:
        The model, with references computed by PyTorch, and by the teacher's own graph for a tower that is kept.

    Raises:
        InputError: the folder is none of a trained student, or a tokenizer was given.
        MissingDependencyError: PyTorch is not installed.
    """
    from edgekit.converters.distill import handover

    folder = Path(spec)
    if options.tokenizer is not None:
        raise InputError(f"{options.tokenizer}: a student has its own tokenizer; leave the option out")
    given = handover.read(folder)
    try:
        import torch

        from edgekit.converters.distill.students import open as opening
    except ImportError as error:
        raise MissingDependencyError(f"a student needs PyTorch ({error}): pip install 'edgekit[distill]'") from error
    with torch.no_grad():
        return _assemble(folder, given, opening.open_student(folder, trained=True))


def _assemble(folder: Path, given: Handover, student: Student) -> SourceModel:
    from edgekit.bundle.reader import open_bundle
    from edgekit.converters.records import SourceModel

    teacher = open_bundle(given.teacher) if given.teacher else None
    spec, image_tower = _image(student, teacher)
    text, text_tower = _text(student, teacher)
    return SourceModel(
        name=given.name,
        license=given.license,
        description=given.description,
        weights_sha256=_digest(student, teacher),
        dimension=given.dimension,
        logit_scale=given.logit_scale,
        logit_bias=given.logit_bias,
        scores=given.scores,
        image=spec,
        image_tower=image_tower,
        image_reference=_reference(spec),
        text=text,
        text_tower=text_tower,
        templates=given.templates,
        toolchain=_versions(),
        space=given.space,
        history=given.history,
        attachments={path: folder / file for path, file in given.attachments.items()},
        unjudged=_unjudged(student, teacher),
    )


def _image(student: Student, teacher: Bundle | None) -> tuple[ImageSpec, Tower]:
    from edgekit.converters import towers
    from edgekit.converters.distill.kept import kept_tower

    if student.image is not None:
        return student.image.spec, towers.image_tower(student.image.module, student.image.spec)
    kept = _needed(teacher, "image")
    return kept.manifest.image, kept_tower(kept, "image")


def _text(student: Student, teacher: Bundle | None) -> tuple[TextPipeline, Tower]:
    from edgekit.converters import towers
    from edgekit.converters.distill.kept import kept_tower

    new = student.text
    if new is not None:
        pipeline = _pipeline(new.tokenizer_json, new.context_length, new.pad_id, new.cleaning)
        return pipeline, towers.text_tower(new.module, new.context_length, new.pad_id)
    kept = _needed(teacher, "text")
    spec = kept.text
    tokenizer = bytes(kept.read(spec.tokenizer)).decode()
    return _pipeline(tokenizer, spec.context_length, spec.pad_id, spec.cleaning), kept_tower(kept, "text")


def _pipeline(tokenizer_json: str, context_length: int, pad_id: int, cleaning: Cleaning) -> TextPipeline:
    from edgekit.bundle.manifest import TextSpec
    from edgekit.converters.records import TextPipeline
    from edgekit.text import TextEncoder

    # The SDK's own encoder is what the student was trained with: there is no other tokenizer to agree with.
    spec = TextSpec("tokenizer.json", context_length, pad_id, cleaning, trim_padding=False, templates=("{}",))
    encode = TextEncoder(tokenizer_json, spec).encode
    return TextPipeline(tokenizer_json, context_length, pad_id, cleaning, encode)


def _reference(spec: ImageSpec) -> Callable[[Image.Image], npt.NDArray[np.uint8]]:
    from edgekit.preprocess import preprocess

    def transform(image: Image.Image) -> npt.NDArray[np.uint8]:
        # As above: edgekit's preprocessing is the one that the student has seen.
        return preprocess(np.asarray(image, np.uint8), spec, decoding="exact")

    return transform


def _digest(student: Student, teacher: Bundle | None) -> str:
    """Digest the trained weights, together with those of a tower that is kept."""
    from edgekit.converters.digest import weights_sha256
    from edgekit.converters.distill.kept import kept_record

    towers = {"image": student.image, "text": student.text}
    own = weights_sha256({name: tower.module for name, tower in towers.items() if tower is not None})
    if all(tower is not None for tower in towers.values()):
        return own
    tower: TowerName = "image" if student.image is None else "text"
    kept = _needed(teacher, tower)
    record = kept_record(kept, tower)
    files = {file.path: file.sha256 for file in kept.manifest.files}
    parts = [own, *(files[path] for path in (record.artifact, *record.sidecars))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _unjudged(student: Student, teacher: Bundle | None) -> tuple[str, ...]:
    """A kept tower that was quantized: its outputs may depend on the batch, and its teacher's bundle has proven it."""
    from edgekit.converters.distill.kept import kept_variant

    kept = tuple(name for name, tower in (("image", student.image), ("text", student.text)) if tower is None)
    return kept if teacher is not None and kept and kept_variant(teacher).precision != "fp32" else ()


def _needed(teacher: Bundle | None, tower: str) -> Bundle:
    if teacher is None:
        raise InputError(f"the student keeps its teacher's {tower} tower, but names no bundle of a teacher")
    return teacher


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # not every student needs all of them
    return versions
