"""Do the harness's own loop and MLPerf LoadGen agree? Both on the same real work, in turns, in one process.

Run: ``python -m edgekit.benchmarks.scenarios.agreement starter``, on a machine with nothing else to do.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, get_args

import click

from edgekit.benchmarks.results.records import Pipeline, Plan, ScenarioName
from edgekit.benchmarks.scenarios import loadgen
from edgekit.benchmarks.scenarios.outside_timer import compare as compare_outside
from edgekit.benchmarks.scenarios.run import measure
from edgekit.benchmarks.statistics import summary
from edgekit.benchmarks.workloads.create import create
from edgekit.benchmarks.workloads.inputs import gather
from edgekit.bundle.reader import open_bundle
from edgekit.cli.options import json_option, load_options, per_tower, settings
from edgekit.loading import load
from edgekit.locations import resolve
from edgekit.ratios import Ratio, ratio

if TYPE_CHECKING:
    from edgekit.benchmarks.scenarios.protocol import Trace, Workload
    from edgekit.policies import Policy

LIMIT = 0.02
"""Largest difference of a figure between the two generators."""

_WARM = 10


@dataclass(frozen=True)
class Row:
    """One figure by both.

    Attributes:
        name: ``p50``, ``p90``, ``p99`` in milliseconds, or ``throughput`` in samples a second.
        own: median over the rounds, by the harness's own loop.
        loadgen: likewise, as LoadGen reports it.
        same_queries: likewise, of the very queries that LoadGen sent, as this side's clock saw them.
        ratio: own over LoadGen's, round by round.
        agrees: whether the ratio is within 2 % of 1.
    """

    name: str
    own: float
    loadgen: float
    same_queries: float
    ratio: Ratio
    agrees: bool


def interleave(plan: Plan, workload: Workload, rounds: int) -> list[Row]:
    """Measure the same plan with both generators in turns; who comes first changes from round to round.

    Args:
        plan: its generator is not looked at.
        workload: warmed.
        rounds: at least 1.

    Returns:
        The figures that LoadGen reports for the scenario.

    Raises:
        MissingDependencyError: LoadGen is not installed.
        EdgekitError: a query failed.
    """
    own, theirs, same = [], [], []
    for number in range(rounds):
        for generator in ("edgekit", "loadgen") if number % 2 else ("loadgen", "edgekit"):
            asked = replace(plan, generator=generator)
            if generator == "edgekit":
                own.append(_figures(measure(asked, workload, _ignore, seed=number)))
            else:
                outcome = loadgen.run(asked, workload, _ignore, seed=number)
                figures = dict(outcome.report.percentiles)
                # The server scenario's throughput is that of the arrivals, which are not the same ones.
                if outcome.report.throughput is not None and plan.scenario != "server":
                    figures["throughput"] = outcome.report.throughput
                theirs.append(figures)
                same.append(_figures(outcome.trace))
    return [_row(name, own, theirs, same) for name in theirs[0]]


@click.command()
@click.argument("bundle")
@click.option("--pipeline", type=click.Choice(get_args(Pipeline)), default="image", show_default=True)
@click.option("--scenario", type=click.Choice(get_args(ScenarioName)), default="single-stream", show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Pairs of runs.")
@click.option("--seconds", type=click.FloatRange(0.1), default=20.0, show_default=True, help="Of each run.")
@click.option("--queries", type=click.IntRange(1), default=100, show_default=True, help="Least number of each run.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True)
@click.option("--streams", type=click.IntRange(1), default=1, show_default=True)
@click.option("--target-qps", type=click.FloatRange(0), default=0.0, help="Arrivals a second, for server.")
@click.option("--outside/--no-outside", default=True, help="Also compare with a clock in another process.")
@load_options
@json_option
@click.pass_context
def agreement(
    ctx: click.Context,
    bundle: str,
    pipeline: Pipeline,
    scenario: ScenarioName,
    rounds: int,
    seconds: float,
    queries: int,
    batch: int,
    streams: int,
    target_qps: float,
    outside: bool,
    variant: str | None,
    runtime: str | None,
    device: str,
    policy: Policy | None,
    threads: int | None,
    engine_options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare the harness's own loop with MLPerf LoadGen on BUNDLE; exits with 1 where they differ by more than 2 %."""
    plan = Plan(
        scenario, pipeline, "edgekit", batch, 0, (), streams, target_qps, 0.0, seconds, queries, False, 0, 0, ""
    )
    with load(
        bundle,
        variant=per_tower(variant),
        runtime=per_tower(runtime),
        device=per_tower(device),
        policy=policy,
        settings=settings(threads, engine_options),
    ) as clip:
        workload = create(clip, pipeline, gather(None, open_bundle(resolve(bundle))), batch)
        for number in range(_WARM):
            workload.query([(number + i) % workload.samples for i in range(batch)])
        rows = interleave(plan, workload, rounds)
        chosen = str(clip.explain().chosen)
    timed = compare_outside(bundle, pipeline, seconds) if outside else None
    if as_json:
        plain = {"rows": [asdict(row) for row in rows], "outside": None if timed is None else asdict(timed)}
        click.echo(json.dumps(plain, indent=2))
    else:
        click.echo(f"{bundle}: {chosen}\n{scenario}, {pipeline}, {rounds} rounds of {seconds:g} s each, in turns")
        click.echo(f"{'':12}{'own loop':>12}{'LoadGen':>12}{'same queries':>14}  own / LoadGen")
        for row in rows:
            verdict = "agrees" if row.agrees else f"differs by more than {LIMIT:.0%}"
            figures = f"{row.own:12.3f}{row.loadgen:12.3f}{row.same_queries:14.3f}"
            interval = f"{row.ratio.median:.4f} ({row.ratio.low:.4f} to {row.ratio.high:.4f})"
            click.echo(f"{row.name:12}{figures}  {interval}  {verdict}")
        if timed is not None:
            click.echo(
                f"outside timer, {timed.queries} queries: {timed.outside:.3f} ms a query, inside {timed.inside:.3f} ms "
                f"({timed.difference:+.2%})"
            )
    if not all(row.agrees for row in rows):
        ctx.exit(1)


def _figures(trace: Trace) -> dict[str, float]:
    latency = summary.latency(trace)
    percentiles = {name: getattr(latency, name).value for name in ("p50", "p90", "p99")}
    return {**percentiles, "throughput": summary.throughput(trace).value}


def _row(name: str, own: list[dict[str, float]], theirs: list[dict[str, float]], same: list[dict[str, float]]) -> Row:
    ours, loadgens = [found[name] for found in own], [found[name] for found in theirs]
    found = ratio(ours, loadgens)
    seen = median(row[name] for row in same)
    return Row(name, median(ours), median(loadgens), seen, found, abs(found.median - 1) <= LIMIT)


def _ignore(seconds: float, queries: int) -> None:
    """Show nothing."""


if __name__ == "__main__":
    agreement()
