"""The part of an evaluation that runs an engine: one candidate embeds one set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit import frozen_labels
from edgekit.evaluation.embedding import EmbeddedImages, embed_items, embed_texts
from edgekit.judging import judge, open_towers

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from edgekit.bundle.reader import Bundle
    from edgekit.evaluation.records import Dataset
    from edgekit.frozen_labels import Ranking
    from edgekit.judging import Choice
    from edgekit.preprocess import Decoding
    from edgekit.runtimes.protocol import SessionSettings


@dataclass(frozen=True)
class Job:
    """What every candidate is to embed.

    Attributes:
        dataset: the images and texts.
        templates: that class names are put into.
        settings: of the sessions.
        decoding: as for `edgekit.preprocess.preprocess`.
        strict: stop at the first photo that cannot be decoded.
        frozen: the texts are the bundle's frozen labels: take their stored embeddings, and score with what was tuned.
    """

    dataset: Dataset
    templates: tuple[str, ...]
    settings: SessionSettings
    decoding: Decoding
    strict: bool
    frozen: bool = False


@dataclass(frozen=True)
class Embedded:
    """A candidate's embeddings of a set.

    Attributes:
        images: what became of the images.
        texts: (M, D) float32 unit rows; of the bundle's golden texts, or its frozen labels, where the set has none.
        ranking: queries (K, E) and gallery (M, E), whose dot products rank the texts of each image that could be
            decoded; None where those of `images` and `texts` do.
    """

    images: EmbeddedImages
    texts: npt.NDArray[np.float32]
    ranking: Ranking | None = None


def embed(bundle: Bundle, choice: Choice, job: Job, progress: Callable[[int], None] | None) -> Embedded:
    """Open a candidate, put it through its golden check, and embed the set with it.

    Args:
        bundle: opened.
        choice: variant, runtime and device.
        job: what to embed.
        progress: called with the number of images done since the last call.

    Returns:
        The embeddings.

    Raises:
        BundleError: a file of the bundle is damaged.
        GoldenError: the candidate returns wrong numbers here.
        ExecutionError: the engine failed, or returned a NaN or an infinity.
        ImageError: a photo is broken, and the job is strict.
    """
    towers = open_towers(bundle, choice, tuple(choice.variant.towers), job.settings)
    try:
        judge(bundle, choice, towers, timed=False)
        frozen = frozen_labels.read(bundle, choice.variant) if job.frozen else None
        texts = frozen.vectors if frozen else embed_texts(bundle, towers["text"], job.dataset, job.templates)
        spec, items = bundle.manifest.image, job.dataset.items
        images = embed_items(items, spec, towers["image"], decoding=job.decoding, strict=job.strict, progress=progress)
        return Embedded(images, texts, frozen.ranking(images.rows) if frozen else None)
    finally:
        for tower in towers.values():
            tower.close()
