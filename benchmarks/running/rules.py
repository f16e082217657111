"""What a run must keep to be VALID: each rule a figure, its unit, and where the figure comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import ScenarioName


@dataclass(frozen=True)
class Rule:
    """One limit.

    Attributes:
        limit: in `unit`.
        unit: of the limit.
        source: who says so, and why.
    """

    limit: float
    unit: str
    source: str


QUICK = Rule(
    60.0,
    "s",
    "MLPerf Inference rules 0.5 and 0.7, section 'Scenarios'; later ones ask for 600 s: 60 s are enough for a figure "
    "at one's desk, not for one to be published (`plan.seconds` in the result tells which it is)",
)
PUBLISH = Rule(600.0, "s", "MLPerf Inference rules, section 'Scenarios': minimum duration of every scenario")
# The percentile that the scenario is judged by, whose early-stopping estimate must exist.
PERCENTILE: dict[ScenarioName, str] = {
    "single-stream": "p90",
    "multi-stream": "p99",
    "server": "p99",
    "offline": "p90",
}
QUERIES: dict[str, Rule] = {
    "p90": Rule(64, "queries", "MLPerf Inference rules, appendix 'Early Stopping Criterion': least for 90 % at 99 %"),
    "p99": Rule(662, "queries", "MLPerf Inference rules, appendix 'Early Stopping Criterion': least for 99 % at 99 %"),
}
SWAPPED = Rule(0.0, "MiB", "ours: a page in swap costs milliseconds when it is touched again")
FAULT_SHARE = Rule(
    0.01, "of the queries", "ours: a model mapped from a file that is read again and again does not fit in memory"
)
LEAST_FAULTS = Rule(20, "pages", "ours: what Python itself may read from its files during the run")
SAMPLER = Rule(
    0.02, "of a processor", "ours: beyond it, reading the sensors is a load of its own, whose power is measured too"
)
FASTER = Rule(
    0.95,
    "of the first fifth",
    "ours, the mirror of the 5 % by which a run may get slower: what gets faster was not warm, or had company",
)
THROUGHPUT = Rule(
    0.05, "of the figure", "ours: half of the 95 % interval of the offline scenario, which has no percentile to keep"
)
