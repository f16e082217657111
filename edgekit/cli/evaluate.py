"""``edgekit eval``."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.atomic import write_bytes
from edgekit.bundle.reader import open_bundle
from edgekit.bundle.schema import to_plain
from edgekit.cli.main import FAILED
from edgekit.cli.options import PATH, engine_option, json_option, lines_of, settings, threads_option
from edgekit.errors import InputError
from edgekit.evaluation.candidates import group, wanted_choices
from edgekit.evaluation.datasets import locate, open_dataset
from edgekit.evaluation.records import TASKS, Task
from edgekit.evaluation.run import evaluate as run
from edgekit.locations import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@click.command("eval")
@click.argument("bundle")
@click.option(
    "--data", required=True, metavar="PATH_OR_NAME", help="The set: a path, or a name of 'edgekit data list'."
)
@click.option("--variant", "variants", multiple=True, help="Variant to evaluate; repeatable.  [default: every one]")
@click.option(
    "--runtime", "runtimes", multiple=True, help="Runtime to use; repeatable.  [default: the first that passes]"
)
@click.option("--all", "everything", is_flag=True, help="Every variant on every runtime and device that opens it.")
@click.option("--task", type=click.Choice(TASKS), help="What to take from a set that holds labels and captions.")
@click.option("--template", "templates", multiple=True, metavar="TEXT", help="Prompt template with one {}; repeatable.")
@click.option("--templates", "templates_file", type=PATH, metavar="FILE", help="Prompt templates, one a line.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Take N of the images, chosen by their names' hash.")
@click.option("--strict", is_flag=True, help="Stop at the first broken photo instead of skipping it.")
@click.option("--device", default="auto", show_default=True, help="Device, as the runtime calls it.")
@threads_option
@engine_option
@click.option("-o", "--output", type=PATH, metavar="REPORT.json", help="Write the report as JSON too.")
@json_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    bundle: str,
    data: str,
    variants: tuple[str, ...],
    runtimes: tuple[str, ...],
    everything: bool,
    task: Task | None,
    templates: tuple[str, ...],
    templates_file: Path | None,
    limit: int | None,
    strict: bool,
    device: str,
    threads: int | None,
    engine_options: tuple[str, ...],
    output: Path | None,
    as_json: bool,
) -> None:
    """Score a bundle's variants on your own images, and compare them with the float one.

    BUNDLE is a .edge file, an unpacked bundle, or the name 'starter'. The set is a folder for each class, images with
    .txt captions beside them, a CSV, WebDataset .tar shards, or plain images. Exits with 1 when every variant was
    refused.
    """
    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        raise InputError(f"{output}: is a folder, or the folder {output.parent} does not exist")
    opened = open_bundle(resolve(bundle))
    chosen = [*templates, *(lines_of(templates_file, "template") if templates_file else [])]
    dataset = open_dataset(locate(data), task=task, limit=limit)
    choices, _ = wanted_choices(opened, variants, runtimes, device)
    rounds = len(choices) if everything else len({group(choice, runtimes) for choice in choices})
    with _bar(len(dataset.items) * rounds) as progress:
        report = run(
            opened,
            dataset,
            variants=variants,
            runtimes=runtimes,
            device=device,
            everything=everything,
            templates=chosen or None,
            settings=settings(threads, engine_options),
            strict=strict,
            progress=progress,
        )
    # ASCII carries file names of any bytes.
    text = json.dumps(to_plain(report), indent=2, allow_nan=False)
    if output is not None:
        write_bytes(output, f"{text}\n".encode("ascii"))
    for reason in report.skipped:
        click.echo(f"skipped: {reason}", err=True)
    click.echo(text if as_json else str(report))
    if not report.evaluated:
        ctx.exit(FAILED)


@contextmanager
def _bar(length: int) -> Iterator[Callable[[int], None] | None]:
    """Show a progress bar on a terminal, and nothing in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=length, label="images", file=sys.stderr, show_pos=True) as bar:
        yield bar.update
