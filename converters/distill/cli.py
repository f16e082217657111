"""``edgekit distill``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from edgekit.bundle.schema import to_plain
from edgekit.converters.stopping import stopping_cleanly
from edgekit.errors import InputError

_PATH = click.Path(path_type=Path)
_DEVICES = ("auto", "cpu", "cuda")
INTERRUPTED = 130


@click.command()
@click.argument("recipe", type=_PATH, required=False)
@click.option("-o", "--output", type=_PATH, metavar="STUDENT.edge", help="The bundle to write.")
@click.option(
    "--processes", default=1, show_default=True, type=click.IntRange(1), metavar="N", help="That train together here."
)
@click.option("--device", default="auto", show_default=True, type=click.Choice(_DEVICES), help="To train on.")
@click.option(
    "--embed-only", type=_PATH, metavar="FOLDER", help="Only compute the teachers' embeddings, for another machine."
)
@click.option("--prepare-only", is_flag=True, help="Stop before the training, for processes on several machines.")
@click.option("--restart", is_flag=True, help="Delete what an earlier run left in the work folder.")
@click.option("--example", is_flag=True, help="Print a short recipe that runs.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def distill(
    ctx: click.Context,
    recipe: Path | None,
    output: Path | None,
    processes: int,
    device: str,
    embed_only: Path | None,
    prepare_only: bool,
    restart: bool,
    example: bool,
    as_json: bool,
) -> None:
    """Train a small student from a teacher and your own pictures, and write it as a bundle.

    RECIPE is a YAML file; see --example. Interrupted by whatever, the same command goes on where it was: its state lies
    in STUDENT.distill beside the output, where figures and curves stay at the end.
    """
    from edgekit.converters.distill.example import EXAMPLE

    if example:
        click.echo(EXAMPLE, nl=False)
        return
    if recipe is None:
        raise InputError("no recipe is given; 'edgekit distill --example > recipe.yaml' makes one")
    if (output is None) == (embed_only is None):
        raise InputError("give the bundle to write, as '-o STUDENT.edge', or --embed-only FOLDER, and not both")
    from edgekit.converters.distill import report, run
    from edgekit.converters.distill.display import Display
    from edgekit.converters.distill.recipe_file import read

    chosen = run.Options(processes, device, restart)
    try:
        with stopping_cleanly(), Display(sys.stderr) as display:
            parsed = read(recipe)
            if embed_only is not None:
                run.embed(parsed, embed_only, chosen, display.next, display.progress)
                text, plain = f"{embed_only}: the teachers' embeddings", {"embeddings": str(embed_only)}
            elif output is not None and prepare_only:
                folder = run.prepare(parsed, output, chosen, display.next, display.progress)
                text, plain = _how_to_go_on(folder, recipe, output), {"folder": str(folder)}
            elif output is not None:
                found = run.distill(parsed, output, chosen, display.next, display.progress)
                text, plain = report.table(found), to_plain(found)
    except KeyboardInterrupt:
        click.echo("Stopped; the same command continues.", err=True)
        ctx.exit(INTERRUPTED)
    click.echo(json.dumps(plain, indent=2) if as_json else text)


def _how_to_go_on(folder: Path, recipe: Path, output: Path) -> str:
    """Say what to run on each machine, and afterwards."""
    return "\n".join(
        [
            f"{folder}: ready to be trained. On each machine, with its own such folder:",
            "  torchrun --nnodes 2 --node-rank 0 --nproc-per-node 1 --master-addr HOST --master-port 29500 \\",
            f"    -m edgekit.converters.distill.train_worker {folder}",
            f"Then on the first one: edgekit distill {recipe} -o {output}",
        ]
    )
