"""The inputs of a search: one set of images and texts, cut into parts that each serve one purpose."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import golden
from edgekit.converters.quantize import work
from edgekit.errors import InputError
from edgekit.evaluation.datasets import locate, open_dataset, split
from edgekit.locations import cache_dir
from edgekit.preprocess import preprocess_batch
from edgekit.text import TextEncoder, fill_templates

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.bundle.reader import Bundle
    from edgekit.evaluation.records import Dataset, Task

CALIBRATION, PROBE, SEARCH, HELD_OUT, GOLDEN = "calibration", "probe", "search", "held-out", "golden"
DEFAULT_SET = "stamps"
MIN_HELD_OUT, FEW_HELD_OUT = 8, 50
PROBE_ROWS = 32
_MAX_CALIBRATION, _MAX_SEARCH, _MAX_HELD_OUT = 64, 256, 768
_SHARES = (0.12, 0.33, 0.55)
_SEED = 0
_CHUNK = 32
# Prompts of one part; beyond this, fewer of the templates are used.
_MAX_PROMPTS = 1024


@dataclass(frozen=True)
class Limits:
    """Largest number of images in each part, so that the float towers alone do not use up the time."""

    calibration: int = _MAX_CALIBRATION
    search: int = _MAX_SEARCH
    held_out: int = _MAX_HELD_OUT


@dataclass(frozen=True)
class Part:
    """One part of the data.

    Attributes:
        digest: of its images and texts.
        images: how many.
        texts: how many; each has `prompts` rows of token ids.
        prompts: of each text.
        targets: for each image, the indices of its right texts; empty tuples where there are none.
    """

    digest: str
    images: int
    texts: int
    prompts: int
    targets: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Material:
    """The data of a search.

    Attributes:
        name: of the set.
        digest: of the whole set.
        task: what its texts are.
        parts: by name.
        notes: what the user has to know about it.
    """

    name: str
    digest: str
    task: Task
    parts: dict[str, Part]
    notes: tuple[str, ...]


def find(path_or_name: str | None) -> Path:
    """Find the data to search on.

    Args:
        path_or_name: a path or the name of a fetched set; None takes the set `DEFAULT_SET` where it was fetched.

    Returns:
        The path.

    Raises:
        InputError: there is none; the message says what gives some.
    """
    if path_or_name is not None:
        return locate(path_or_name)
    fetched = cache_dir() / "data" / DEFAULT_SET
    if not fetched.is_dir():
        raise InputError(
            f"data: none given; fetch real captioned photos with 'edgekit data fetch {DEFAULT_SET}', or name your own: "
            "--data FOLDER (best: photos like those the device will see)"
        )
    return fetched


def limits(minutes: float, photo_seconds: float) -> Limits:
    """Bound the parts so that one pass of the float image tower over the held-out part takes 4 % of the time."""
    held_out = int(0.04 * 60 * minutes / max(photo_seconds, 1e-6))
    held_out = min(_MAX_HELD_OUT, max(2 * FEW_HELD_OUT, held_out))
    return Limits(min(_MAX_CALIBRATION, held_out // 4), min(_MAX_SEARCH, held_out // 2), held_out)


def prepare_golden(bundle: Bundle, folder: Path) -> None:
    """Write the bundle's golden inputs as the part `GOLDEN`."""
    for tower in golden.TOWERS:
        _write(work.inputs(folder, tower, GOLDEN), [golden.inputs(bundle, tower)])


