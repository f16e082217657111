"""The manifest's records: every fact about a bundle, typed. Reading and writing them is `schema.py`'s work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.bundle.label_records import LabelFiles, LabelSpec

SCHEMA_VERSION = 1

TowerName = Literal["image", "text"]
ResizeMode = Literal["shortest", "longest", "squash"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
CropRounding = Literal["half_even", "floor"]
Cleaning = Literal["none", "whitespace", "lower", "canonicalize", "siglip"]
Scores = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class FileRecord:
    """One member of the bundle.

    Attributes:
        path: relative POSIX path in the bundle.
        size: in bytes.
        sha256: of its bytes, 64 lower-case hexadecimal digits.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class SourceRecord:
    """Where the model came from.

    Attributes:
        uri: as given to the converter, such as ``open_clip:RN50``.
        sha256: of the weights, 64 lower-case hexadecimal digits; the same for every bundle of one checkpoint.
    """

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
            the centre crop (equal to ``height`` for CLIP, larger for a ``crop_pct`` below one). For ``squash``, the
            side of the square that is cropped afterwards (ALIGN), or 0 where nothing is cropped. 0 otherwise.
        interpolation: the resampling filter, with antialiasing, as Pillow defines it.
        fill: RGB value in 0..255 of the padding of ``longest``, and of a crop larger than the image.
        mean: per-channel RGB mean in 0..1, subtracted inside the graph.
        std: per-channel RGB standard deviation in 0..1, divided by inside the graph.
        crop_rounding: where an odd remainder puts the crop's origin: torchvision and open_clip round half to even,
            transformers rounds down.
    """

    height: int
    width: int
    resize_mode: ResizeMode
    shortest_edge: int
    interpolation: Interpolation
    fill: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop_rounding: CropRounding = "half_even"


@dataclass(frozen=True)
class TextSpec:
    """How a text becomes token ids.

    Attributes:
        tokenizer: path of the tokenizer inside the bundle; truncation, padding and special tokens are in it.
        context_length: L, the number of ids a text is padded or truncated to.
        pad_id: id of the padding token, in 0..2147483647, as every id.
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
    """A graph input or output.

    Attributes:
        name: in the graph.
        dtype: NumPy's name of the element type, such as ``uint8``.
        shape: a length per dimension, or a name where it may vary.
    """

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
    """What the golden check demands on a device.

    Attributes:
        cosine_min: the least cosine, in -1..1, of any golden row.
        centred_min: the least centred cosine, in -1..1, of any golden row.
    """

    cosine_min: float
    centred_min: float


