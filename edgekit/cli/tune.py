"""``edgekit tune``."""

from __future__ import annotations

import json
import sys
from typing import cast, get_args

import click

from edgekit.bundle.schema import to_plain
from edgekit.cli.options import json_option
from edgekit.cli.progress import Stages
from edgekit.errors import InputError
from edgekit.golden import TOWERS, TowerName
from edgekit.tuning.objective import Objective
from edgekit.tuning.tune import tune as run


@click.command()
@click.argument("bundle")
@click.option("--minutes", type=float, default=5.0, show_default=True, help="Time for everything.")
@click.option("--variant", help="Only this variant.")
@click.option("--runtime", help="Only this runtime.")
@click.option("--device", default="auto", show_default=True, help="Only this device, as the runtime calls it.")
@click.option("--threads-list", metavar="N,N,…", help="Numbers of threads to try.  [default: 1, 2, 4, … all]")
@click.option("--towers", type=click.Choice(["both", *TOWERS]), default="both", show_default=True, help="What is used.")
@click.option(
    "--for",
    "objective",
    type=click.Choice(get_args(Objective)),
    default="pair",
    show_default=True,
    help="What is to be fast: a photo and a text, a photo, or each photo of a batch.",
)
@click.option("--trial-seconds", type=float, default=120.0, show_default=True, help="Hard limit of one trial.")
@click.option("--max-memory", type=click.IntRange(0), default=0, metavar="MB", help="Refuse what needs more.")
@json_option
def tune(
    bundle: str,
    minutes: float,
    variant: str | None,
    runtime: str | None,
    device: str,
    threads_list: str | None,
    towers: str,
    objective: str,
    trial_seconds: float,
    max_memory: int,
    as_json: bool,
) -> None:
    """Find the variant, runtime, device and settings that are right and fastest here, and remember them.

    BUNDLE is a .edge file, an unpacked bundle, or the name 'starter'. Each candidate runs in a process of its own.
    Every later load of the bundle on this device uses the choice, unless it is told otherwise.
    """
    with Stages(sys.stderr) as stages:
        found = run(
            bundle,
            variant=variant,
            runtime=runtime,
            device=device,
            threads=_numbers(threads_list),
            towers=None if towers == "both" else (cast("TowerName", towers),),
            objective=cast("Objective", objective),
            minutes=minutes,
            trial_seconds=trial_seconds,
            memory=max_memory,
            on_stage=stages.next,
        )
    click.echo(json.dumps(to_plain(found), indent=2, allow_nan=False) if as_json else str(found))


def _numbers(given: str | None) -> tuple[int, ...]:
    if given is None:
        return ()
    try:
        return tuple(int(part) for part in given.split(","))
    except ValueError as error:
        raise InputError(f"--threads-list {given}: give whole numbers with commas, such as 1,2,4") from error
