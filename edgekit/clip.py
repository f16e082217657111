"""`Clip`: an opened bundle that embeds photos and texts and compares them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from edgekit import frozen_labels
from edgekit.errors import ExecutionError, InputError, TextError
from edgekit.preprocess import preprocess_batch
from edgekit.results import Classification, ranked
from edgekit.scoring import scores
from edgekit.text_embedder import TextEmbedder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from typing_extensions import Self

    from edgekit.bundle.manifest import Manifest
    from edgekit.bundle.reader import Bundle
    from edgekit.frozen_labels import FrozenLabels
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
        self._frozen: FrozenLabels | None = None
        if bundle.manifest.labels is not None:
            variant = next(v for v in bundle.manifest.variants if v.id == explanation.chosen.variant)
            self._frozen = frozen_labels.read(bundle, variant)

    @property
    def manifest(self) -> Manifest:
        """Every fact about the bundle."""
        return self._bundle.manifest

    @property
    def dimension(self) -> int:
        """Length D of an embedding."""
        return self.manifest.embedding.dimension

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels frozen into the bundle, which `classify` takes by default; empty where there are none."""
        return self._frozen.names if self._frozen is not None else ()

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
        tower, spec = self.tower("image"), self.manifest.image
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
            InputError: `texts` is a single text instead of a list, or the bundle has no text tower.
            ExecutionError: the text tower was not loaded, or the `Clip` is closed.
        """
        return self._text_embedder().embed(texts)

    def embed_labels(self, labels: Sequence[str], *, templates: Sequence[str] | None = None) -> npt.NDArray[np.float32]:
        """Embed labels through prompt templates: the mean of a label's prompts, scaled to length one.

        Source: Radford et al. 2021, arXiv 2103.00020, section 3.1.4 (prompt ensembling in embedding space). A bundle
        without a text tower gives the stored embeddings of its frozen labels.

        Args:
            labels: such as ``"a cat"``, at least one.
            templates: each with one ``{}``; None takes the bundle's own. A bundle without a text tower takes none.

        Returns:
            (N, D) float32, unit rows.

        Raises:
            TextError: no labels, a template is malformed, or a label is not among the frozen ones of a bundle without a
                text tower.
            InputError: `labels` or `templates` is a single text instead of a list.
            ExecutionError: the text tower was not loaded, or the `Clip` is closed.
        """
        if isinstance(labels, str | bytes) or not _is_list(labels):
            raise InputError("expected a list of labels; for one label write [label]")
        if not len(labels):
            raise TextError("the list of labels is empty; give at least one")
        if isinstance(templates, str):
            raise InputError("expected a list of templates; for one template write [template]")
        closed = self._closed_vocabulary(templates)
        if closed is not None:
            return closed.vectors[closed.places(labels)]
        chosen = tuple(self._bundle.text.templates if templates is None else templates)
        return self._text_embedder().embed_labels(labels, chosen)

    def similarity(
        self, images: Sequence[ImageSource], texts: Sequence[str], *, channel_order: ChannelOrder = "rgb"
    ) -> npt.NDArray[np.float32]:
        """Return the cosine of each photo with each text, (photos, texts) float32 in -1..1."""
        return np.asarray(self.embed_images(images, channel_order=channel_order) @ self.embed_texts(texts).T)

    def classify(
        self,
        image: ImageSource,
        labels: Sequence[str] | None = None,
        *,
        templates: Sequence[str] | None = None,
        top: int | None = None,
        channel_order: ChannelOrder = "rgb",
    ) -> Classification:
        """Rank labels for one photo (zero-shot classification).

        A bundle with frozen labels scores those, with what was tuned for them, when `labels` is None. Labels that are
        given go through its text tower as in any bundle; where it has none, they must be among the frozen ones, which
        then compete among themselves.

        Args:
            image: path, encoded bytes, uint8 array (H, W, 3), or Pillow image.
            labels: at least one; None takes the frozen ones.
            templates: prompt templates, each with one ``{}``; None takes the bundle's own.
            top: keep only the best so many; None keeps all.
            channel_order: of an array, ``rgb`` or ``bgr``.

        Returns:
            Labels with scores, best first: softmax over `labels`, or a sigmoid each, as the model was trained.

        Raises:
            ImageError: the photo cannot be decoded.
            TextError: no labels, a template is malformed, or a label is not among the frozen ones of a bundle without a
                text tower.
            InputError: `top` is not positive, no labels are given and none are frozen, or templates are given for
                frozen labels.
        """
        return self.classify_many([image], labels, templates=templates, top=top, channel_order=channel_order)[0]

    def classify_many(
        self,
        images: Sequence[ImageSource],
        labels: Sequence[str] | None = None,
        *,
        templates: Sequence[str] | None = None,
        top: int | None = None,
        channel_order: ChannelOrder = "rgb",
    ) -> list[Classification]:
        """Rank labels for each of several photos; see `classify`."""
        if top is not None and top < 1:
            raise InputError(f"top must be at least 1, got {top}")
        names, score = self.scorer(labels, templates)
        table = score(self.embed_images(images, channel_order=channel_order))
        return [
            Classification(_shown(image), ranked(names, row, top)) for image, row in zip(images, table, strict=True)
        ]

    def tower(self, name: TowerName) -> DeviceTower:
        """Return an opened tower, for what feeds or times it by itself: its input in, unit rows out, nothing kept.

        Args:
            name: ``image`` or ``text``.

        Returns:
            The tower; it belongs to this `Clip`, which closes it.

        Raises:
            ExecutionError: it was not loaded, or the `Clip` is closed.
        """
        if self._closed:
            raise ExecutionError(f"{self._bundle.where}: the Clip is closed; load the bundle again")
        tower = self._towers.get(name)
        if tower is None:
            raise ExecutionError(f"the {name} tower was not loaded; call edgekit.load without towers=")
        return tower

    def token_ids(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Tokenize texts as `embed_texts` does before it runs the text tower.

        Args:
            texts: any number.

        Returns:
            (N, L) int32, the text tower's input.

        Raises:
            TextError: one of them is not a text.
            InputError: the bundle has no text tower.
            ExecutionError: the text tower was not loaded, or the `Clip` is closed.
        """
        return self._text_embedder().token_ids(texts)

    def scorer(
        self, labels: Sequence[str] | None = None, templates: Sequence[str] | None = None
    ) -> tuple[Sequence[str], Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]]:
        """Return the labels to rank, and what scores them for rows of photos, as `classify` does.

        Args:
            labels: at least one; None takes the frozen ones.
            templates: prompt templates, each with one ``{}``; None takes the bundle's own.

        Returns:
            The K labels, and a function from (N, D) unit rows to (N, K) scores in 0..1.

        Raises:
            TextError: as for `classify`.
            InputError: as for `classify`.
        """
        if labels is None:
            if self._frozen is None:
                raise InputError("expected a list of labels: none are frozen into this bundle to choose from")
            if templates is not None:
                raise InputError("the frozen labels' templates were chosen when they were frozen; leave templates out")
            return self._frozen.names, self._frozen.scores
        rows = self.embed_labels(labels, templates=templates)
        closed = self._closed_vocabulary(templates)
        if closed is not None:
            places = closed.places(labels)
            return labels, lambda images: closed.scores(images, places)
        return labels, lambda images: scores(images, rows, self.manifest.embedding)

    def explain(self) -> Explanation:
        """Say which variant runs on which runtime, why, what was refused, and which device runs each node."""
        placed = {str(name): tower.placement() for name, tower in self._towers.items()}
        notes = [self._explanation.note, *(f"{name} tower: {one.note}" for name, one in placed.items() if one.note)]
        counts = {name: one.counts() for name, one in placed.items()}
        return replace(self._explanation, placement=counts, note="; ".join(filter(None, notes)))

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

    def _closed_vocabulary(self, templates: Sequence[str] | None) -> FrozenLabels | None:
        """Return the frozen labels of a bundle without a text tower; None where there is one."""
        if self.manifest.text is not None:
            return None
        if templates is not None:
            raise InputError(
                f"{self._bundle.where}: has no text tower; its labels' templates are frozen, leave them out"
            )
        return self._frozen

    def _text_embedder(self) -> TextEmbedder:
        _ = self._bundle.text  # raises where the bundle has no text tower at all
        self.tower("text")
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