@dataclass(frozen=True)
class TowerRecord:
    """One tower of one variant.

    Attributes:
        artifact: path of the model file in the bundle.
        sidecars: paths of files the model file refers to by their base name (ONNX external data), or that an engine
            takes beside it; no two with the same.
        input: the one input; by contract ``pixels`` uint8 (N, H, W, 3) RGB, or ``token_ids`` int32 (N, L). What a chip
            takes instead, another type or channels first, the SDK makes of it; see `edgekit.adapting`.
        output: the one output, ``embedding`` float32 (N, D), unit rows; or ``projection``, rows of any length, which
            the SDK brings to length one.
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
class Share:
    """A share of cases, such as a top-1 agreement.

    Attributes:
        value: in 0..1.
        error: standard error of `value`, by the bootstrap over cases.
        n: number of cases.
    """

    value: float
    error: float
    n: int


@dataclass(frozen=True)
class Retrieval:
    """Agreement of one direction of retrieval with the float reference.

    Attributes:
        top1: queries whose best match is the reference's.
        top5: mean share of the reference's five best matches that are among the five best (of all, where there are
            fewer than five).
    """

    top1: Share
    top5: Share


@dataclass(frozen=True)
class Fidelity:
    """Agreement of a variant with the float reference on named data that took no part in choosing the variant.

    Attributes:
        data: name of the data.
        digest: SHA-256 of the data, 64 lower-case hexadecimal digits.
        image: of the image tower's embeddings.
        text: of the text tower's embeddings.
        image_to_text: for each image, ranking all texts.
        text_to_image: for each text, ranking all images.
    """

    data: str
    digest: str
    image: Agreement
    text: Agreement
    image_to_text: Retrieval
    text_to_image: Retrieval


@dataclass(frozen=True)
class VariantRecord:
    """One precision and format of the towers.

    Attributes:
        id: name, one line, unique in the bundle.
        format: artifact format, such as ``onnx``; a runtime says which formats it opens.
        target: what it was compiled for; ``any`` for a portable file.
        precision: field's name of the numeric type, such as ``fp32`` or ``int8``.
        image: the image tower.
        text: the text tower; None in a bundle whose labels are frozen, unless the tower was kept.
        toolchain: name and version of each tool that made it.
        quantization: path of the JSON member that says how each group of weights is stored and computed, for targets
            that quantize again; empty for a float variant.
        fidelity: agreement on data larger than the golden vectors; None where it was not measured.
        labels: the arrays that score frozen labels; None in a bundle without them.
    """

    id: str
    format: str
    target: str
    precision: str
    image: TowerRecord
    text: TowerRecord | None
    toolchain: dict[str, str]
    quantization: str = ""
    fidelity: Fidelity | None = None
    labels: LabelFiles | None = None

    @property
    def towers(self) -> dict[TowerName, TowerRecord]:
        """The towers that it has, by name; the image tower first."""
        return {"image": self.image} if self.text is None else {"image": self.image, "text": self.text}


@dataclass(frozen=True)
class GoldenImage:
    """A real photo and the exact pixels its preprocessing must give.

    Attributes:
        photo: path of the photo, as a camera or a phone would store it.
        pixels: path of a PNG, ``width`` x ``height`` RGB: the image tower's input.
    """

    photo: str
    pixels: str


@dataclass(frozen=True)
class GoldenText:
    """A real text and the ids its tokenizer must give.

    Attributes:
        text: as a user would type it.
        token_ids: without padding, at most ``context_length`` of them.
    """

    text: str
    token_ids: tuple[int, ...]


@dataclass(frozen=True)
class GoldenSpec:
    """Stored inputs with reference outputs of the float model.

    Attributes:
        images: the photos.
        texts: the texts; none in a bundle without a text tower.
        image_embeddings: path of a ``.npy``, float32 (len(images), D), unit rows.
        text_embeddings: path of a ``.npy``, float32 (len(texts), D), unit rows; empty without texts.
    """

    images: tuple[GoldenImage, ...]
    texts: tuple[GoldenText, ...]
    image_embeddings: str
    text_embeddings: str


@dataclass(frozen=True)
class Step:
    """One step of the chain that made the bundle.

    Attributes:
        action: what was done, such as ``convert``.
        details: settings, versions and digests, as text.
        previous: ``digest`` of the step before; empty for the first.
        digest: SHA-256, in hexadecimal, of the JSON text of ``[action, details, previous]`` as Python's ``json.dumps``
            writes it with sorted keys and its other defaults: ``", "`` and ``": "`` between items, ASCII only.
    """

    action: str
    details: dict[str, str]
    previous: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """Every fact about a bundle.

    Attributes:
        schema_version: of this format; a reader refuses a larger one than it knows.
        name: of the model, one line, not empty.
        version: of the bundle, one line.
        license: of the weights, one line; an SPDX expression where there is one.
        description: what the model is for.
        source: where it came from.
        embedding: the space both towers write into.
        image: preprocessing of photos.
        text: preprocessing of texts; None in a bundle without a text tower, which has frozen labels then.
        variants: at least one, with distinct ids.
        golden: stored inputs and reference outputs, at least one photo, and one text where there is a text tower.
        provenance: the steps that made the bundle, first to last, at least one.
        files: every member except the manifest itself.
        labels: the vocabulary frozen into the bundle; None where there is none.
    """

    schema_version: int
    name: str
    version: str
    license: str
    description: str
    source: SourceRecord
    embedding: EmbeddingSpec
    image: ImageSpec
    text: TextSpec | None
    variants: tuple[VariantRecord, ...]
    golden: GoldenSpec
    provenance: tuple[Step, ...]
    files: tuple[FileRecord, ...]
    labels: LabelSpec | None = None
