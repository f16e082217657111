"""``python -m edgekit.benchmarks.meters``: which meters there are here, and why the others are not."""

from __future__ import annotations

import click

from edgekit.benchmarks.meters import listing


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(as_json: bool) -> None:
    """List the meters of this device, what each reads now, and why the others cannot be used."""
    click.echo(listing.as_json() if as_json else listing.text())


if __name__ == "__main__":
    main()
