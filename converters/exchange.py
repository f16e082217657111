"""What the parent and the child processes of a conversion tell each other, as JSON files in the work folder.

Frameworks and engines can crash, or leave gigabytes behind: each runs in a process of its own, and the process that
writes the bundle imports none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.bundle import schema
from edgekit.bundle.manifest import Cleaning, ImageSpec, Scores, Step, TensorSpec, TextSpec
from edgekit.text import TextEncoder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

REQUEST, FACTS, SHAPES = "request.json", "facts.json", "shapes.json"
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Request:
    """What to convert.

    Attributes:
        source: such as ``open_clip:ViT-B-32:/path/to/weights.safetensors``.
        tokenizer: local tokenizer file or folder, or an empty string.
        photos: files to compare the image tower on.
        texts: texts to compare the text tower on.
    """

    source: str
    tokenizer: str
    photos: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """What the export process learnt about the source; see `records.SourceModel` for the fields."""

    name: str
    license: str
    description: str
    weights_sha256: str
    dimension: int
    logit_scale: float
    logit_bias: float
    scores: Scores
    image: ImageSpec
    context_length: int
    pad_id: int
    cleaning: Cleaning
    templates: tuple[str, ...]
    storage: dict[str, str]
    toolchain: dict[str, str]
    space: str
    history: tuple[Step, ...]
    sections: dict[str, str]
    attachments: dict[str, str]
    unjudged: tuple[str, ...]


@dataclass(frozen=True)
class Tensors:
    """Input and output of one exported tower."""

    input: TensorSpec
    output: TensorSpec


@dataclass(frozen=True)
class Shapes:
    """The tensors of both towers, as the engine sees them, and the engine's version."""

    image: Tensors
    text: Tensors
    engine: str


def master(folder: Path, tower: str) -> Path:
    """Return the path of a tower's float graph in the work folder."""
    return folder / "float32" / f"{tower}.onnx"


def array(folder: Path, name: str) -> Path:
    """Return the path of a stored array in the work folder."""
    return folder / f"{name}.npy"


def read_request(folder: Path) -> Request:
    """Return what the work folder's conversion was asked for."""
    return schema.loads(Request, (folder / REQUEST).read_bytes(), REQUEST)


def read_facts(folder: Path) -> Facts:
    """Return what the export process learnt."""
    return schema.loads(Facts, (folder / FACTS).read_bytes(), FACTS)


def text_spec(facts: Facts, *, trim_padding: bool) -> TextSpec:
    """Return the bundle's text settings for a source's facts."""
    return TextSpec(
        tokenizer=f"text/{TOKENIZER}",
        context_length=facts.context_length,
        pad_id=facts.pad_id,
        cleaning=facts.cleaning,
        trim_padding=trim_padding,
        templates=facts.templates,
    )


def encoder(folder: Path, *, trim_padding: bool) -> TextEncoder:
    """Return the SDK's own encoder over the exported tokenizer."""
    spec = text_spec(read_facts(folder), trim_padding=trim_padding)
    return TextEncoder((folder / TOKENIZER).read_bytes(), spec)


def trimmed_ids(folder: Path) -> list[npt.NDArray[np.int32]]:
    """Return the ids of each of the request's texts without padding, as the SDK gives them."""
    encode = encoder(folder, trim_padding=True).encode_trimmed
    return [encode([text])[0] for text in read_request(folder).texts]
