"""What a source hands to the converter: two towers, how to feed them, and references to check against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from edgekit.bundle.manifest import Cleaning, ImageSpec, Scores, Step


@dataclass(frozen=True)
class SourceOptions:
    """What the user may add to a source's name.

    Attributes:
        tokenizer: local tokenizer file or folder, used instead of the one that a hub holds.
    """

    tokenizer: Path | None = None


class Tower(Protocol):
    """One tower, able to write itself as a contract ONNX graph and to give reference embeddings.

    The contract: image input ``pixels`` uint8 (N, H, W, 3) RGB, or text input ``token_ids`` int32 (N, L); output
    ``embedding`` float32 (N, D), unit rows; opset 17; dynamic batch; no infinite constant.
    """

    def export(self, path: Path) -> None:
        """Write the graph to `path`, with weights in ``<path name>.data`` beside it (ONNX external data)."""

    def reference(self, batch: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Return (N, D) float32 unit rows for one contract input, computed by the source framework."""


@dataclass(frozen=True)
class TextPipeline:
    """How the source turns text into ids.

    Attributes:
        tokenizer_json: JSON of the `tokenizers` library, with truncation, padding and special tokens enabled.
        context_length: L.
        pad_id: id of the padding token.
        cleaning: what happens to the text before the JSON's tokenizer sees it.
        reference: the source's own tokenizer; texts to (N, L) int32 ids, padded.
    """

    tokenizer_json: str
    context_length: int
    pad_id: int
    cleaning: Cleaning
    reference: Callable[[Sequence[str]], npt.NDArray[np.int32]]


@dataclass(frozen=True)
class SourceModel:
    """A dual encoder ready to be converted.

    Attributes:
        name: short name for the bundle.
        license: SPDX id, or ``unknown`` where the checkpoint does not say.
        description: one line.
        weights_sha256: hexadecimal SHA-256 over the weights of both towers, names and values.
        dimension: D.
        logit_scale: exponentiated factor on the cosine.
        logit_bias: added after scaling.
        scores: ``softmax`` or ``sigmoid``, as the model was trained.
        image: preprocessing, complete.
        image_tower: the image tower.
        image_reference: the checkpoint's own transform up to, and without, scaling and normalisation: an upright
            RGB Pillow image to (H, W, 3) uint8.
        text: the text pipeline.
        text_tower: the text tower.
        templates: prompt templates, each with one ``{}``.
        toolchain: name and version of each package involved.
        storage: per tower, how its weights are stored: a name of `edgekit.converters.compress`.
        space: id of the embedding space; empty derives it from `weights_sha256`.
        history: the steps that made the source, where they are known; ``convert`` follows them.
        sections: of the card, Markdown by title, after what the conversion measured.
        attachments: files that go into the bundle, by their path in it, such as the pictures of a section.
        unjudged: towers whose agreement is measured but not judged, since they were proven before, as one that a
            student keeps from a quantized bundle.
    """

    name: str
    license: str
    description: str
    weights_sha256: str
    dimension: int
    logit_scale: float
    logit_bias: float
    scores: Scores
    image: ImageSpec
    image_tower: Tower
    image_reference: Callable[[Image.Image], npt.NDArray[np.uint8]]
    text: TextPipeline
    text_tower: Tower
    templates: tuple[str, ...]
    toolchain: dict[str, str]
    storage: Mapping[str, str] = field(default_factory=lambda: {"image": "float32", "text": "float32"})
    space: str = ""
    history: tuple[Step, ...] = ()
    sections: Mapping[str, str] = field(default_factory=dict)
    attachments: Mapping[str, Path] = field(default_factory=dict)
    unjudged: tuple[str, ...] = ()
