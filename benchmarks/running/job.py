"""The files between the measuring process and the measured one: what to do, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.atomic import atomic_file, write_bytes
from edgekit.benchmarks.results.records import Golden, Phases, Plan, Subject
from edgekit.benchmarks.scenarios.protocol import Trace
from edgekit.bundle import schema
from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from pathlib import Path

_JOB, _FOUND, _TRACE = "job.json", "found.json", "trace.npz"


@dataclass(frozen=True)
class Job:
    """What the measured process does.

    Attributes:
        bundle: absolute path.
        variant: id.
        runtime: name.
        device: of the runtime.
        plan: as far as it is known; `labels`, `samples` and `data` are found out by the process.
        data: path, or name of a fetched set, of the queries' inputs; None for the packaged samples.
        labels: of the photo pipeline; empty for those of the bundle or the packaged ones.
    """

    bundle: str
    variant: str
    runtime: str
    device: str
    plan: Plan
    data: str | None
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What the measured process found, beside its `Trace`.

    Attributes:
        subject: what ran.
        plan: completed.
        stages: names of the parts of a query, as the trace has them.
        phases: before the measured part.
        before: golden check before it.
        after: and after it.
        wrong: what the golden checks found wrong, as sentences; empty when both passed.
        rss_import: MiB resident before the bundle was opened.
        rss_peak: MiB, the largest until the measured part ended.
        swapped: MiB of the process in swap at the end of the measured part.
        faults: pages that had to be read from the disk during the measured part.
        overhead_us: microseconds that the loop adds to a query.
        packages: versions of what was imported.
        python: version.
        refused: why LoadGen, where it issued the queries, does not take the run for valid.
        interrupted: where the run was ended by Ctrl-C, such as ``in the measured part``; empty where it was not.
    """

    subject: Subject
    plan: Plan
    stages: tuple[str, ...]
    phases: Phases
    before: Golden
    after: Golden
    wrong: tuple[str, ...]
    rss_import: float
    rss_peak: float
    swapped: float
    faults: int
    overhead_us: float
    packages: dict[str, str]
    python: str
    refused: tuple[str, ...] = ()
    interrupted: str = ""


def write_job(folder: Path, job: Job) -> None:
    """Write what is to be done."""
    write_bytes(folder / _JOB, schema.dumps(job).encode())


def read_job(folder: Path) -> Job:
    """Read what is to be done."""
    return schema.loads(Job, (folder / _JOB).read_bytes(), _JOB)


def write_found(folder: Path, found: Found, trace: Trace) -> None:
    """Write what was found, the arrays first, so that the record stands for both."""
    with atomic_file(folder / _TRACE) as stream:
        np.savez(
            stream,
            span=np.array([trace.begin, trace.end, trace.batch], np.int64),
            issued=trace.issued,
            ended=trace.ended,
            stages=trace.stages,
        )
    write_bytes(folder / _FOUND, schema.dumps(found).encode())


def read_found(folder: Path) -> tuple[Found, Trace]:
    """Read what was found.

    Args:
        folder: of the process, which has ended.

    Returns:
        The record and every query.

    Raises:
        ExecutionError: the process ended without leaving them.
    """
    if not (folder / _FOUND).exists():
        raise ExecutionError("the measured process ended without a result")
    found = schema.loads(Found, (folder / _FOUND).read_bytes(), _FOUND)
    with np.load(folder / _TRACE, allow_pickle=False) as arrays:
        begin, end, batch = (int(number) for number in arrays["span"])
        return found, Trace(begin, end, arrays["issued"], arrays["ended"], arrays["stages"], batch)
