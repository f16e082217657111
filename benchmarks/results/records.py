"""The result of one run: what was asked, what was measured, on what, and whether it may be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit.benchmarks.limits.records import Profile
from edgekit.benchmarks.results.context_records import Context
from edgekit.benchmarks.results.energy_records import Energy, Series

SCHEMA_VERSION = 2

Pipeline = Literal["image", "text", "photo"]
"""``image``: pixels to embedding; ``text``: text to embedding; ``photo``: encoded photo to ranked labels."""
ScenarioName = Literal["single-stream", "multi-stream", "server", "offline"]
Generator = Literal["edgekit", "loadgen"]
Verdict = Literal["VALID", "INVALID"]


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % confidence interval.

    Attributes:
        value: the estimate.
        low: lower end.
        high: upper end; of a percentile with too few observations for one (p99: fewer than 368), the largest of them.
        n: observations behind it.
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Subject:
    """What was measured.

    Attributes:
        bundle: name of the bundle.
        version: of the bundle.
        digest: SHA-256 of the bundle's manifest, as `edgekit.bundle.reader.Bundle.digest`.
        space: id of the embedding space, as the manifest has it: results of two spaces are of two models.
        size: of the variant's files, in bytes.
        variant: its id.
        precision: of the variant.
        format: of its files.
        runtime: name.
        runtime_version: of the engine.
        device: of the runtime, such as ``cpu``.
        placement: per tower, nodes of the graph on each device.
    """

    bundle: str
    version: str
    digest: str
    space: str
    size: int
    variant: str
    precision: str
    format: str
    runtime: str
    runtime_version: str
    device: str
    placement: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Plan:
    """What was asked for.

    Attributes:
        scenario: MLPerf's name.
        pipeline: what a query does.
        generator: who issued the queries.
        batch: samples that the model is given at once (a query's; multi-stream: of each stream).
        threads: of one inference; 0 is the engine's choice.
        options: settings that only this engine has, as (name, value).
        streams: threads that answer at the same time: 1 for single-stream; multi-stream: a query has one batch from
            each; server: that take the queries which have come; offline: that share the samples.
        target_qps: arrivals a second of the server scenario; 0 elsewhere.
        latency_bound: milliseconds that the server scenario's percentile must keep; 0 elsewhere.
        seconds: least length of the measured part.
        queries: least number of queries in it.
        sustained: whether the chip was meant to reach its steady temperature, so that throttling is no fault.
        labels: of the photo pipeline; their number.
        samples: distinct inputs that the queries take turns with.
        data: name of those inputs.
    """

    scenario: ScenarioName
    pipeline: Pipeline
    generator: Generator
    batch: int
    threads: int
    options: tuple[tuple[str, str], ...]
    streams: int
    target_qps: float
    latency_bound: float
    seconds: float
    queries: int
    sustained: bool
    labels: int
    samples: int
    data: str


@dataclass(frozen=True)
class Latency:
    """Milliseconds from a query's arrival to its end.

    Attributes:
        n: queries.
        mean: of them.
        least: the fastest.
        greatest: the slowest.
        p50: with its interval.
        p90: likewise.
        p99: likewise.
        early: per percentile (``p90``, ``p99``), the value that MLPerf's early stopping estimates at 99 % confidence;
            None where there are too few queries.
        histogram: upper bounds of bins in milliseconds, and queries in each.
    """

    n: int
    mean: float
    least: float
    greatest: float
    p50: Estimate
    p90: Estimate
    p99: Estimate
    early: dict[str, float | None]
    histogram: tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class Stage:
    """One part of a query: ``decode``, ``preprocess``, ``tokenize``, ``inference``, ``postprocess``.

    Attributes:
        p50: milliseconds.
        p90: milliseconds.
        p99: milliseconds.
        share: of the whole query's mean time, in 0..1.
    """

    p50: float
    p90: float
    p99: float
    share: float


@dataclass(frozen=True)
class Phases:
    """What comes before the measured part, in a fresh process.

    Attributes:
        import_ms: ``import edgekit`` and the engine.
        load_ms: the bundle opened, its variant's digests and golden check included.
        first_ms: the first query.
        warm_ms: median of the queries between the first and the measured part.
        warm_queries: how many.
        prepare_ms: between `load_ms` and `first_ms`: inputs read, and for the photo pipeline the labels embedded.
    """

    import_ms: float
    load_ms: float
    first_ms: float
    warm_ms: float
    warm_queries: int
    prepare_ms: float = 0.0


@dataclass(frozen=True)
class Minute:
    """One interval of the measured part.

    Attributes:
        start: seconds since the measured part began.
        seconds: length of the interval.
        queries: ended in it.
        p50: milliseconds.
        p99: milliseconds.
        rss: MiB, resident at its end.
    """

    start: float
    seconds: float
    queries: int
    p50: float
    p99: float
    rss: float


@dataclass(frozen=True)
class Drift:
    """Whether the run was the same at its end as at its beginning.

    Attributes:
        latency: median of the last fifth over that of the first fifth.
        memory: MiB an hour, by a robust slope over the minutes' resident memory; None for runs too short to tell.
        throttling: whether the run slowed down by more than it may.
        leak: whether memory grew by more than it may.
        latency_low: lower end of the 95 % interval of `latency`; None in results that lack it.
        latency_high: upper end.
    """

    latency: float
    memory: float | None
    throttling: bool
    leak: bool
    latency_low: float | None = None
    latency_high: float | None = None


@dataclass(frozen=True)
class Memory:
    """Memory of the measured process, in MiB.

    Attributes:
        rss_peak: largest resident set, as the kernel kept it.
        rss_import: resident set before the bundle was loaded.
        uss_peak: largest memory of this process alone that was sampled; None where the system does not tell.
        device: of the accelerator, where it tells; None elsewhere.
        swapped: of the process in swap at the end of the measured part.
        faults: pages, not MiB, that had to be read from the disk during the measured part.
    """

    rss_peak: float
    rss_import: float
    uss_peak: float | None
    device: float | None
    swapped: float = 0.0
    faults: int = 0


@dataclass(frozen=True)
class Golden:
    """The golden check, before or after.

    Attributes:
        passed: whether every tower kept its tolerance.
        cosine: least cosine to the float reference.
        centred: least centred cosine.
        n: inputs.
    """

    passed: bool
    cosine: float
    centred: float
    n: int


@dataclass(frozen=True)
class Accuracy:
    """Right as well as fast: the same files, in the same process.

    Attributes:
        before: golden check before the measured part.
        after: and after it.
        agreement: top-1 agreement with the float model on named data in 0..1, as the bundle's fidelity record has it
            (the smaller of both directions); None where the bundle has none.
        data: name of that data.
    """

    before: Golden
    after: Golden
    agreement: float | None
    data: str


@dataclass(frozen=True)
class Harness:
    """What measuring cost.

    Attributes:
        overhead_us: microseconds that the loop adds to a query, measured on an empty one.
        sampler_share: CPU seconds of the background sampling over seconds of the measured part.
    """

    overhead_us: float
    sampler_share: float


@dataclass(frozen=True)
class Roofline:
    """How far from this device's measured limits the run is.

    Attributes:
        flops: multiplications and additions of one query, counted from the graph.
        bytes: weights and activations that one query must move at least.
        peak_gflops: of the matrix products that this variant uses, measured here.
        bandwidth_gbs: of memory, measured here, in 10^9 bytes a second.
        kind: type of the products that `peak_gflops` is of, such as ``fp32``.
        achieved_gflops: by the run's median inference.
        share: of the limit that binds, in 0..1.
        bound: which one binds.
    """

    flops: float
    bytes: float
    peak_gflops: float
    bandwidth_gbs: float
    kind: str
    achieved_gflops: float
    share: float
    bound: Literal["compute", "memory"]


@dataclass(frozen=True)
class Result:
    """One run.

    Attributes:
        schema_version: of this record.
        id: of the run: date, device, bundle and variant.
        date: ISO 8601, UTC, of the run's begin.
        edgekit: version.
        subject: what was measured.
        plan: what was asked for.
        p50: milliseconds, as `latency` has it.
        p90: milliseconds.
        p99: milliseconds.
        throughput: samples a second over the measured part.
        latency: the distribution.
        stages: parts of a query by name.
        phases: import, load, first query, warm.
        minutes: the measured part in intervals.
        drift: between its begin and its end.
        memory: of the process.
        energy: of the device.
        accuracy: golden check before and after.
        harness: cost of measuring.
        context: the device and its state.
        series: what was sampled during the measured part.
        roofline: where asked for; else None.
        verdict: whether the figures may be published.
        reasons: why not; empty for ``VALID``.
        command: that repeats the run.
        profiles: of each tower that the run used, where asked for; else none.
        began: seconds since 1970, by the device's clock, at which the measured part began; logs of external meters are
            joined by it. 0 where it is not known.
    """

    schema_version: int
    id: str
    date: str
    edgekit: str
    subject: Subject
    plan: Plan
    p50: float
    p90: float
    p99: float
    throughput: Estimate
    latency: Latency
    stages: dict[str, Stage]
    phases: Phases
    minutes: tuple[Minute, ...]
    drift: Drift
    memory: Memory
    energy: Energy
    accuracy: Accuracy
    harness: Harness
    context: Context
    series: tuple[Series, ...]
    roofline: Roofline | None
    verdict: Verdict
    reasons: tuple[str, ...]
    command: str
    profiles: tuple[Profile, ...] = ()
    began: float = 0.0
