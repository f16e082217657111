"""``edgekit cache``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from edgekit.cli.options import json_option
from edgekit.runtimes import compiled_cache


@click.group()
def cache() -> None:
    """Compiled models that were kept on this device, so that only the first load compiles."""


@cache.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List what was kept, the least recently used first: it goes first when there is no room."""
    found, limit = compiled_cache.entries(), compiled_cache.limit_bytes()
    if as_json:
        rows = [{**asdict(entry.key), "bytes": entry.size, "folder": str(entry.folder)} for entry in found]
        click.echo(json.dumps({"limit": limit, "entries": rows}, indent=2))
        return
    for entry in found:
        key = entry.key
        click.echo(f"{entry.size / 1e6:8.1f} MB  {key.device}  {key.runtime}, {key.compiler}  {entry.folder.name}")
    total = sum(entry.size for entry in found)
    click.echo(f"{total / 1e6:8.1f} MB of {limit / 1e6:.0f} in {compiled_cache.home()}")


@cache.command()
@json_option
def clear(as_json: bool) -> None:
    """Remove everything that was kept; the next load compiles again."""
    freed = compiled_cache.clear()
    click.echo(json.dumps({"freed": freed}) if as_json else f"{freed / 1e6:.1f} MB freed")
