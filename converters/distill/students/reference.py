"""What a student takes over from the first teacher: how it sees pictures and texts, and where its weights are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.bundle.reader import open_bundle
from edgekit.converters.distill.data.teachers import TOKENIZER, stored
from edgekit.errors import InputError

if TYPE_CHECKING:
    from edgekit.bundle.manifest import ImageSpec, Manifest, TextSpec, TowerRecord, VariantRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.converters.distill.data.store_records import TeacherRecord
    from edgekit.converters.distill.recipe import Recipe


@dataclass(frozen=True)
class Reference:
    """The first teacher.

    Attributes:
        source: as the recipe names it.
        file: path of its bundle; None where there are only its embeddings.
        bundle: the bundle, opened.
        stored: facts and the folder of its embeddings; None where there is a bundle.
    """

    source: str
    file: Path | None
    bundle: Bundle | None
    stored: tuple[TeacherRecord, Path] | None = None

    @property
    def manifest(self) -> Manifest | None:
        """The bundle's manifest; None where there is no bundle."""
        return None if self.bundle is None else self.bundle.manifest

    @property
    def image(self) -> ImageSpec | None:
        """Its preprocessing, as far as it is known."""
        if self.stored is not None:
            return self.stored[0].image
        return None if self.manifest is None else self.manifest.image

    @property
    def dimension(self) -> int | None:
        """Its D, as far as it is known."""
        if self.stored is not None:
            return self.stored[0].dimension
        return None if self.manifest is None else self.manifest.embedding.dimension

    @property
    def templates(self) -> tuple[str, ...]:
        """Its prompt templates; a text as it is where it has none, or they are not known."""
        manifest = self.manifest
        text = self.stored[0].text if self.stored is not None else None if manifest is None else manifest.text
        return ("{}",) if text is None else text.templates or ("{}",)

    def texts(self, field: str) -> tuple[TextSpec, str]:
        """Return the settings of its texts and its tokenizer's JSON.

        Args:
            field: of the recipe that needs them.

        Returns:
            Both.

        Raises:
            InputError: neither a bundle nor embeddings are there.
        """
        if self.stored is not None:
            record, home = self.stored
            return record.text, (home / TOKENIZER).read_text(encoding="utf-8")
        bundle = self.needed(field)
        return bundle.text, bytes(bundle.read(bundle.text.tokenizer)).decode()

    def needed(self, field: str) -> Bundle:
        """Return the bundle, or say which field of the recipe cannot do without it.

        Args:
            field: of the recipe.

        Returns:
            The bundle.

        Raises:
            InputError: there is none.
        """
        if self.bundle is None:
            raise InputError(f"{field}: needs the first teacher itself, not only its embeddings; give teachers.model")
        return self.bundle

    def path(self, field: str) -> Path:
        """Return the path of the bundle, or say which field of the recipe cannot do without it.

        Args:
            field: of the recipe.

        Returns:
            The path.

        Raises:
            InputError: there is none.
        """
        self.needed(field)
        return Path(self.file or "")

    def open_clip(self) -> str:
        """Return what follows ``open_clip:`` in the teacher's name; empty where it is another source."""
        kind, _, spec = self.source.partition(":")
        return spec if kind == "open_clip" else ""

    def float_variant(self, field: str) -> VariantRecord:
        """Return the bundle's float32 ONNX variant.

        Args:
            field: of the recipe that needs it.

        Returns:
            The variant.

        Raises:
            InputError: there is none.
        """
        manifest = self.needed(field).manifest
        for variant in manifest.variants:
            if variant.format == "onnx" and variant.precision == "fp32":
                return variant
        held = ", ".join(f"{variant.precision} ({variant.format})" for variant in manifest.variants)
        raise InputError(
            f"{field}: needs the teacher in float32 ONNX, the bundle holds {held}; convert it again: "
            f"edgekit convert {manifest.source.uri} -o FLOAT.edge --weights float32"
        )

    def text_tower(self, field: str) -> TowerRecord:
        """Return the text tower of the float32 ONNX variant.

        Args:
            field: of the recipe that needs it.

        Returns:
            The tower.

        Raises:
            InputError: there is no such variant, or no text tower in it.
        """
        found = self.float_variant(field).text
        if found is None:
            raise InputError(f"{field}: the teacher has no text tower, only frozen labels; give the bundle before")
        return found


def read_reference(recipe: Recipe, teacher: Path | None) -> Reference:
    """Open the first teacher.

    Args:
        recipe: names it.
        teacher: its bundle; None where there is none.

    Returns:
        What is known of it.

    Raises:
        BundleError: the bundle is missing or damaged.
    """
    first = recipe.teachers[0]
    if teacher is not None:
        return Reference(first.model, teacher, open_bundle(teacher))
    if not first.embeddings:
        return Reference(first.model, None, None)
    home, record = stored(Path(first.embeddings))
    return Reference(first.model, None, None, (record, home))


def dimension_of(recipe: Recipe, reference: Reference) -> int:
    """Return D of the student.

    Args:
        recipe: may say it.
        reference: says it else.

    Returns:
        Length of an embedding.

    Raises:
        InputError: neither says it, or a kept tower has another.
    """
    wanted, own = recipe.student.dimension, reference.dimension
    if own is None:
        if not wanted:
            raise InputError("student.dimension: must be given where the first teacher has no bundle")
        return wanted
    kept = recipe.student.image is None or recipe.student.text is None
    if wanted and wanted != own and kept:
        raise InputError(f"student.dimension: must be {own}, the teacher's, where one of its towers is kept")
    return wanted or own
