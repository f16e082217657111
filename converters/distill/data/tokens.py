"""The student's token ids, made once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from edgekit.bundle.manifest import TextSpec
from edgekit.text import TextEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from edgekit.converters.distill.students.records import TextTower

_CHUNK = 1024


def encoder(tower: TextTower) -> TextEncoder:
    """Return the student's tokenizer; raises a `BundleError` where its settings contradict one another."""
    spec = TextSpec("tokenizer.json", tower.context_length, tower.pad_id, tower.cleaning, True, ("{}",))
    return TextEncoder(tower.tokenizer_json, spec)


def digest(tower: TextTower) -> str:
    """Return the SHA-256 of a tokenizer and of how it is used."""
    settings = f"{tower.context_length} {tower.pad_id} {tower.cleaning}\n"
    return hashlib.sha256(settings.encode() + tower.tokenizer_json.encode()).hexdigest()


def ids(
    tower: TextTower, texts: Sequence[str], on_progress: Callable[[int, int], None]
) -> Iterator[npt.NDArray[np.int32]]:
    """Yield the ids of each text, int32 (L,) without padding, L at least 1."""
    tokenizer = encoder(tower)
    for number, text in enumerate(texts, 1):
        # One at a time: only then does the tokenizer tell where this text's padding begins.
        yield tokenizer.encode_trimmed([text])[0]
        if number % _CHUNK == 0 or number == len(texts):
            on_progress(number, len(texts))


def table(tower: TextTower, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return int64 (N, L) ids, padded to the longest."""
    return encoder(tower).encode_trimmed(texts).astype(np.int64)
