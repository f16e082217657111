"""Texts to embeddings, each computed once: an app's label set hardly ever changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import InputError, TextError
from edgekit.text import TextEncoder, fill_templates

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edgekit.bundle.reader import Bundle
    from edgekit.tower import DeviceTower

# 8,192 texts of 512 floats are 16 MB.
CACHED_TEXTS = 8192


class TextEmbedder:
    """A text tower behind its tokenizer and a cache of the most recently used texts. Thread-safe."""

    def __init__(self, bundle: Bundle, tower: DeviceTower, capacity: int = CACHED_TEXTS) -> None:
        """Read the tokenizer; `capacity` is the number of texts kept."""
        spec = bundle.text
        self._encoder = TextEncoder(bytes(bundle.read(spec.tokenizer)), spec)
        self._tower = tower
        self._dimension = bundle.manifest.embedding.dimension
        self._capacity = capacity
        self._rows: OrderedDict[str, npt.NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embed texts, each distinct one once.

        Args:
            texts: any number.

        Returns:
            (N, D) float32 unit rows in the order of `texts`.

        Raises:
            InputError: `texts` is a single text.
            TextError: one of them is not a text.
        """
        if isinstance(texts, str | bytes):
            raise InputError("expected a list of texts; for one text write [text]")
        wanted = list(texts)
        wrong = next((i for i, text in enumerate(wanted) if not isinstance(text, str)), None)
        if wrong is not None:
            raise TextError(f"text {wrong} is {type(wanted[wrong]).__name__}, not str")
        with self._lock:
            known = {text: self._rows[text] for text in wanted if text in self._rows}
        new = list(dict.fromkeys(text for text in wanted if text not in known))
        if new:
            known.update(zip(new, self._compute(new), strict=True))
        self._remember(known)
        return np.stack([known[text] for text in wanted]) if wanted else np.empty((0, self._dimension), np.float32)

    def embed_labels(self, labels: Sequence[str], templates: tuple[str, ...]) -> npt.NDArray[np.float32]:
        """Return (N, D) float32 unit rows, each the scaled mean of a label's prompts."""
        if isinstance(labels, str):
            raise InputError("expected a list of labels; for one label write [label]")
        if not templates:
            raise TextError("the list of templates is empty; give at least one, such as '{}'")
        prompts = [prompt for label in labels for prompt in fill_templates(label, templates)]
        rows = self.embed(prompts)
        if len(templates) == 1:
            return rows
        return unit_means(rows.reshape(len(labels), len(templates), -1))

    def token_ids(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Return what the tower is given for texts: int32 (N, L) token ids, padding cut where the tower allows it."""
        # Cutting the padding is a setting of the bundle, but a static variant of it takes whole rows only.
        trims = self._tower.static_length is None
        return self._encoder.encode_trimmed(texts) if trims else self._encoder.encode(texts)

    def _compute(self, texts: list[str]) -> npt.NDArray[np.float32]:
        return self._tower.embed(self.token_ids(texts))

    def _remember(self, rows: dict[str, npt.NDArray[np.float32]]) -> None:
        with self._lock:
            for text, row in rows.items():
                # A copy of its own: a view would keep the whole batch that it was computed in.
                self._rows[text] = row if row.base is None else row.copy()
                self._rows.move_to_end(text)
            while len(self._rows) > self._capacity:
                self._rows.popitem(last=False)


def unit_means(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the mean of each label's prompts, scaled to length one.

    Args:
        rows: (labels, prompts, D) float32.

    Returns:
        (labels, D) float32, unit rows.
    """
    means = rows.mean(axis=1)
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)
