"""A student's towers, ready to be trained and, later, to be written as graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from edgekit.bundle.manifest import Cleaning, ImageSpec


@dataclass(frozen=True)
class ImageTower:
    """An image encoder.

    Attributes:
        module: float32 (N, 3, H, W) RGB planes, normalized as `spec` says, to float32 (N, D).
        spec: preprocessing.
    """

    module: nn.Module
    spec: ImageSpec


@dataclass(frozen=True)
class TextTower:
    """A text encoder.

    Attributes:
        module: int64 (N, L) padded token ids, any L up to `context_length`, to float32 (N, D); padding changes nothing.
        tokenizer_json: of the `tokenizers` library, with truncation, padding and special tokens.
        context_length: L of a padded text.
        pad_id: id of the padding token.
        cleaning: what is done to a text before it is tokenized.
    """

    module: nn.Module
    tokenizer_json: str
    context_length: int
    pad_id: int
    cleaning: Cleaning


@dataclass(frozen=True)
class Student:
    """What learns: None for a tower that is kept."""

    image: ImageTower | None
    text: TextTower | None
