"""What ``edgekit bench`` does for which options, and which of them do not go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks import cli_output
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.benchmarks.cli_asked import Asked


def run_asked(asked: Asked) -> bool:
    """Do what was asked.

    Args:
        asked: as it was typed.

    Returns:
        False when something failed, or is not VALID and had to be.

    Raises:
        InputError: options do not go together, or a file cannot be written.
        EdgekitError: nothing could be measured.
    """
    for problem in problems(asked):
        raise InputError(problem)
    cli_output.check(asked)
    if asked.hosts or asked.fleet:
        from edgekit.benchmarks.cli_remote import run_there

        return run_there(asked)
    if beside(asked):
        from edgekit.benchmarks.cli_versus import run_beside

        return run_beside(asked)
    if asked.everything:
        from edgekit.benchmarks.cli_versus import run_everything

        return run_everything(asked)
    from edgekit.benchmarks.cli_runs import run_here

    return run_here(asked)


def beside(asked: Asked) -> bool:
    """Say whether contenders are to be measured in turns."""
    return bool(asked.vs or asked.vs_runtime or asked.vs_peer)


def problems(asked: Asked) -> Iterator[str]:
    """Give a sentence for everything that does not go together.

    Args:
        asked: as it was typed.

    Yields:
        What is wrong and what to do.
    """
    lengths = {
        "--quick": asked.quick,
        "--publish": asked.publish,
        "--soak": asked.soak is not None,
        "--seconds": asked.seconds is not None,
    }
    given = [name for name, there in lengths.items() if there]
    if len(given) > 1:
        yield f"{' and '.join(given)} each say how long to measure; give one of them"
    if asked.soak is not None and not asked.soak > 0:
        yield f"--soak {asked.soak:g}: give minutes, more than 0"
    sides = {
        "--all": asked.everything,
        "--vs": bool(asked.vs),
        "--vs-runtime": bool(asked.vs_runtime),
        "--vs-peer": bool(asked.vs_peer),
    }
    if asked.everything and beside(asked):
        yield "--all makes a run for each variant, --vs… runs a few in turns; give one of them"
    if asked.hosts and asked.fleet:
        yield "--on and --fleet both name boards; put all of them into the fleet file, or name each with --on"
    if (asked.on_python or asked.on_wheels) and not asked.hosts:
        yield "--on-python and --on-wheels go with --on; a fleet file says both for each board"
    if asked.on_keep and not (asked.hosts or asked.fleet):
        yield "--on-keep goes with --on or --fleet"
    if beside(asked) and (asked.hosts or asked.fleet):
        yield "--vs… runs on this device; log in to the board for it, or run --all there"
    sweep = len(asked.batch) * max(1, len(asked.threads)) * len(asked.streams) > 1
    mode = next((name for name, there in sides.items() if there), "")
    if mode and sweep:
        yield f"{mode} takes one number each for --batch, --threads and --streams"
    if beside(asked):
        yield from _beside_problems(asked)


def _beside_problems(asked: Asked) -> Iterator[str]:
    other = next((path for path in asked.reports if path.suffix in (".md", ".csv")), None)
    if other is not None:
        yield f"--report {other}: contenders in turns have a .html report only; -o writes their figures as JSON"
    plain = {
        "--scenario": asked.scenario != "single-stream",
        "--generator": asked.generator != "edgekit",
        "--batch": asked.batch != (1,),
        "--streams": asked.streams != (1,),
        "--target-qps": bool(asked.target_qps),
        "--latency-bound": bool(asked.latency_bound),
        "--profile": asked.profile,
        "--roofline": asked.roofline,
        "--labels": asked.labels is not None,
        "--meter": bool(asked.meters),
        "--soak": asked.soak is not None,
        "--sustained": asked.sustained,
    }
    for name, there in plain.items():
        if there:
            yield f"{name} does not go with --vs…, which runs single queries of each contender in turns; leave it out"
