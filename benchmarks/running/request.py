"""What a run is asked to do, checked before anything is started."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from edgekit.benchmarks.results.records import Generator, Pipeline, Plan, ScenarioName
from edgekit.benchmarks.running import rules
from edgekit.benchmarks.running.refusing import not_above_zero, not_among, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

QUICK, PUBLISH = rules.QUICK.limit, rules.PUBLISH.limit
"""Seconds of a quick run, and of one whose figure may be published."""


@dataclass(frozen=True)
class RunRequest:
    """One run.

    Attributes:
        bundle: path of a bundle, or the name of a packaged one.
        pipeline: what a query does.
        scenario: how queries arrive.
        generator: who issues them.
        variant: id; None takes what `edgekit.load` takes here.
        runtime: name; None likewise.
        device: of the runtime; ``auto`` likewise.
        threads: of one inference; 0 is the engine's choice; None takes what was tuned, else 0.
        options: settings that only one engine has, as (name, value); empty takes what was tuned.
        batch: samples of a query.
        streams: clients at the same time.
        target_qps: arrivals a second of the server scenario; 0 elsewhere.
        latency_bound: milliseconds that the server scenario's 99th percentile must keep; 0 elsewhere.
        seconds: least length of the measured part.
        queries: least number of queries in it; 0 for what the scenario needs.
        sustained: whether throttling is part of what is measured.
        data: a set in any layout of ``edgekit eval``, by its path or name; None takes the packaged samples.
        labels: of the photo pipeline; empty takes those frozen into the bundle, else the packaged list.
        labels_file: where `labels` came from, for the command line that repeats the run; None where it was no file.
        meters: names of the only meters to use; empty for all that are here.
        roofline: whether to compare with this device's measured limits, which takes some seconds more.
        profile: whether each tower is run under its engine's profiler afterwards.
        baseline: seconds of the idle baseline before and after; None for a tenth of `seconds`, within 2 to 30.
        silence: seconds without a sign of life after which the measured process is taken for hung.
        root: folder under which the system's files are found; tests give another.
    """

    bundle: str
    pipeline: Pipeline = "photo"
    scenario: ScenarioName = "single-stream"
    generator: Generator = "edgekit"
    variant: str | None = None
    runtime: str | None = None
    device: str = "auto"
    threads: int | None = None
    options: tuple[tuple[str, str], ...] = ()
    batch: int = 1
    streams: int = 1
    target_qps: float = 0.0
    latency_bound: float = 0.0
    seconds: float = QUICK
    queries: int = 0
    sustained: bool = False
    data: str | None = None
    labels: tuple[str, ...] = ()
    labels_file: str | None = None
    meters: tuple[str, ...] = ()
    roofline: bool = False
    profile: bool = False
    baseline: float | None = None
    silence: float = 600.0
    root: str = "/"


def check(request: RunRequest) -> None:
    """Refuse what cannot be run.

    Args:
        request: as the caller made it.

    Raises:
        InputError: a value is out of its range, or two do not go together.
    """
    refuse(_problems(request))


def idle_seconds(request: RunRequest) -> float:
    """Return the seconds of each idle baseline."""
    if request.baseline is not None:
        return request.baseline
    return min(30.0, max(2.0, request.seconds / 10))


def plan_of(request: RunRequest) -> Plan:
    """Return the plan of a request that leaves nothing open; inputs and labels are filled in by who reads them.

    Args:
        request: checked and settled.

    Returns:
        The plan. Where no number of queries was asked for, a run that is long enough to be VALID makes as many as its
        percentile needs; a shorter one ends when its time is over.
    """
    # Two at least, so that the end can be compared with the begin; see `measured.LEAST`.
    needed = int(rules.QUERIES[rules.PERCENTILE[request.scenario]].limit) if request.seconds >= QUICK else 2
    return Plan(
        scenario=request.scenario,
        pipeline=request.pipeline,
        generator=request.generator,
        batch=request.batch,
        threads=request.threads or 0,
        options=request.options,
        streams=request.streams,
        target_qps=request.target_qps,
        latency_bound=request.latency_bound,
        seconds=request.seconds,
        queries=request.queries or needed,
        sustained=request.sustained,
        labels=0,
        samples=0,
        data="",
    )


def _problems(request: RunRequest) -> Iterator[str]:
    for name, value, kinds in (
        ("--pipeline", request.pipeline, Pipeline),
        ("--scenario", request.scenario, ScenarioName),
        ("--generator", request.generator, Generator),
    ):
        yield from not_among(name, value, get_args(kinds))
    for name, number, least in (("--batch", request.batch, 1), ("--streams", request.streams, 1)):
        if number < least:
            yield f"{name} {number}: give {least} or more"
    if request.threads is not None and request.threads < 0:
        yield f"--threads {request.threads}: give 0 (the engine's choice) or more"
    for name, amount in (("seconds", request.seconds), ("silence", request.silence)):
        yield from not_above_zero(name, amount)
    if request.baseline is not None and not 0 <= request.baseline < math.inf:
        yield f"baseline {request.baseline:g}: give 0 s or more"
    yield from _scenario_problems(request)
    yield from _pipeline_problems(request)


def _scenario_problems(request: RunRequest) -> Iterator[str]:
    server = request.scenario == "server"
    for name, amount in (("--target-qps", request.target_qps), ("--latency-bound", request.latency_bound)):
        if server and not (math.isfinite(amount) and amount > 0):
            yield f"--scenario server needs {name}: arrivals a second and the milliseconds its p99 must keep"
        if not server and amount:
            yield f"{name} belongs to --scenario server; leave it out, or choose that scenario"
    if request.streams > 1 and request.scenario == "single-stream":
        yield f"--streams {request.streams}: single-stream has one; choose multi-stream, server or offline"
    if request.queries < 0:
        yield f"queries {request.queries}: give 0 (what the scenario needs) or more"


def _pipeline_problems(request: RunRequest) -> Iterator[str]:
    if request.labels and request.pipeline != "photo":
        yield f"--labels belong to --pipeline photo, which ranks them; {request.pipeline} ranks nothing"
    if len(set(request.labels)) < len(request.labels):
        twice = next(label for label in request.labels if request.labels.count(label) > 1)
        yield f"--labels: {twice!r} is given twice"
