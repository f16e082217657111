"""WebDataset shards, as img2dataset and clip_benchmark write them: ``00000.tar`` with ``key.jpg`` and ``key.txt``.

Members that share the part of their path before the first dot of the file's name belong together (WebDataset's own
rule); the rest, in lower case, says what a member is.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.evaluation.assembly import Entry, Listing
from edgekit.evaluation.files import IMAGE_SUFFIXES, captions_of, decode_text, read_text
from edgekit.evaluation.records import Item
from edgekit.evaluation.tar_index import Member, index, read_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.evaluation.records import Task

CLASS_NAMES = "classnames.txt"
_IMAGES = frozenset(suffix[1:] for suffix in IMAGE_SUFFIXES)
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_Sample = dict[str, Member]


def expand(pattern: str) -> list[Path]:
    """Write out a pattern such as ``data/{000..003}.tar``; a range keeps the width of its first number."""
    match = _RANGE.search(pattern)
    if match is None:
        return [Path(pattern)]
    first, last = match[1], match[2]
    if int(first) > int(last):
        raise InputError(f"{pattern}: the range {match[0]} runs backwards")
    before, after = pattern[: match.start()], pattern[match.end() :]
    numbers = range(int(first), int(last) + 1)
    return [path for number in numbers for path in expand(f"{before}{number:0{len(first)}}{after}")]


def is_pattern(name: str) -> bool:
    """Tell whether a name has a range in braces."""
    return _RANGE.search(name) is not None


def shards(paths: Sequence[Path], task: Task | None = None) -> Listing:
    """List the images of shards with their captions or classes; nothing is extracted.

    Args:
        paths: uncompressed tar archives.
        task: what to take where there are classes and captions; ``unlabelled`` takes neither.

    Returns:
        Images in the order of the shards. Captions are the lines of ``key.txt``, or the ``caption`` in ``key.json``.
        Classes are the numbers in ``key.cls``, whose names are the lines of a `CLASS_NAMES` beside the shards or one
        folder above; or the words in ``key.cls``, sorted.

    Raises:
        InputError: a shard is missing, compressed or damaged, or a member is missing, double or empty; the message
            names it.
    """
    samples = [(path, key, sample) for path in paths for key, sample in _samples(path).items()]
    if not samples:
        raise InputError(f"{paths[0]}: holds no {', '.join(sorted(_IMAGES))} with a caption or class")
    chosen = task or _task(samples)
    entries = []
    for path, key, sample in samples:
        image = next((sample[kind] for kind in sample if kind in _IMAGES), None)
        if image is None:
            raise InputError(f"{path}: {key}: has {', '.join(f'.{kind}' for kind in sample)} and no image")
        item = Item(f"{path.name}: {image.name}", path, image.offset, image.size)
        if chosen == "retrieval":
            entries.append(Entry(item, _captions(path, key, sample)))
        elif chosen == "classification":
            entries.append(Entry(item, (_class(path, key, sample),)))
        else:
            entries.append(Entry(item, ()))
    if chosen != "classification":
        return Listing(chosen, tuple(entries))
    return _with_names(paths[0], entries)


def _samples(path: Path) -> dict[str, _Sample]:
    """Group a shard's members of known kinds by key, in the order of the archive."""
    samples: dict[str, _Sample] = {}
    for member in index(path):
        folder, slash, name = member.name.rpartition("/")
        stem, _, kind = name.partition(".")
        kind = kind.lower()
        if not stem or kind not in {*_IMAGES, "txt", "json", "cls"}:
            continue
        sample = samples.setdefault(f"{folder}{slash}{stem}", {})
        if kind in sample or (kind in _IMAGES and not _IMAGES.isdisjoint(sample)):
            raise InputError(f"{path}: {member.name}: the key is there twice; every image needs its own")
        sample[kind] = member
    return samples


def _task(samples: list[tuple[Path, str, _Sample]]) -> Task:
    classes = any("cls" in sample for _, _, sample in samples)
    texts = any("txt" in sample for _, _, sample in samples)
    if classes and texts:
        raise InputError(f"{samples[0][0]}: has classes and captions; give --task classification or --task retrieval")
    if classes:
        return "classification"
    if texts or any("json" in sample and _json_captions(path, sample["json"]) for path, _, sample in samples):
        return "retrieval"
    return "unlabelled"


def _captions(path: Path, key: str, sample: _Sample) -> tuple[str, ...]:
    if "txt" in sample:
        return captions_of(_text(path, sample["txt"]), f"{path}: {sample['txt'].name}")
    if "json" in sample:
        found = _json_captions(path, sample["json"])
        if found:
            return found
        raise InputError(f"{path}: {sample['json'].name}: its caption is missing or empty")
    raise InputError(f"{path}: {key}: has no caption; looked for {key}.txt and {key}.json")


def _json_captions(path: Path, member: Member) -> tuple[str, ...]:
    where = f"{path}: {member.name}"
    try:
        record = json.loads(_text(path, member))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: is not JSON: {error}") from error
    given = record.get("caption") if isinstance(record, dict) else None
    captions = given if isinstance(given, list) else [given]
    return tuple(caption.strip() for caption in captions if isinstance(caption, str) and caption.strip())


def _class(path: Path, key: str, sample: _Sample) -> str:
    if "cls" not in sample:
        raise InputError(f"{path}: {key}: has no class; looked for {key}.cls")
    name = _text(path, sample["cls"]).strip()
    if not name:
        raise InputError(f"{path}: {sample['cls'].name}: the class is empty")
    return name


def _with_names(shard: Path, entries: list[Entry]) -> Listing:
    """Turn class numbers into names; words are names already."""
    found = sorted({entry.texts[0] for entry in entries})
    if not all(name.isdecimal() for name in found):
        return Listing("classification", tuple(entries), tuple(found))
    places = (shard.parent / CLASS_NAMES, shard.absolute().parent.parent / CLASS_NAMES)
    names_file = next((place for place in places if place.is_file()), None)
    if names_file is None:
        raise InputError(f"{shard}: its .cls files hold numbers; write the classes' names, one a line, to {places[0]}")
    names = tuple(line.strip() for line in read_text(names_file).rstrip().splitlines())
    if "" in names:
        line = names.index("") + 1
        raise InputError(f"{names_file}: line {line} is empty; the numbers count lines, so each line needs a name")
    if len(set(names)) != len(names):
        raise InputError(f"{names_file}: names a class twice")
    largest = max(int(name) for name in found)
    if largest >= len(names):
        raise InputError(f"{names_file}: names {len(names)} classes, but {shard.name} or another shard has {largest}")
    return Listing(
        "classification", tuple(Entry(entry.item, (names[int(entry.texts[0])],)) for entry in entries), names
    )


def _text(path: Path, member: Member) -> str:
    return decode_text(read_at(path, member.offset, member.size), f"{path}: {member.name}")
