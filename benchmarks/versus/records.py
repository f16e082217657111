"""What a side-by-side run found: two or more contenders in one interleaved run, and all variants in one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.benchmarks.results.context_records import Context
from edgekit.benchmarks.results.records import Estimate, Pipeline, Verdict

SCHEMA_VERSION = 1

Kind = Literal["edgekit", "onnxruntime", "modern-onnx-clip", "open-clip"]


@dataclass(frozen=True)
class Contender:
    """Something that answers queries in a process of its own.

    Attributes:
        name: in tables; no two of a run have the same.
        kind: what it is.
        model: path of its own model: a bundle, a folder, or ``ARCHITECTURE:CHECKPOINT``.
        variant: id; empty leaves it to `edgekit.load`, and for peers.
        runtime: name; empty likewise.
        device: ``auto`` likewise.
        threads: of one inference; 0 is the engine's choice; None takes what was tuned, else 0.
        options: settings that only this engine has.
        decoding: of photos by edgekit, ``fast`` or ``exact``.
    """

    name: str
    kind: Kind
    model: str
    variant: str = ""
    runtime: str = ""
    device: str = "auto"
    threads: int | None = None
    options: tuple[tuple[str, str], ...] = ()
    decoding: Literal["fast", "exact"] = "fast"


@dataclass(frozen=True)
class Opened:
    """What a contender says of itself once it is open.

    Attributes:
        model: what it runs, for a person: bundle and variant, or the file.
        digest: SHA-256 of the bundle's manifest; empty for peers.
        space: id of the embedding space; empty where the contender does not know it.
        variant: id; empty for peers.
        precision: of the variant; empty where it does not know.
        engine: name and version of what computes, such as ``onnxruntime 1.32.0``.
        device: that it runs on.
        threads: of one inference, as asked for; 0 is the engine's choice.
        load_ms: from the import of its packages to the first query that it could take.
    """

    model: str
    digest: str
    space: str
    variant: str
    precision: str
    engine: str
    device: str
    threads: int
    load_ms: float


@dataclass(frozen=True)
class Side:
    """One contender and what was measured of it.

    Attributes:
        name: of the contender.
        kind: what it is.
        opened: what it said of itself.
        running: threads of its process after the first queries; None where the system does not tell.
        first_ms: its first query.
        p50: milliseconds, median over the blocks of each block's median, with its interval.
        blocks: each block's median in milliseconds, in the order of the rounds.
        rss_peak: MiB, largest resident set of its process; None where the system does not tell.
    """

    name: str
    kind: Kind
    opened: Opened
    running: int | None
    first_ms: float
    p50: Estimate
    blocks: tuple[float, ...]
    rss_peak: float | None


@dataclass(frozen=True)
class Agreement:
    """How alike two contenders' embeddings of the same samples are.

    Attributes:
        cosine_min: least cosine; None where their embeddings cannot be compared.
        cosine_mean: mean cosine; None likewise.
        n: samples.
        reason: why they cannot be compared; empty otherwise.
    """

    cosine_min: float | None
    cosine_mean: float | None
    n: int
    reason: str


@dataclass(frozen=True)
class Comparison:
    """Another contender beside the subject.

    Attributes:
        other: its name.
        ratio: its time over the subject's: above 1, the subject is faster. Median over the rounds of the ratio of both
            blocks' medians, with the bootstrap interval over rounds.
        agreement: of its embeddings with the subject's.
    """

    other: str
    ratio: Estimate
    agreement: Agreement


@dataclass(frozen=True)
class Versus:
    """A side-by-side run.

    Attributes:
        schema_version: of this record.
        date: ISO 8601, UTC, of its begin.
        edgekit: version.
        pipeline: what a query does; ``photo`` is a photo's file to its embedding here.
        data: name of the samples.
        samples: distinct ones.
        queries: of a block; every contender's block of one round has the same samples.
        rounds: every contender has one block in each.
        seconds: that the rounds took.
        goal: relative width of the interval that would have ended the run.
        ended: what ended it: every interval ``narrow`` enough, or the ``time``.
        subject: the contender that the others are compared with.
        others: the other contenders.
        comparisons: one for each of them.
        context: the device and its state.
        verdict: whether the ratios may be published.
        reasons: why not; empty for ``VALID``.
        command: that repeats the run.
    """

    schema_version: int
    date: str
    edgekit: str
    pipeline: Pipeline
    data: str
    samples: int
    queries: int
    rounds: int
    seconds: float
    goal: float
    ended: Literal["narrow", "time"]
    subject: Side
    others: tuple[Side, ...]
    comparisons: tuple[Comparison, ...]
    context: Context
    verdict: Verdict
    reasons: tuple[str, ...]
    command: str


@dataclass(frozen=True)
class Row:
    """One variant on one runtime in the table of all.

    Attributes:
        variant: its id.
        precision: of the variant.
        runtime: name and version.
        device: of the runtime.
        size: bytes of the variant's files.
        fidelity: top-1 agreement with the float model in 0..1, as the bundle's fidelity record has it, else None.
        cosine: least cosine of the golden check here; None where it did not run.
        p50: milliseconds; None where it did not run.
        p99: milliseconds; None likewise.
        throughput: samples a second; None likewise.
        memory: MiB, largest resident set; None likewise.
        joules: for one inference; None where it was not measured.
        verdict: of the run; empty where it did not run.
        reasons: of the verdict, or why it did not run.
        front: whether it is VALID, and no other VALID row is at least as good in fidelity, p50 and size, and better in
            one. A variant of floats counts as the float model itself; another one without a record as worse than any.
        result: id of the run's result; empty where it did not run.
    """

    variant: str
    precision: str
    runtime: str
    device: str
    size: int
    fidelity: float | None
    cosine: float | None
    p50: float | None
    p99: float | None
    throughput: float | None
    memory: float | None
    joules: float | None
    verdict: str
    reasons: tuple[str, ...]
    front: bool
    result: str


@dataclass(frozen=True)
class Matrix:
    """All variants on all runtimes that open them here.

    Attributes:
        schema_version: of this record.
        date: ISO 8601, UTC, of its begin.
        bundle: name.
        digest: SHA-256 of the bundle's manifest.
        pipeline: what a query does.
        data: name of the samples.
        rows: variants in the manifest's order, each with its runtimes.
    """

    schema_version: int
    date: str
    bundle: str
    digest: str
    pipeline: Pipeline
    data: str
    rows: tuple[Row, ...]
