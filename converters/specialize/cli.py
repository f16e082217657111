"""``edgekit specialize``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from edgekit.bundle.schema import to_plain
from edgekit.cli.progress import Stages

if TYPE_CHECKING:
    from edgekit.converters.specialize.selection import Wanted

_PATH = click.Path(path_type=Path)
_HEADS = ("auto", "none", "cache", "ridge")


@click.command()
@click.argument("bundle")
@click.option("--labels", required=True, type=_PATH, metavar="FILE", help="Labels, one a line; see below.")
@click.option("-o", "--output", required=True, type=_PATH, metavar="OUT.edge", help="The bundle to write.")
@click.option("--template", "templates", multiple=True, metavar="TEXT", help="Prompt template with one {}; repeatable.")
@click.option("--keep-text", is_flag=True, help="Keep the text tower: other labels can still be scored.")
@click.option("--examples", metavar="PATH_OR_NAME", help="Labelled photos to tune on, classes named as the labels.")
@click.option(
    "--head",
    type=click.Choice(_HEADS),
    default="auto",
    show_default=True,
    help="What to make of the examples; auto takes what cross-validation finds best.",
)
@click.option("--variant", "variants", multiple=True, help="Variant to keep; repeatable.  [default: every one]")
@click.option("--name", help="The new bundle's name.  [default: the old one's]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def specialize(
    bundle: str,
    labels: Path,
    output: Path,
    templates: tuple[str, ...],
    keep_text: bool,
    examples: str | None,
    head: str,
    variants: tuple[str, ...],
    name: str | None,
    as_json: bool,
) -> None:
    """Freeze labels into a bundle: an image tower and a matrix.

    BUNDLE is a .edge file, an unpacked bundle, or the name 'starter'. Quantize first, then specialize.

    A line of FILE is a label, put into the templates; or a label, a tab, and prompts of its own between semicolons.
    With --examples, a head is fitted in closed form and taken only when it is right more often than the labels alone.
    """
    from edgekit.converters.specialize.records import Options
    from edgekit.converters.specialize.sheet import table
    from edgekit.converters.specialize.specialize import specialize as run
    from edgekit.converters.stopping import stopping_cleanly

    options = Options(labels, templates, keep_text, examples, cast("Wanted", head), variants, name)
    with stopping_cleanly(), Stages(sys.stderr) as stages:
        report = run(bundle, output, options, stages.next)
    for reason in report.skipped:
        click.echo(f"skipped: {reason}", err=True)
    click.echo(json.dumps(to_plain(report), indent=2, allow_nan=False) if as_json else table(report))
