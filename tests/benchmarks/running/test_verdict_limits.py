"""Each rule of validity exactly at its limit and a little beyond it: the limit itself is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import bench_evidence
import bench_results
from edgekit.benchmarks.results.records import Drift, Estimate, Harness
from edgekit.benchmarks.running import rules
from edgekit.benchmarks.running.verdict import judge

RESULT = bench_results.result()
STEADY = Drift(1.0, None, throttling=False, leak=False, latency_low=0.99, latency_high=1.01)


def reasons(found: dict[str, Any] | None = None, **changes: Any) -> tuple[str, ...]:
    """Reasons of a good run with changes of its evidence, and of what the measured process found."""
    good = bench_evidence.good()
    plain = replace(good, found=replace(good.found, **(found or {})), drift=STEADY, harness=Harness(1.0, 0.0))
    verdict, found_reasons = judge(replace(plain, **changes))
    assert (verdict == "VALID") == (not found_reasons)
    return found_reasons


def plan(**changes: Any) -> Any:
    return replace(RESULT.plan, **changes)


def latency(n: int, **early: float | None) -> Any:
    return replace(RESULT.latency, n=n, early={"p90": 1.0, "p99": 1.0, **early})


def test_a_run_that_keeps_every_rule() -> None:
    assert reasons() == ()


@pytest.mark.parametrize(
    ("kept", "broken", "said"),
    [
        # A clock's own rounding is forgiven, a hundredth of a second is not.
        (
            {"seconds": 59.9995},
            {"seconds": 59.98},
            (
                "the measured part took 60.0 s, at least 60 s are needed; use --quick, or --publish for a figure to be "
                "published"
            ),
        ),
        (
            {"harness": Harness(1.0, rules.SAMPLER.limit)},
            {"harness": Harness(1.0, rules.SAMPLER.limit + 1e-9)},
            "reading the sensors took 2.0% of a processor (at most 2%); name fewer with --meter",
        ),
        (
            {"drift": replace(STEADY, latency=0.95, latency_high=rules.FASTER.limit)},
            {"drift": replace(STEADY, latency=0.9, latency_high=rules.FASTER.limit - 1e-9)},
            (
                "queries at the end took only 0.90 times as long as at the begin (at least 0.95); something else ended "
                "meanwhile, or the device sped up late: measure again"
            ),
        ),
        (
            {"drift": replace(STEADY, memory=900.0, leak=False)},
            {"drift": replace(STEADY, memory=12.34, leak=True)},
            (
                "memory grew by 12.3 MiB an hour; the engine or the pipeline leaks, the figures of a longer "
                "run would differ"
            ),
        ),
        # A leak without a figure could not be told with one.
        (
            {"drift": replace(STEADY, memory=None, leak=True)},
            {"drift": replace(STEADY, memory=0.0, leak=True)},
            (
                "memory grew by 0.0 MiB an hour; the engine or the pipeline leaks, the figures of a longer "
                "run would differ"
            ),
        ),
        (
            {"found": {"swapped": 0.0}},
            {"found": {"swapped": 0.05}},
            "0.1 MiB of the process were swapped out; free memory, or take a smaller variant or batch",
        ),
        (
            {"found": {"faults": 20}, "latency": latency(100)},
            {"found": {"faults": 21}, "latency": latency(100)},
            (
                "21 pages had to be read from the disk during the measured part (at most 20); free memory, or take a "
                "smaller variant"
            ),
        ),
        (
            {"found": {"faults": 50}, "latency": latency(5000)},
            {"found": {"faults": 51}, "latency": latency(5000)},
            (
                "51 pages had to be read from the disk during the measured part (at most 50); free memory, or take a "
                "smaller variant"
            ),
        ),
        (
            {"plan": plan(scenario="offline"), "throughput": Estimate(100.0, 95.0, 105.0, 99)},
            {"plan": plan(scenario="offline"), "throughput": Estimate(100.0, 94.9, 105.0, 99)},
            "the throughput is known to ±5.05% only, at most ±5% is wanted; measure longer, and close other programs",
        ),
        (
            {"plan": plan(scenario="server", target_qps=9.5, latency_bound=40.0), "latency": latency(700, p99=40.0)},
            {"plan": plan(scenario="server", target_qps=9.5, latency_bound=40.0), "latency": latency(700, p99=40.01)},
            (
                "at 9.5 queries a second the p99 is 40.01 ms (early stopping at 99 % confidence), the bound is 40 ms; "
                "give a lower --target-qps"
            ),
        ),
        (
            {"latency": latency(64)},
            {"latency": latency(63, p90=None)},
            (
                "63 queries are too few for the p90 at 99 % confidence (early stopping needs at least 64); "
                "measure longer, with --publish or --seconds"
            ),
        ),
        (
            {"plan": plan(scenario="multi-stream"), "latency": latency(662)},
            {"plan": plan(scenario="multi-stream"), "latency": latency(661, p99=None)},
            (
                "661 queries are too few for the p99 at 99 % confidence (early stopping needs at least 662); "
                "measure longer, with --publish or --seconds"
            ),
        ),
        # A single stream needs no p99.
        (
            {"latency": latency(64, p99=None)},
            {"found": {"interrupted": "in the measured part"}},
            "interrupted in the measured part; the figures are of what was measured until then (60.0 s)",
        ),
        (
            {"plan": plan(sustained=True), "drift": replace(STEADY, latency=1.3, throttling=True)},
            {"drift": replace(STEADY, latency=1.3, throttling=True)},
            (
                "queries at the end took 1.30 times as long as at the begin; cool the device, or measure its steady "
                "state with --soak MINUTES or --sustained"
            ),
        ),
    ],
)
def test_the_limit_is_kept_and_what_is_beyond_it_is_told(
    kept: dict[str, Any], broken: dict[str, Any], said: str
) -> None:
    assert reasons(**kept) == ()
    assert reasons(**broken) == (said,)


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "offline"])
def test_only_a_server_has_a_bound(scenario: str) -> None:
    assert reasons(plan=plan(scenario=scenario, latency_bound=0.0), latency=latency(700, p99=99.0)) == ()


def test_being_interrupted_comes_before_everything_else() -> None:
    found = reasons({"interrupted": "in x", "wrong": ("image: cosine 0.1",)}, seconds=3.0, device=("hot",))
    assert [reason.split(" ")[0] for reason in found] == ["interrupted", "golden", "the", "hot"]


@pytest.mark.parametrize(
    ("placement", "device", "said"),
    [
        ({"image": {"cpu": 9}}, "cpu", None),
        ({"image": {"npu": 9}}, "npu:0", None),
        ({"image": {"npu:0": 9}}, "npu", "image tower: 9 of its 9 nodes on npu:0, not on npu as asked"),
        ({"image": {"npu": 7, "cpu": 2}}, "npu", "image tower: 2 of its 9 nodes on cpu, not on npu as asked"),
        (
            {"text": {"gpu": 1, "cpu": 2, "dsp": 3}},
            "gpu",
            "text tower: 2 of its 6 nodes on cpu, 3 of its 6",
        ),
        ({}, "npu", None),
        ({"image": {}}, "npu", None),
    ],
)
def test_nodes_that_ran_elsewhere_are_counted(placement: Any, device: str, said: str | None) -> None:
    found = reasons(subject=replace(RESULT.subject, placement=placement, device=device))
    if said is None:
        assert found == ()
    else:
        (reason,) = found
        assert reason.startswith(said)
        assert reason.endswith("the figure is of a mixture: take a variant that the device runs whole")
