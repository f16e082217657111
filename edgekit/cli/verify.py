"""``edgekit verify``."""

from __future__ import annotations

import json

import click

from edgekit.bundle.reader import open_bundle
from edgekit.bundle.schema import to_plain
from edgekit.cli.main import FAILED
from edgekit.cli.options import engine_option, json_option, settings, threads_option
from edgekit.locations import resolve
from edgekit.verification import Verification
from edgekit.verification import verify as run


@click.command()
@click.argument("bundle")
@threads_option
@engine_option
@json_option
@click.pass_context
def verify(
    ctx: click.Context, bundle: str, threads: int | None, engine_options: tuple[str, ...], as_json: bool
) -> None:
    """Prove a bundle on this device: digests, pixels, token ids, golden vectors on every runtime that works here.

    BUNDLE is a .edge file, an unpacked bundle, or the name 'starter'. Exits with 1 when any runtime here returns wrong
    numbers or none works.
    """
    found = run(open_bundle(resolve(bundle)), settings=settings(threads, engine_options))
    if as_json:
        click.echo(json.dumps({"passed": found.passed, **to_plain(found)}, indent=2, allow_nan=False))
    else:
        click.echo(report(found))
    if not found.passed:
        ctx.exit(FAILED)


def report(found: Verification) -> str:
    """Return a verification as text for a person."""
    lines = [
        f"digests    {found.members} members",
        f"pixels     at most {found.pixels_max} of 255 apart",
    ]
    if found.texts:
        lines.append(f"token ids  equal on {found.texts} texts")
    if found.labels:
        lines.append(f"labels     {found.labels} frozen, scores at most {found.scores_max:.1e} apart")
    for candidate in found.candidates:
        lines += [str(candidate), *(f"  {check}" for check in candidate.checks)]
    return "\n".join([*lines, "PASSED" if found.passed else "FAILED"])
