"""The verdict: a good run is VALID, and each rule that is broken is told with its figure, limit and cure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import bench_evidence
import bench_results
from edgekit.benchmarks.results.records import Estimate, Harness
from edgekit.benchmarks.running import rules
from edgekit.benchmarks.running.verdict import Evidence, judge
from edgekit.benchmarks.statistics import early_stopping


def evidence(**changes: Any) -> Evidence:
    """A run of a minute that keeps every rule, or not: `changes` by dotted names with two underscores."""
    plain = bench_evidence.good()
    for path, value in changes.items():
        plain = bench_results.changed(plain, path.replace("__", "."), value)  # type: ignore[arg-type, assignment]
    return plain


def test_a_good_run_is_valid() -> None:
    assert judge(evidence()) == ("VALID", ())


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"seconds": 59.99}, ("60.0 s", "at least 60 s", "--quick")),
        ({"seconds": 5.0}, ("5.0 s", "--publish")),
        ({"latency__early": {"p90": None, "p99": None}}, ("too few for the p90", "64", "--seconds")),
        ({"plan__scenario": "multi-stream", "latency__early": {"p90": 1.0, "p99": None}}, ("p99", "662")),
        ({"found__wrong": ("before the measured part: cosine 0.1",)}, ("golden check before", "cosine 0.1", "verify")),
        ({"found__swapped": 3.25}, ("3.2 MiB", "swapped out", "smaller variant")),
        ({"found__faults": 10_000}, ("10000 pages", "at most", "free memory")),
        ({"harness": Harness(5.0, 0.05)}, ("5.0% of a processor", "at most 2%", "--meter")),
        ({"drift__throttling": True, "drift__latency": 1.3}, ("1.30 times", "--soak", "cool")),
        ({"drift__latency": 0.6, "drift__latency_high": 0.7}, ("only 0.60 times", "0.95", "measure again")),
        ({"drift__leak": True, "drift__memory": 50.0}, ("50.0 MiB an hour", "leaks")),
        ({"device": ("throttling: hot",)}, ("throttling: hot",)),
        ({"energy": ("energy: 3 samples",)}, ("energy: 3 samples",)),
        ({"subject__placement": {"image": {"npu": 3, "cpu": 9}}}, ("image tower", "3 of its 12 nodes on npu", "cpu")),
    ],
)
def test_each_broken_rule_is_told(changes: dict[str, Any], parts: tuple[str, ...]) -> None:
    verdict, reasons = judge(evidence(**changes))
    assert verdict == "INVALID"
    assert len(reasons) == 1
    assert all(part in reasons[0] for part in parts), reasons


def test_throttling_is_no_fault_where_the_steady_state_was_asked_for() -> None:
    hot = evidence(drift__throttling=True, drift__latency=1.3)
    assert judge(replace(hot, plan=replace(hot.plan, sustained=True)))[0] == "VALID"


def test_getting_faster_within_noise_is_no_fault() -> None:
    assert judge(evidence(drift__latency=0.9, drift__latency_high=0.96))[0] == "VALID"


def test_every_reason_is_told_once_and_wrong_numbers_come_first() -> None:
    bad = evidence(
        found__wrong=("after the measured part: NaN",),
        seconds=1.0,
        device=("same", "same"),
        energy=("energy: changed",),
    )
    _, reasons = judge(bad)
    assert [reason.split()[0] for reason in reasons] == ["golden", "the", "same", "energy:"]


def test_what_loadgen_refuses_is_not_valid_here_either() -> None:
    verdict, reasons = judge(evidence(found__refused=("Min queries not satisfied",)))
    assert (verdict, reasons) == ("INVALID", ("LoadGen does not take the run for valid: Min queries not satisfied",))


def test_a_server_must_keep_its_bound_by_the_estimate_and_not_by_luck() -> None:
    server = evidence(plan__scenario="server", plan__target_qps=20.0, latency__early={"p90": 5.0, "p99": 50.1})
    missed = judge(replace(server, plan=replace(server.plan, latency_bound=50.0)))
    assert missed[0] == "INVALID"
    assert "p99 is 50.10 ms" in missed[1][0]
    assert "bound is 50 ms" in missed[1][0]
    assert judge(replace(server, plan=replace(server.plan, latency_bound=50.1)))[0] == "VALID"


def test_offline_needs_a_throughput_that_is_known() -> None:
    offline = evidence(plan__scenario="offline")
    wide = replace(offline, throughput=Estimate(100.0, 90.0, 110.0, 1000))
    assert "±10.00% only" in judge(wide)[1][0]
    assert judge(replace(offline, throughput=Estimate(100.0, 96.0, 104.0, 1000)))[0] == "VALID"
    # In the other scenarios the percentile is what counts.
    assert judge(replace(evidence(), throughput=wide.throughput))[0] == "VALID"


def test_a_delegate_of_a_family_is_the_device_that_was_asked_for() -> None:
    named = evidence(subject__device="delegate:/lib/x.so", subject__placement={"image": {"delegate:/lib/x.so": 4}})
    family = evidence(subject__device="delegate:/lib/x.so", subject__placement={"image": {"delegate": 4}})
    assert judge(named)[0] == judge(family)[0] == "VALID"
    fallen = evidence(subject__device="delegate:/lib/x.so", subject__placement={"image": {"delegate": 4, "cpu": 1}})
    assert "1 of its 5 nodes on cpu" in judge(fallen)[1][0]


def test_few_faults_are_python_s_own_and_many_queries_allow_more() -> None:
    n = evidence().latency.n
    least = int(rules.LEAST_FAULTS.limit)
    assert judge(evidence(found__faults=least))[0] == "VALID"
    assert judge(evidence(found__faults=max(least, n // 100) + 1))[0] == "INVALID"


def test_the_numbers_of_queries_are_those_that_early_stopping_needs() -> None:
    """The rules state MLPerf's table; the statistics compute it."""
    assert early_stopping.needed(0.90) == rules.QUERIES["p90"].limit
    assert early_stopping.needed(0.99) == rules.QUERIES["p99"].limit


def test_every_rule_has_a_source() -> None:
    found = [rule for rule in vars(rules).values() if isinstance(rule, rules.Rule)] + list(rules.QUERIES.values())
    assert len(found) >= 7
    assert all(len(rule.source) > 30 for rule in found)
    assert set(rules.PERCENTILE) == {"single-stream", "multi-stream", "server", "offline"}
