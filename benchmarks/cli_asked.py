"""What was typed after ``edgekit bench``, as one record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.benchmarks.results.records import Generator, Pipeline, ScenarioName


@dataclass(frozen=True)
class Asked:
    """What was typed; see the help of each option.

    Attributes:
        bundle: BUNDLE.
        scenario: ``--scenario``.
        pipeline: ``--pipeline``.
        generator: ``--generator``.
        quick: ``--quick``.
        publish: ``--publish``.
        soak: ``--soak``, minutes; None where it was not given.
        seconds: ``--seconds``; None likewise.
        queries: ``--queries``; 0 where it was not given.
        sustained: ``--sustained``.
        batch: ``--batch``.
        threads: ``--threads``; empty where it was not given.
        streams: ``--streams``.
        target_qps: ``--target-qps``; 0 where it was not given.
        latency_bound: ``--latency-bound``; 0 likewise.
        data: ``--data``.
        labels: ``--labels``.
        variant: ``--variant``.
        runtime: ``--runtime``.
        device: ``--device``.
        engine_options: ``--option``.
        meters: ``--meter``.
        everything: ``--all``.
        vs: ``--vs``.
        vs_runtime: ``--vs-runtime``.
        vs_peer: ``--vs-peer``.
        profile: ``--profile``.
        roofline: ``--roofline``.
        hosts: ``--on``.
        fleet: ``--fleet``.
        on_python: ``--on-python``; empty where it was not given.
        on_wheels: ``--on-wheels``.
        on_keep: ``--on-keep``.
        on_patience: ``--on-patience``, seconds.
        output: ``-o``.
        reports: ``--report``.
        as_json: ``--json``.
        require_valid: ``--require-valid``.
    """

    bundle: str
    scenario: ScenarioName
    pipeline: Pipeline
    generator: Generator
    quick: bool
    publish: bool
    soak: float | None
    seconds: float | None
    queries: int
    sustained: bool
    batch: tuple[int, ...]
    threads: tuple[int, ...]
    streams: tuple[int, ...]
    target_qps: float
    latency_bound: float
    data: Path | None
    labels: Path | None
    variant: str | None
    runtime: str | None
    device: str
    engine_options: tuple[str, ...]
    meters: tuple[str, ...]
    everything: bool
    vs: tuple[str, ...]
    vs_runtime: tuple[str, ...]
    vs_peer: tuple[str, ...]
    profile: bool
    roofline: bool
    hosts: tuple[str, ...]
    fleet: Path | None
    on_python: str
    on_wheels: Path | None
    on_keep: bool
    on_patience: float
    output: Path | None
    reports: tuple[Path, ...]
    as_json: bool
    require_valid: bool
