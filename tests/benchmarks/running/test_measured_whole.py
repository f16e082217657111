"""A whole job in this process: what it tells, what it keeps when it is asked to stop, and how its figures fit."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny_bundle as tiny
from edgekit.benchmarks.running import measured
from edgekit.benchmarks.running.events import Event, Phase, Tick
from edgekit.benchmarks.running.job import Found, Job
from edgekit.benchmarks.running.request import RunRequest, plan_of
from edgekit.benchmarks.scenarios.protocol import Trace
from edgekit.errors import InputError


def job(path: Path, *, pipeline: Any = "text", variant: str = "fp32", **asked: Any) -> Job:
    plan = plan_of(RunRequest(str(path), pipeline=pipeline, threads=1, **{"seconds": 0.4, **asked}))
    return Job(str(path), variant, "onnxruntime", "cpu", plan, None, ())


def whole(wanted: Job, asked: Any = lambda: False) -> tuple[Found, Trace, list[Event]]:
    told: list[Event] = []
    found, trace = measured.measure(wanted, 12.5, told.append, asked)
    return found, trace, told


def test_the_figures_of_a_job_fit_together(tiny_bundle: Path) -> None:
    begin = time.perf_counter()
    found, trace, told = whole(replace(job(tiny_bundle, pipeline="photo"), labels=("cat", "dog", "red cup")))
    wall = time.perf_counter() - begin
    assert [event.name for event in told if isinstance(event, Phase)] == ["load", "warm", "measure", "check"]
    ticks = [event for event in told if isinstance(event, Tick)]
    assert [tick.queries for tick in ticks] == sorted(tick.queries for tick in ticks)
    assert all(tick.queries <= len(trace.ended) and tick.total == 0.4 for tick in ticks)
    seconds = (trace.end - trace.begin) / 1e9
    assert 0.4 <= seconds < wall
    assert (trace.ended > trace.issued).all()
    # Parts of a query lie inside it, one after another.
    assert found.stages == ("decode", "preprocess", "inference", "postprocess")
    assert trace.stages.shape == (len(trace.ended), len(found.stages))
    assert (trace.stages >= 0).all()
    assert (trace.stages.sum(axis=1) <= trace.ended - trace.issued).all()
    assert (found.plan.labels, found.plan.pipeline) == (3, "photo")
    assert found.plan.samples > 1
    assert found.phases.import_ms == 12.5
    assert min(found.phases.load_ms, found.phases.first_ms, found.phases.warm_ms, found.phases.prepare_ms) > 0
    assert found.phases.warm_queries >= 1
    together = found.phases.load_ms + found.phases.prepare_ms + found.phases.first_ms
    assert together < 1000 * (wall - seconds)
    assert 0 < found.rss_import <= found.rss_peak
    assert (found.before.passed, found.after.passed, found.wrong, found.interrupted) == (True, True, (), "")
    assert set(found.subject.placement) == {"image", "text"}
    assert {"numpy", "onnxruntime", "pillow"} <= set(found.packages)


@pytest.mark.parametrize("scenario", ["single-stream", "offline"])
def test_a_job_that_is_asked_to_stop_keeps_what_it_has_and_checks_it(tiny_bundle: Path, scenario: Any) -> None:
    begin = time.perf_counter()
    found, trace, told = whole(job(tiny_bundle, seconds=60.0, scenario=scenario, batch=2), asked=lambda: True)
    assert time.perf_counter() - begin < 120
    assert found.interrupted == "in the measured part, for which 60 s were asked"
    assert len(trace.ended) >= measured.LEAST
    assert (trace.end - trace.begin) / 1e9 < 30
    assert found.after.passed
    assert [event.name for event in told if isinstance(event, Phase)][-1] == "check"


def test_queries_take_turns_with_every_sample_before_any_comes_again(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that knows a sample from a moment ago would be measured otherwise."""
    from edgekit.benchmarks.workloads import create

    plain, seen = create.create, []

    def recorded(*given: Any) -> Any:
        workload = plain(*given)
        query = workload.query

        def asked(indices: Any) -> Any:
            seen.append(list(indices))
            return query(indices)

        monkeypatch.setattr(type(workload), "query", lambda self, indices: asked(indices))
        return workload

    monkeypatch.setattr(create, "create", recorded)
    found, trace, _ = whole(job(tiny_bundle, batch=3))
    flat = [index for indices in seen[-len(trace.ended) :] for index in indices]
    samples = found.plan.samples
    assert all(len(indices) == 3 for indices in seen)
    counts = np.bincount(flat, minlength=samples)
    assert counts.max() - counts.min() <= 1


def test_a_job_without_the_tower_it_needs_is_refused_before_it_is_timed(tmp_path: Path) -> None:
    path = tiny.build(tmp_path / "a.edge")
    with pytest.raises(InputError, match="has no variant 'int8'; it has fp32"):
        whole(replace(job(path), variant="int8"))