def prepare(bundle: Bundle, path: Path, folder: Path, bounds: Limits) -> Material:
    """Divide a set, and write each part's pixels and token ids into the search's folder.

    Args:
        bundle: says how pixels and ids are made.
        path: of the set.
        folder: of the search.
        bounds: of the parts.

    Returns:
        What each part holds.

    Raises:
        InputError: the set is unusable or too small.
        ImageError: an image cannot be read.
    """
    dataset = open_dataset(path)
    datasets = _divide(dataset, bounds)
    held_out = len(datasets[HELD_OUT].items)
    if held_out < MIN_HELD_OUT:
        raise InputError(
            f"{path}: {held_out} of its {len(dataset.items)} images are left to prove the result on, at least "
            f"{MIN_HELD_OUT} are needed; give more images"
        )
    notes = []
    if held_out < FEW_HELD_OUT:
        notes.append(
            f"only {held_out} held-out images: the agreement is known in steps of {1 / held_out:.1%}; give "
            f"{FEW_HELD_OUT * 2} images or more"
        )
    if dataset.task == "unlabelled":
        notes.append("the set has no texts: images are ranked against the labels of edgekit's everyday.txt")
    if dataset.task != "retrieval":
        notes.append(
            "every part has the same texts, the labels: the text tower is proven on those that its ranges come from; "
            "give captioned images to prove it on others"
        )
    encoder = TextEncoder(bytes(bundle.read(bundle.text.tokenizer)), bundle.text)
    parts = {name: _part(bundle, encoder, folder, name, part) for name, part in datasets.items()}
    for tower in golden.TOWERS:
        for named in (work.inputs, work.lengths):
            whole = named(folder, tower, SEARCH)
            if whole.exists():
                _write(named(folder, tower, PROBE), [np.array(np.load(whole, mmap_mode="r")[:PROBE_ROWS])])
    return Material(dataset.name, dataset.digest, dataset.task, parts, tuple(notes))


def _divide(dataset: Dataset, bounds: Limits) -> dict[str, Dataset]:
    total = len(dataset.items)
    wanted = [bounds.calibration, bounds.search, bounds.held_out]
    shares = [min(share, most / total) for share, most in zip(_SHARES, wanted, strict=True)]
    rest = 1 - sum(shares)
    if rest > 1e-6:
        shares.append(rest)
    else:
        shares[-1] = 1 - sum(shares[:-1])
    return dict(zip((CALIBRATION, SEARCH, HELD_OUT), split(dataset, shares, _SEED), strict=False))


def _part(bundle: Bundle, encoder: TextEncoder, folder: Path, name: str, dataset: Dataset) -> Part:
    spec = bundle.manifest.image
    items = dataset.items
    pixels = (
        preprocess_batch([item.read() for item in items[i : i + _CHUNK]], spec, decoding="exact", first=i)
        for i in range(0, len(items), _CHUNK)
    )
    _write(work.inputs(folder, "image", name), pixels, len(items))
    texts, templates = _texts(dataset, bundle.text.templates)
    prompts = [prompt for text in texts for prompt in (fill_templates(text, templates) if templates else [text])]
    ids = encoder.encode_trimmed(prompts)
    _write(work.inputs(folder, "text", name), [ids])
    if bundle.text.trim_padding:
        lengths = [encoder.encode_trimmed([prompt]).shape[1] for prompt in prompts]
        _write(work.lengths(folder, "text", name), [np.array(lengths, np.int32)])
    digest = dataset.digest
    if dataset.task == "unlabelled":
        digest = hashlib.sha256("\n".join([digest, *texts]).encode()).hexdigest()
    return Part(digest, len(items), len(texts), max(1, len(templates)), dataset.targets)


def _texts(dataset: Dataset, templates: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a part's texts, and the templates to fill with each; none for captions."""
    if dataset.task == "retrieval":
        return dataset.texts, ()
    texts = dataset.texts
    if dataset.task == "unlabelled":
        listed = (files("edgekit.samples.labels") / "everyday.txt").read_text(encoding="utf-8")
        texts = tuple(line.strip() for line in listed.splitlines() if line.strip())
    return texts, templates[: max(1, _MAX_PROMPTS // len(texts))]


def _write(path: Path, chunks: Iterable[npt.NDArray[Any]], total: int | None = None) -> None:
    """Write rows to a `.npy` file; with `total`, chunk by chunk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = None
    row = 0
    for chunk in chunks:
        if array is None:
            shape = (total or len(chunk), *chunk.shape[1:])
            array = np.lib.format.open_memmap(path, "w+", chunk.dtype, shape)
        array[row : row + len(chunk)] = chunk
        row += len(chunk)
    if array is not None:
        array.flush()
