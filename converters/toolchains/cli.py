"""``edgekit toolchain``."""

from __future__ import annotations

import json
import sys

import click

from edgekit.bundle.schema import to_plain
from edgekit.cli.options import json_option
from edgekit.cli.progress import Stages
from edgekit.converters.stopping import stopping_cleanly
from edgekit.converters.toolchains import catalog, store


@click.group()
def toolchain() -> None:
    """Install vendors' compilers, each in a locked environment of its own; afterwards they work offline."""


@toolchain.command()
@click.argument("name")
@json_option
def install(name: str, as_json: bool) -> None:
    """Build the environment of the toolchain NAME, or finish one that was interrupted.

    Its licence is printed first.
    """
    wanted = catalog.find(name)
    click.echo(wanted.license, err=True)
    with stopping_cleanly(), Stages(sys.stderr) as stages:
        record = store.install(wanted, stages.next)
    if as_json:
        click.echo(json.dumps({**to_plain(record), "path": str(store.folder(name))}, indent=2))
        return
    click.echo(f"{name}: Python {record.python}, {record.size / 1e6:.0f} MB in {store.folder(name)}")


@toolchain.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the toolchains: what they are for, what they take, and which are installed."""
    rows = []
    for name in catalog.names():
        known = catalog.find(name)
        found = store.installed(known)
        rows.append({**to_plain(known), "installed": to_plain(found) if found else None})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    click.echo(f"{'name':<8} {'here':<5} {'disk':>8} {'build':>7}  for")
    for row in rows:
        here = "yes" if row["installed"] else ""
        disk = f"{row['disk_mb']} MB"
        build = f"{row['minutes']} min"
        click.echo(f"{row['name']:<8} {here:<5} {disk:>8} {build:>7}  {row['purpose']}")


@toolchain.command()
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Remove the environment of the toolchain NAME."""
    freed = store.remove(catalog.find(name))
    if as_json:
        click.echo(json.dumps({"name": name, "freed": freed}))
        return
    click.echo(f"{name}: {freed / 1e6:.0f} MB freed" if freed else f"{name}: was not installed")
