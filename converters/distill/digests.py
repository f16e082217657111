"""Digests of what a distillation depends on."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def texts_digest(texts: Sequence[str]) -> str:
    """Return the SHA-256 of texts in order, each as JSON on a line of its own; 64 lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{json.dumps(text)}\n".encode())
    return digest.hexdigest()
