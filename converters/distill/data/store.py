"""A store of teachers' embeddings: shards that are whole or absent, each with its digest in ``index.json``.

``STORE/TEACHER/KIND-KEY/`` holds one set. Names and keys come from contents alone, so a store may be copied to another
machine and serves the same images there, wherever they lie and whatever they are called.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import time
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edgekit.atomic import atomic_file, write_bytes
from edgekit.bundle import schema
from edgekit.bundle.manifest import FileRecord
from edgekit.converters.distill.data.store_records import Cost, Index, Shard, Subject
from edgekit.errors import BundleError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

INDEX = "index.json"
_LOCK = ".lock"
# A shard ends with whichever comes first, so that a kill costs a minute of a slow teacher, and a fast one's files are
# few. Rows are computed in steps that the teacher's own batches divide.
SHARD_ITEMS, SHARD_SECONDS, STEP = 1024, 60.0, 16


class Compute(Protocol):
    """Computes embeddings."""

    def __call__(self, start: int, stop: int) -> tuple[Floats, Floats | None]:
        """Return rows (stop - start, views, D) and the views' parameters of some images or texts."""


@dataclass(frozen=True)
class Filling:
    """How a set is made.

    Attributes:
        variant: of the teacher that computes it, for the record.
        columns: names of the views' parameters.
        compute: gives the rows.
        on_progress: called with the number of items done, and of all.
    """

    variant: str
    columns: tuple[str, ...]
    compute: Compute
    on_progress: Callable[[int, int], None]


def folder_of(home: Path, subject: Subject) -> Path:
    """Return where a set lies in its teacher's folder."""
    return home / f"{subject.kind}-{hashlib.sha256(schema.dumps(subject).encode()).hexdigest()[:16]}"


def data_digest(digests: Sequence[str]) -> str:
    """Hash the contents of a set, ordered as its rows are."""
    return hashlib.sha256("".join(f"{one}\n" for one in digests).encode()).hexdigest()


def missing(home: Path, subject: Subject) -> int:
    """Return how many items of a set have no rows yet."""
    folder = folder_of(home, subject)
    return subject.count - (_read(folder, subject).done if (folder / INDEX).exists() else 0)


def fill(home: Path, subject: Subject, filling: Filling) -> None:
    """Compute what a set lacks; what an interrupted run finished is kept.

    Args:
        home: the teacher's folder; created.
        subject: what is embedded.
        filling: how.

    Raises:
        InputError: the index cannot be understood.
        OSError: the disk is full.
    """
    folder = folder_of(home, subject)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        index = Index(subject, filling.variant, filling.columns, ())
        if (folder / INDEX).exists():
            index = _read(folder, subject)
        while index.done < subject.count:
            shard = _next_shard(folder, subject, index.done, filling)
            index = replace(index, shards=(*index.shards, shard))
            # Last: files that it does not list are as good as absent.
            write_bytes(folder / INDEX, schema.dumps(index).encode())


def find(home: Path, subject: Subject) -> Index:
    """Return the index of a complete set.

    Args:
        home: the teacher's folder.
        subject: what must have been embedded.

    Returns:
        The index.

    Raises:
        InputError: there is none, or it is not complete; the message says how the nearest one differs.
    """
    folder = folder_of(home, subject)
    if not (folder / INDEX).exists():
        raise InputError(_difference(home, subject))
    index = _read(folder, subject)
    if index.done < subject.count:
        raise InputError(
            f"{folder}: holds {index.done} of {subject.count} {subject.kind}; run the command that makes it again, and"
            " it goes on from there"
        )
    return index


def load(home: Path, subject: Subject) -> Iterator[tuple[slice, npt.NDArray[np.generic], Floats | None]]:
    """Read a complete set, shard by shard, each checked against its digest before a number of it is used.

    Args:
        home: the teacher's folder.
        subject: what was embedded.

    Yields:
        Which items a shard holds; their rows (count, views, D), of `Subject.dtype`; and the parameters of the views.

    Raises:
        InputError: the set is not there, or a file is damaged; the message names it.
    """
    folder = folder_of(home, subject)
    for shard in find(home, subject).shards:
        rows = _checked(folder, shard.rows)
        if rows.shape != (shard.count, subject.views, subject.dimension) or rows.dtype != subject.dtype:
            raise InputError(f"{folder / shard.rows.path}: is {rows.dtype} {rows.shape}; remove {folder}")
        views = None if shard.views is None else _checked(folder, shard.views)
        yield slice(shard.start, shard.start + shard.count), rows, views


