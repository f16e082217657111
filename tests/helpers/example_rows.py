"""Embeddings of labelled examples that a head can learn from."""

from __future__ import annotations

import numpy as np

from edgekit.converters.specialize.examples import Examples


def clusters(count: int, labels: int = 3, noise: float = 0.4, seed: int = 0, dimension: int = 6) -> Examples:
    """Unit rows around one centre for each label, and logits that know nothing."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(labels, dimension))
    classes = np.arange(count) % labels
    rows = centres[classes] + noise * random.normal(size=(count, dimension))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Examples(rows, classes, random.normal(size=(count, labels)))
