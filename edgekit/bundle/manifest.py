"""The manifest's records: every fact about a bundle, typed. Reading and writing them is `schema.py`'s work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SCHEMA_VERSION = 1

ResizeMode = Literal["shortest", "longest", "squash"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
Cleaning = Literal["none", "whitespace", "lower", "canonicalize", "siglip"]
Scores = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class FileRecord:
    """One member of the bundle: its POSIX path, size in bytes, and lower-case hexadecimal SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class SourceRecord:
    """Where the model came from: the URI given to the converter and the SHA-256 of its weights."""

    uri: str
    sha256: str


@dataclass(frozen=True)
class EmbeddingSpec:
    """The embedding space both towers write into.

    Attributes:
        space: id of the space; vectors of two different spaces must never be compared.
        dimension: length D of an embedding.
        logit_scale: factor on the cosine, already exponentiated (100.0 for OpenAI's CLIP).
        logit_bias: added after scaling (0.0 unless the model was trained with a sigmoid loss).
        scores: how the model was trained to turn logits into scores.
    """

    space: str
    dimension: int
    logit_scale: float
    logit_bias: float
    scores: Scores


@dataclass(frozen=True)
class ImageSpec:
    """How a photo becomes the image tower's pixels, as the checkpoint's own transform does it.

    Attributes:
        height: rows of the tower's input, in pixels.
        width: columns of the tower's input, in pixels.
        resize_mode: ``shortest`` resizes the shorter side and centre-crops, ``longest`` resizes the longer
            side and pads, ``squash`` ignores the aspect ratio.
        shortest_edge: for ``shortest`` with a square input, the length the shorter side is resized to before
            the centre crop (equal to ``height`` for CLIP, larger for a ``crop_pct`` below one). 0 otherwise.
        interpolation: the resampling filter, with antialiasing, as Pillow defines it.
        fill: RGB value in 0..255 of the padding of ``longest``, and of a crop larger than the image.
        mean: per-channel RGB mean in 0..1, subtracted inside the graph.
        std: per-channel RGB standard deviation in 0..1, divided by inside the graph.
    """

    height: int
    width: int
    resize_mode: ResizeMode
    shortest_edge: int
    interpolation: Interpolation
    fill: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class TextSpec:
    """How a text becomes token ids.

    Attributes:
        tokenizer: path of the tokenizer inside the bundle; truncation, padding and special tokens are in it.
        context_length: L, the number of ids a text is padded or truncated to.
        pad_id: id of the padding token.
        cleaning: what is done to the text before the tokenizer sees it, under open_clip's names.
        trim_padding: True when conversion proved that cutting columns that hold only padding leaves the
            embedding unchanged, so that a short text costs less than L tokens.
        templates: default prompt templates, each with one ``{}``, averaged for a label.
    """

    tokenizer: str
    context_length: int
    pad_id: int
    cleaning: Cleaning
    trim_padding: bool
    templates: tuple[str, ...]


@dataclass(frozen=True)
class TensorSpec:
    """A graph input or output. A dimension is a length, or a name where it may vary."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Agreement:
    """How far a tower's embeddings are from the float reference, over ``n`` inputs.

    Attributes:
        n: number of inputs.
        max_error: largest absolute difference of one component.
        cosine_min: smallest cosine between a row and its reference.
        cosine_mean: mean of those cosines.
        centred_min: smallest cosine after the reference's mean row is subtracted from both.
        centred_mean: mean of those.
    """

    n: int
    max_error: float
    cosine_min: float
    cosine_mean: float
    centred_min: float
    centred_mean: float


@dataclass(frozen=True)
class Tolerance:
    """What the golden check demands on a device: the least cosine and centred cosine of any golden row."""

    cosine_min: float
    centred_min: float


@dataclass(frozen=True)
class TowerRecord:
    """One tower of one variant.

    Attributes:
        artifact: path of the model file in the bundle.
        sidecars: paths of files the model file refers to by their base name (ONNX external data).
        input: the one input.
        output: the one output, ``embedding`` float32 (N, D), unit rows.
        fidelity: agreement with the float reference, measured when the variant was made.
        tolerance: what the golden check demands on a device.
    """

    artifact: str
    sidecars: tuple[str, ...]
    input: TensorSpec
    output: TensorSpec
    fidelity: Agreement
    tolerance: Tolerance


@dataclass(frozen=True)
class VariantRecord:
    """One precision and format of both towers.

    Attributes:
        id: name, unique in the bundle.
        format: artifact format, such as ``onnx``; a runtime says which formats it opens.
        target: what it was compiled for; ``any`` for a portable file.
        precision: field's name of the numeric type, such as ``fp32`` or ``int8``.
        image: the image tower.
        text: the text tower.
        toolchain: name and version of each tool that made it.
    """

    id: str
    format: str
    target: str
    precision: str
    image: TowerRecord
    text: TowerRecord
    toolchain: dict[str, str]


@dataclass(frozen=True)
class GoldenImage:
    """A real photo and the exact pixels its preprocessing must give, as a lossless PNG."""

    photo: str
    pixels: str


@dataclass(frozen=True)
class GoldenText:
    """A real text and the ids its tokenizer must give, without padding."""

    text: str
    token_ids: tuple[int, ...]


@dataclass(frozen=True)
class GoldenSpec:
    """Stored inputs with reference outputs of the float model.

    Attributes:
        images: the photos.
        texts: the texts.
        image_embeddings: path of a ``.npy``, float32 (len(images), D), unit rows.
        text_embeddings: path of a ``.npy``, float32 (len(texts), D), unit rows.
    """

    images: tuple[GoldenImage, ...]
    texts: tuple[GoldenText, ...]
    image_embeddings: str
    text_embeddings: str


@dataclass(frozen=True)
class Step:
    """One step of the chain that made the bundle; ``previous`` is the digest of the step before, or empty."""

    action: str
    details: dict[str, str]
    previous: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """Every fact about a bundle. ``files`` lists each member except the manifest itself."""

    schema_version: int
    name: str
    version: str
    license: str
    description: str
    source: SourceRecord
    embedding: EmbeddingSpec
    image: ImageSpec
    text: TextSpec
    variants: tuple[VariantRecord, ...]
    golden: GoldenSpec
    provenance: tuple[Step, ...]
    files: tuple[FileRecord, ...]