def cost(home: Path, subject: Subject) -> Cost:
    """Return what a complete set cost."""
    shards = find(home, subject).shards
    return Cost(
        items=subject.count * subject.views,
        seconds=sum(shard.seconds for shard in shards),
        cpu_seconds=sum(shard.cpu_seconds for shard in shards),
        size=sum(file.size for shard in shards for file in (shard.rows, shard.views) if file is not None),
    )


def _next_shard(folder: Path, subject: Subject, start: int, filling: Filling) -> Shard:
    began, cpu = time.monotonic(), time.process_time()
    rows: list[Floats] = []
    views: list[Floats] = []
    done = start
    # One step at least: a machine may sleep in between.
    while done == start or (
        done < subject.count and done - start < SHARD_ITEMS and time.monotonic() - began < SHARD_SECONDS
    ):
        stop = min(done + STEP, subject.count)
        found, parameters = filling.compute(done, stop)
        rows.append(found)
        if parameters is not None:
            views.append(parameters)
        done = stop
        filling.on_progress(done, subject.count)
    return Shard(
        start=start,
        count=done - start,
        rows=_save(folder, f"rows-{start:08d}.npy", np.concatenate(rows).astype(subject.dtype)),
        views=_save(folder, f"views-{start:08d}.npy", np.concatenate(views)) if views else None,
        seconds=round(time.monotonic() - began, 3),
        cpu_seconds=round(time.process_time() - cpu, 3),
    )


def _save(folder: Path, name: str, array: npt.NDArray[np.generic]) -> FileRecord:
    stream = io.BytesIO()
    np.save(stream, array)
    data = stream.getvalue()
    with atomic_file(folder / name) as file:
        file.write(data)
    return FileRecord(name, len(data), hashlib.sha256(data).hexdigest())


def _checked(folder: Path, record: FileRecord) -> npt.NDArray[np.float32]:
    path = folder / record.path
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; remove {folder} and run again") from error
    if len(data) != record.size or hashlib.sha256(data).hexdigest() != record.sha256:
        raise InputError(f"{path}: its SHA-256 is not the index's, the file is damaged; remove {folder} and run again")
    return np.asarray(np.load(io.BytesIO(data)))


def _read(folder: Path, subject: Subject) -> Index:
    index = _parse(folder / INDEX)
    if index.subject != subject:
        raise InputError(f"{folder / INDEX}: {_told(index.subject, subject)}; remove {folder}")
    place = 0
    for shard in index.shards:
        if shard.start != place or shard.count < 1 or "/" in shard.rows.path + (shard.views or shard.rows).path:
            raise InputError(f"{folder / INDEX}: its shards do not follow one another; remove {folder} and run again")
        place += shard.count
    return index


def _parse(path: Path) -> Index:
    try:
        return schema.loads(Index, path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except BundleError as error:
        raise InputError(f"{error}; remove {path.parent} and run again") from error


def _difference(home: Path, subject: Subject) -> str:
    """Say how the most similar set that is there differs from the one wanted."""
    found = [_parse(path).subject for path in sorted(home.glob(f"{subject.kind}-*/{INDEX}"))]
    if not found:
        return f"{home}: holds no embeddings of {subject.kind}; compute them with --embed-only, or name the model"
    nearest = min(found, key=lambda other: len(_differing(other, subject)))
    return f"{home}: its embeddings of {subject.kind} do not fit the recipe: {_told(nearest, subject)}"


def _differing(found: Subject, wanted: Subject) -> list[str]:
    return [field.name for field in fields(Subject) if getattr(found, field.name) != getattr(wanted, field.name)]


def _told(found: Subject, wanted: Subject) -> str:
    return "; ".join(
        f"{name} is {getattr(found, name)} there, {getattr(wanted, name)} here" for name in _differing(found, wanted)
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process writes into a set; the system ends the wait whatever becomes of the other."""
    with (folder / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
