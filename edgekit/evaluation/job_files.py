"""A job and its result as files, so that they can pass to another process and back."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from edgekit.bundle.schema import to_plain
from edgekit.errors import ExecutionError, ImageError
from edgekit.evaluation.embedding import EmbeddedImages
from edgekit.evaluation.job import Embedded, Job
from edgekit.evaluation.records import Dataset, Item
from edgekit.runtimes.protocol import SessionSettings

if TYPE_CHECKING:
    from edgekit.judging import Choice

_JOB, _RESULT = "job.json", "result.npz"


def write_job(folder: Path, bundle: Path, choice: Choice, job: Job) -> None:
    """Write what the other process is to do.

    Args:
        folder: for both processes alone.
        bundle: path of the bundle.
        choice: variant, runtime and device.
        job: what to embed.
    """
    dataset = job.dataset
    plain = {
        "bundle": str(bundle.absolute()),
        "choice": [choice.variant.id, choice.runtime.name, choice.device],
        "items": [[i.name, str(i.path.absolute()), i.offset, i.size, i.sha256] for i in dataset.items],
        "dataset": [dataset.name, dataset.digest, dataset.task, dataset.texts, dataset.targets],
        "templates": job.templates,
        "settings": to_plain(job.settings),
        "decoding": job.decoding,
        "strict": job.strict,
        "frozen": job.frozen,
    }
    # ASCII carries file names of any bytes.
    (folder / _JOB).write_text(json.dumps(plain), encoding="ascii")


def read_job(folder: Path) -> tuple[Path, tuple[str, str, str], Job]:
    """Return the bundle's path, variant, runtime and device, and the job, as `write_job` wrote them."""
    plain: dict[str, Any] = json.loads((folder / _JOB).read_text(encoding="ascii"))
    items = tuple(Item(name, Path(path), *rest) for name, path, *rest in plain["items"])
    name, digest, task, texts, targets = plain["dataset"]
    dataset = Dataset(name, digest, task, items, tuple(texts), tuple(tuple(target) for target in targets))
    options = tuple((key, value) for key, value in plain["settings"].pop("options"))
    settings = SessionSettings(**plain["settings"], options=options)
    job = Job(dataset, tuple(plain["templates"]), settings, plain["decoding"], plain["strict"], plain["frozen"])
    return Path(plain["bundle"]), cast("tuple[str, str, str]", tuple(plain["choice"])), job


def write_result(folder: Path, found: Embedded) -> None:
    """Write the embeddings, and the photos that could not be decoded."""
    images, ranking = found.images, found.ranking
    facts = json.dumps({"broken": [str(error) for error in images.broken], "seconds": images.seconds})
    none = np.empty((0, 0))
    np.savez(
        folder / _RESULT,
        images=images.rows,
        kept=np.array(images.kept, np.int64),
        texts=found.texts,
        queries=none if ranking is None else ranking[0],
        gallery=none if ranking is None else ranking[1],
        facts=np.frombuffer(facts.encode("ascii"), np.uint8),
    )


def read_result(folder: Path) -> Embedded:
    """Read what `write_result` wrote.

    Args:
        folder: that both processes know.

    Returns:
        The embeddings.

    Raises:
        ExecutionError: there is no whole result.
    """
    try:
        with np.load(folder / _RESULT, allow_pickle=False) as stored:
            facts = json.loads(bytes(stored["facts"]))
            broken = tuple(ImageError(text) for text in facts["broken"])
            images = EmbeddedImages(stored["images"], tuple(stored["kept"].tolist()), broken, facts["seconds"])
            ranking = (stored["queries"], stored["gallery"]) if stored["gallery"].size else None
            return Embedded(images, stored["texts"], ranking)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ExecutionError(f"the process that ran the engine left no whole result: {error}") from error
