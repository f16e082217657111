"""``edgekit classify``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.bundle.reader import open_bundle
from edgekit.cli.options import PATH, json_option, lines_of, load_options, per_tower, settings
from edgekit.errors import TextError
from edgekit.loading import load
from edgekit.locations import resolve

if TYPE_CHECKING:
    from edgekit.policies import Policy


@click.command()
@click.argument("bundle")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="TEXT",
    help="A label; repeatable.  [default: those frozen into the bundle]",
)
@click.option("--labels-file", type=PATH, metavar="FILE", help="Labels, one a line.")
@click.option("--template", "templates", multiple=True, metavar="TEXT", help="Prompt template with one {}; repeatable.")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="How many labels to show.")
@load_options
@click.option("--explain", is_flag=True, help="Say on standard error what runs where, and why.")
@json_option
def classify(
    bundle: str,
    images: tuple[str, ...],
    labels: tuple[str, ...],
    labels_file: Path | None,
    templates: tuple[str, ...],
    top: int,
    variant: str | None,
    runtime: str | None,
    device: str,
    policy: Policy | None,
    threads: int | None,
    engine_options: tuple[str, ...],
    explain: bool,
    as_json: bool,
) -> None:
    """Rank labels for photos.

    BUNDLE is a .edge file, an unpacked bundle, or the name 'starter'.
    """
    wanted = [*labels, *(lines_of(labels_file, "label") if labels_file else [])]
    if not wanted and open_bundle(resolve(bundle)).manifest.labels is None:
        raise TextError("no labels; give --label TEXT, several times, or --labels-file FILE")
    with load(
        bundle,
        variant=per_tower(variant),
        runtime=per_tower(runtime),
        device=per_tower(device),
        policy=policy,
        settings=settings(threads, engine_options),
    ) as clip:
        results = clip.classify_many(list(images), wanted or None, templates=templates or None, top=top)
        if explain:
            click.echo(clip.explain(), err=True)
    if as_json:
        plain = [{"image": r.image, "labels": [{"label": x.label, "score": x.score} for x in r]} for r in results]
        click.echo(json.dumps(plain, indent=2))
    else:
        click.echo("\n".join(str(result) for result in results))
