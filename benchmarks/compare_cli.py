"""``edgekit compare``."""

from __future__ import annotations

import click


@click.command()
def compare() -> None:
    """Compare."""
