"""Prove a bundle on this device: digests, pixels, token ids, and golden vectors on every runtime that works here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit import frozen_labels, golden
from edgekit.choices import list_choices
from edgekit.errors import BundleError, EdgekitError, InputError
from edgekit.judging import judge, open_towers
from edgekit.preprocess import preprocess
from edgekit.results import Candidate
from edgekit.runtimes.protocol import SessionSettings
from edgekit.text import TextEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.bundle.reader import Bundle

# The converter's exact path gave the stored pixels; another JPEG decoder may round one level differently.
PIXEL_LIMIT = 1


@dataclass(frozen=True)
class Verification:
    """What was proven here.

    Attributes:
        members: number of members whose size and digest were checked.
        pixels_max: largest difference of preprocessed golden photos, in levels of 255.
        texts: number of golden texts whose token ids are equal; 0 without a text tower.
        candidates: every variant on every runtime and device.
        labels: number of frozen labels; 0 where there are none.
        scores_max: largest difference of a score of the golden photos' stored embeddings, over all variants.
    """

    members: int
    pixels_max: int
    texts: int
    candidates: tuple[Candidate, ...]
    labels: int = 0
    scores_max: float = 0.0

    @property
    def passed(self) -> bool:
        """True when something ran and nothing that ran was refused."""
        ran = [candidate for candidate in self.candidates if candidate.ran]
        return bool(ran) and all(candidate.accepted for candidate in ran)


def verify(bundle: Bundle, *, settings: SessionSettings | None = None) -> Verification:
    """Check everything that can be checked on this device.

    Args:
        bundle: opened.
        settings: of the sessions.

    Returns:
        What was found; look at `Verification.passed`.

    Raises:
        BundleError: a digest, the preprocessing or the tokenizer is wrong, or the frozen labels' arrays are.
        GoldenError: the frozen labels do not score here as they did when they were stored.
    """
    members, labels = bundle.verify(), bundle.manifest.labels
    pixels, texts = _pixels(bundle), _texts(bundle)
    apart = max(frozen_labels.check(bundle, variant) for variant in bundle.manifest.variants) if labels else 0.0
    candidates = tuple(_candidates(bundle, settings or SessionSettings()))
    return Verification(members, pixels, texts, candidates, len(labels.names) if labels else 0, apart)


def _candidates(bundle: Bundle, settings: SessionSettings) -> Iterator[Candidate]:
    choices, refused = list_choices(bundle, None, None, "auto")
    for choice in choices:
        try:
            towers = open_towers(bundle, choice, tuple(choice.variant.towers), settings)
        except EdgekitError as error:
            # A setting that this engine does not know says nothing about the variant; damage does.
            unknown = isinstance(error, InputError) and not isinstance(error, BundleError)
            yield choice.candidate(str(error), ran=not unknown)
            continue
        try:
            times, checks = judge(bundle, choice, towers, timed=True)
            yield choice.candidate("", times.milliseconds if times else None, checks)
        except EdgekitError as error:
            yield choice.candidate(str(error))
        finally:
            for tower in towers.values():
                tower.close()
    yield from refused


def _pixels(bundle: Bundle) -> int:
    manifest, worst = bundle.manifest, 0
    expected = golden.inputs(bundle, "image")
    for i, image in enumerate(manifest.golden.images):
        found = preprocess(bytes(bundle.read(image.photo)), manifest.image, decoding="exact")
        difference = int(np.abs(found.astype(np.int16) - expected[i].astype(np.int16)).max())
        if difference > PIXEL_LIMIT:
            raise BundleError(
                f"{bundle.where}: {image.photo}: preprocessing here differs by {difference} levels of 255 from the "
                f"stored pixels (limit {PIXEL_LIMIT}); the image libraries here decode or resize differently"
            )
        worst = max(worst, difference)
    return worst


def _texts(bundle: Bundle) -> int:
    if bundle.manifest.text is None:
        return 0
    spec = bundle.text
    encoder = TextEncoder(bytes(bundle.read(spec.tokenizer)), spec)
    texts = [text.text for text in bundle.manifest.golden.texts]
    expected = golden.inputs(bundle, "text")
    for text, found, wanted in zip(texts, encoder.encode(texts), expected, strict=True):
        if not np.array_equal(found, wanted):
            raise BundleError(f"{bundle.where}: the tokenizer gives other ids here for {text[:60]!r}")
    return len(texts)
