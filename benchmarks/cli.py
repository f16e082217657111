"""``edgekit bench``."""

from __future__ import annotations

from typing import Any

import click

from edgekit.benchmarks.cli_asked import Asked
from edgekit.benchmarks.cli_options import bench_options
from edgekit.cli.main import FAILED

INTERRUPTED = 128 + 2
"""Exit code of a command that Ctrl-C ended, as a shell gives it to one that a signal ends: 128 and SIGINT's number."""


@click.command()
@click.argument("bundle")
@bench_options
@click.pass_context
def bench(ctx: click.Context, /, **typed: Any) -> None:
    """Measure latency, throughput, memory and energy on this device, and say whether the figures are VALID.

    BUNDLE is a .edge file, an unpacked bundle, or the name 'starter'. Each run has a fresh process: import, load, first
    query, warm queries and the measured part are timed apart, the golden check is made before and after, and sensors
    are read meanwhile. Several numbers for --batch, --threads or --streams give one run for each combination.

    Exits with 0 when everything was measured, VALID or not; see --require-valid. Ctrl-C in the measured part ends it
    and keeps what was measured, INVALID, with exit code 130; pressed twice, nothing of that run.
    """
    # Imported here, so that the help does not wait for it.
    from edgekit.benchmarks.cli_modes import run_asked

    # One record instead of thirty parameters; click has named and typed each of them.
    try:
        good = run_asked(Asked(**typed))
    except KeyboardInterrupt:
        click.echo("Aborted!", err=True)
        ctx.exit(INTERRUPTED)
    if not good:
        ctx.exit(FAILED)
