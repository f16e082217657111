"""`Clip`: an opened bundle that embeds photos and texts and compares them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from edgekit.errors import ExecutionError, InputError, TextError
from edgekit.preprocess import preprocess_batch
from edgekit.results import Classification, Label
from edgekit.scoring import rank, scores
from edgekit.text_embedder import TextEmbedder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from typing_extensions import Self

    from edgekit.bundle.manifest import Manifest
    from edgekit.bundle.reader import Bundle
    from edgekit.golden import TowerName
    from edgekit.preprocess import ChannelOrder, Decoding, ImageSource
    from edgekit.results import Explanation
    from edgekit.tower import DeviceTower

# Photos decoded ahead of the image tower: enough to keep every core busy, little enough to bound the memory.
CHUNK = 16


class Clip:
    """An image-text model on this device; made by `edgekit.load`.

    Every method may be called from several threads at once. Embeddings are float32 unit rows; those of one `space`
    may be compared with each other, those of two must not.
    """

    def __init__(self, bundle: Bundle, towers: dict[TowerName, DeviceTower], explanation: Explanation) -> None:
        self._bundle = bundle
        self._towers = towers
        self._explanation = explanation
        self._closed = False
        self._texts = TextEmbedder(bundle, towers["text"]) if "text" in towers else None

    @property
    def manifest(self) -> Manifest:
        """Every fact about the bundle."""
        return self._bundle.manifest

    @property
    def dimension(self) -> int:
        """Length D of an embedding."""
        return self.manifest.embedding.dimension

    @property
    def space(self) -> str:
        """Id of the embedding space; store it beside the vectors and refuse to compare those of another."""
        return self.manifest.embedding.space

    def embed_images(
        self,
        images: Sequence[ImageSource] | npt.NDArray[np.uint8],
        *,
        channel_order: ChannelOrder = "rgb",
        decoding: Decoding = "fast",
        threads: int | None = None,
    ) -> npt.NDArray[np.float32]:
        """Embed photos.

        Args:
            images: paths, encoded bytes, uint8 arrays (H, W, 3), or Pillow images; any number, 0 included.
            channel_order: of the arrays, ``rgb`` or ``bgr`` (OpenCV's frames); it does not matter for files.
            decoding: ``fast`` lets large JPEGs be decoded at a reduced size, within the bound stated by
                `edgekit.preprocess`; ``exact`` does not.
            threads: decoding threads; None takes one per core.

        Returns:
            (N, D) float32, unit rows, in the order of `images`.

        Raises:
            ImageError: a photo cannot be decoded; the message names it.
            InputError: `images` is a single photo instead of a list.
            ExecutionError: the image tower was not loaded, or the `Clip` is closed.
        """
        if isinstance(images, str | bytes | os.PathLike) or not _is_list(images):
            raise InputError("embed_images takes a list of photos; for one photo write embed_images([photo])")
        if isinstance(images, np.ndarray) and images.ndim != 4:
            raise InputError(f"embed_images takes a list of photos or an array (N, H, W, 3), got {images.shape}")
        tower, spec = self._tower("image"), self.manifest.image
        parts = [np.empty((0, self.dimension), np.float32)]
        for start in range(0, len(images), CHUNK):
            chunk = [images[i] for i in range(start, min(start + CHUNK, len(images)))]
            pixels = preprocess_batch(
                chunk, spec, decoding=decoding, channel_order=channel_order, threads=threads, first=start
            )
            parts.append(tower.embed(pixels))
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embed texts; each distinct text is computed once and kept.

        Args:
            texts: any number, 0 included; longer ones than the context are truncated as in training.

        Returns:
            (N, D) float32, unit rows, in the order of `texts`.

        Raises:
            TextError: one of them is not a text.
            InputError: `texts` is a single text instead of a list.
            ExecutionError: the text tower was not loaded, or the `Clip` is closed.
        """
        return self._text_embedder().embed(texts)

    def embed_labels(self, labels: Sequence[str], *, templates: Sequence[str] | None = None) -> npt.NDArray[np.float32]:
        """Embed labels through prompt templates: the mean of a label's prompts, scaled to length one.

        Source: Radford et al. 2021, arXiv 2103.00020, section 3.1.4 (prompt ensembling in embedding space).

        Args:
            labels: such as ``"a cat"``, at least one.
            templates: each with one ``{}``; None takes the bundle's own.

        Returns:
            (N, D) float32, unit rows.

        Raises:
            TextError: no labels, or a template is malformed.
            InputError: `labels` or `templates` is a single text instead of a list.
            ExecutionError: the text tower was not loaded, or the `Clip` is closed.
        """
        if isinstance(labels, str | bytes) or not _is_list(labels):
            raise InputError("expected a list of labels; for one label write [label]")
        if not len(labels):
            raise TextError("the list of labels is empty; give at least one")
        if isinstance(templates, str):
            raise InputError("expected a list of templates; for one template write [template]")
        chosen = tuple(self.manifest.text.templates if templates is None else templates)
        return self._text_embedder().embed_labels(labels, chosen)

    def similarity(
        self, images: Sequence[ImageSource], texts: Sequence[str], *, channel_order: ChannelOrder = "rgb"
    ) -> npt.NDArray[np.float32]:
        """Return the cosine of each photo with each text, (photos, texts) float32 in -1..1."""
        return np.asarray(self.embed_images(images, channel_order=channel_order) @ self.embed_texts(texts).T)

    def classify(
        self,
        image: ImageSource,
        labels: Sequence[str],
        *,
        templates: Sequence[str] | None = None,
        top: int | None = None,
        channel_order: ChannelOrder = "rgb",
    ) -> Classification:
        """Rank labels for one photo (zero-shot classification).

        Args:
            image: path, encoded bytes, uint8 array (H, W, 3), or Pillow image.
            labels: at least one.
            templates: prompt templates, each with one ``{}``; None takes the bundle's own.
            top: keep only the best so many; None keeps all.
            channel_order: of an array, ``rgb`` or ``bgr``.

        Returns:
            Labels with scores, best first: softmax over `labels`, or a sigmoid each, as the model was trained.

        Raises:
            ImageError: the photo cannot be decoded.
            TextError: no labels, or a template is malformed.
            InputError: `top` is not positive.
        """
        return self.classify_many([image], labels, templates=templates, top=top, channel_order=channel_order)[0]

    def classify_many(
        self,
        images: Sequence[ImageSource],
        labels: Sequence[str],
        *,
        templates: Sequence[str] | None = None,
        top: int | None = None,
        channel_order: ChannelOrder = "rgb",
    ) -> list[Classification]:
        """Rank labels for each of several photos; see `classify`."""
        if top is not None and top < 1:
            raise InputError(f"top must be at least 1, got {top}")
        label_rows = self.embed_labels(labels, templates=templates)
        image_rows = self.embed_images(images, channel_order=channel_order)
        table = scores(image_rows, label_rows, self.manifest.embedding)
        return [
            Classification(_shown(image), tuple(Label(labels[i], float(row[i])) for i in rank(row, top)))
            for image, row in zip(images, table, strict=True)
        ]

    def explain(self) -> Explanation:
        """Say which variant runs on which runtime, why, what was refused, and which device runs each node."""
        placement = {str(name): tower.placement().counts() for name, tower in self._towers.items()}
        return replace(self._explanation, placement=placement)

    def close(self) -> None:
        """Wait for running inferences and free the engines' memory; closing twice is harmless."""
        self._closed = True
        for tower in self._towers.values():
            tower.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Clip({self._explanation.chosen}, {self.dimension} dimensions)"

    def _tower(self, name: TowerName) -> DeviceTower:
        if self._closed:
            raise ExecutionError(f"{self._bundle.where}: the Clip is closed; load the bundle again")
        tower = self._towers.get(name)
        if tower is None:
            raise ExecutionError(f"the {name} tower was not loaded; call edgekit.load without towers=")
        return tower

    def _text_embedder(self) -> TextEmbedder:
        self._tower("text")
        return cast("TextEmbedder", self._texts)


def _is_list(values: object) -> bool:
    # Whatever has a length and can be indexed; a generator and a Pillow image cannot.
    return hasattr(values, "__len__") and hasattr(values, "__getitem__") and not isinstance(values, dict)


def _shown(image: ImageSource) -> str:
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    if isinstance(image, np.ndarray):
        return "<array>"
    return "<bytes>" if isinstance(image, bytes) else f"<{type(image).__name__}>"
