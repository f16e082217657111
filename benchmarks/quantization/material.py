"""What every method is given: a bundle's float towers, inputs to calibrate on, and inputs nobody calibrated on."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.bundle.reader import open_bundle
from edgekit.errors import InputError
from edgekit.evaluation.datasets import open_dataset, split
from edgekit.preprocess import preprocess
from edgekit.text import TextEncoder, fill_templates

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.bundle.manifest import TowerRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.evaluation.records import Dataset

Batches = tuple["npt.NDArray[np.generic]", ...]
# The held-out part is that of `edgekit quantize`, whose search may then take part with what it delivered.
_PARTS, _SPLIT_SEED = (0.45, 0.55), 0


@dataclass(frozen=True)
class Inputs:
    """One example a batch.

    Attributes:
        pixels: uint8 (1, H, W, 3) RGB each.
        ids: int32 (1, l) each, l at most the context length: without padding where the model allows it.
        padded: the same, int32 (1, L) each.
    """

    pixels: Batches
    ids: Batches
    padded: Batches


@dataclass(frozen=True)
class Material:
    """What every contender gets.

    Attributes:
        name: the bundle's.
        masters: the float graph of each tower, ``image`` and ``text``.
        calibration: shown to methods that calibrate.
        held_out: what figures are taken on.
        targets: for each held-out image, the indices of its right texts.
        data: name and digest of the held-out data.
    """

    name: str
    masters: dict[str, Path]
    calibration: Inputs
    held_out: Inputs
    targets: tuple[tuple[int, ...], ...]
    data: tuple[str, str]


def prepare(bundle: Path, data: Path, folder: Path, *, calibrate: int, limit: int) -> Material:
    """Unpack a bundle's float towers and prepare its inputs.

    Args:
        bundle: has an fp32 ONNX variant.
        data: images with captions or labels.
        folder: where the graphs go.
        calibrate: largest number of images to calibrate on; of texts, all of that part are.
        limit: largest number of held-out images.

    Returns:
        The material.

    Raises:
        InputError: the bundle has no float variant.
    """
    opened = open_bundle(bundle)
    variant = next((v for v in opened.manifest.variants if v.precision == "fp32" and v.format == "onnx"), None)
    if variant is None:
        raise InputError(f"{bundle}: has no fp32 ONNX variant; convert it with --weights float32")
    masters = {str(tower): _unpack(opened, record, folder / tower, tower) for tower, record in variant.towers.items()}
    calibration, held_out = split(open_dataset(data), _PARTS, _SPLIT_SEED)
    encoder = TextEncoder(bytes(opened.read(opened.text.tokenizer)), opened.text)
    return Material(
        opened.manifest.name,
        masters,
        _inputs(opened, encoder, calibration, calibrate),
        _inputs(opened, encoder, held_out, limit),
        held_out.targets[:limit],
        (held_out.name, held_out.digest),
    )


def _inputs(bundle: Bundle, encoder: TextEncoder, data: Dataset, limit: int) -> Inputs:
    spec = bundle.manifest.image
    pixels = tuple(preprocess(io.BytesIO(item.read()).getvalue(), spec)[None] for item in data.items[:limit])
    # A single template: the comparison is of towers, and every method reads the same texts.
    template = bundle.text.templates[:1]
    named = data.task == "classification"
    texts = [fill_templates(text, template)[0] if named else text for text in data.texts]
    ids = tuple(encoder.encode_trimmed([text])[0] for text in texts)
    return Inputs(pixels, tuple(np.atleast_2d(row) for row in ids), tuple(encoder.encode([text]) for text in texts))


def _unpack(bundle: Bundle, record: TowerRecord, folder: Path, tower: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for path in record.sidecars:
        (folder / path.rpartition("/")[2]).write_bytes(bundle.read(path))
    graph = folder / f"{tower}.onnx"
    graph.write_bytes(bundle.read(record.artifact))
    return graph
