"""``edgekit convert``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.bundle.schema import to_plain
from edgekit.cli.progress import Stages
from edgekit.converters.convert import TARGETS, ConvertOptions, Report, TowerReport
from edgekit.converters.convert import convert as run
from edgekit.converters.stopping import stopping_cleanly
from edgekit.converters.verdict import LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("source")
@click.option("-o", "--output", required=True, type=_PATH, metavar="OUT.edge", help="The bundle to write.")
@click.option("--tokenizer", type=_PATH, metavar="PATH", help="Local tokenizer file or folder, in place of a hub's.")
@click.option("--photos", type=_PATH, metavar="FOLDER", help="Photos to check on and to store as golden vectors.")
@click.option(
    "--weights", type=click.Choice(list(LIMITS)), help="How weights are stored.  [default: as the source suggests]"
)
@click.option("--name", help="The bundle's name.  [default: the source's]")
@click.option("--license", "license_id", metavar="SPDX", help="Licence of the weights, where the source does not say.")
@click.option("--template", "templates", multiple=True, metavar="TEXT", help="Prompt template with one {}; repeatable.")
@click.option(
    "--pixel-limit",
    default=1,
    show_default=True,
    type=click.IntRange(0, 255),
    metavar="LEVELS",
    help="Largest accepted difference from the checkpoint's own preprocessing.",
)
@click.option(
    "--target",
    default=TARGETS[0],
    show_default=True,
    help="litert adds a LiteRT variant, batch one, beside the portable one; a chip of 'edgekit compile --list' adds "
    "one for that chip, in its default precision, beside a float32 one. Either takes minutes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def convert(
    source: str,
    output: Path,
    tokenizer: Path | None,
    photos: Path | None,
    weights: str | None,
    name: str | None,
    license_id: str | None,
    templates: tuple[str, ...],
    pixel_limit: int,
    target: str,
    as_json: bool,
) -> None:
    """Convert a CLIP-style checkpoint to a bundle, proven to agree with it.

    \b
    SOURCE is one of
      open_clip:NAME                 random weights, to try an architecture
      open_clip:NAME:PRETRAINED      a tag of open_clip, or a local weight file
      hf:REPO_OR_FOLDER              a Hugging Face model
      onnx:FOLDER                    towers somebody exported, with their config
      starter                        the small real model that comes with edgekit
    """  # noqa: D301  # \b tells click to keep the lines
    options = ConvertOptions(tokenizer, photos, weights, name, license_id, templates, pixel_limit, target)
    with stopping_cleanly(), Stages(sys.stderr) as stages:
        if target not in TARGETS:
            click.echo(_compiled(source, output, options, stages.next, as_json=as_json))
            return
        report = run(source, output, options, stages.next)
    click.echo(json.dumps(to_plain(report), indent=2) if as_json else table(report))


def _compiled(
    source: str, output: Path, options: ConvertOptions, on_stage: Callable[[str], None], *, as_json: bool
) -> str:
    """Convert to float, compile that for a chip, and return the report of the compilation."""
    from edgekit.converters.targets import cli, compile_after

    made = compile_after.convert(source, output, options, on_stage)
    return json.dumps(to_plain(made), indent=2) if as_json else cli.table(made)


def table(report: Report) -> str:
    """Return a conversion's report as a short table."""
    seen = report.preprocessing
    short = "cost less" if report.trim_padding else "cost as much as long ones"
    lines = [
        f"{report.bundle}  {report.size / 1e6:.1f} MB  variant {report.variant}  {report.seconds:.0f} s",
        "",
        f"{'tower':<13} {'MB':>8} {'max error':>10} {'cosine':>9} {'centred':>9}",
        _row("image", report.image),
        _row("text", report.text),
        *(_row(f"{tower}, LiteRT", made) for tower, made in report.litert.items()),
        "",
        f"pixels: at most {seen.pixels_max} of 255 apart, {seen.pixels_equal:.2%} equal",
        f"token ids: equal on all {seen.texts} texts; short texts {short}",
    ]
    return "\n".join(lines)


def _row(name: str, tower: TowerReport) -> str:
    found = tower.fidelity
    figures = f"{found.max_error:10.1e} {found.cosine_min:9.6f} {found.centred_min:9.6f}"
    return f"{name:<13} {tower.size / 1e6:8.1f} {figures}"
