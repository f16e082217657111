"""``edgekit compile``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import click

from edgekit.bundle.schema import to_plain
from edgekit.cli.progress import Stages
from edgekit.converters.stopping import stopping_cleanly
from edgekit.converters.targets.records import Precision
from edgekit.errors import InputError

if TYPE_CHECKING:
    from edgekit.converters.targets.compile import Report

_PATH = click.Path(path_type=Path)


@click.command("compile")
@click.argument("bundle", required=False)
@click.option("--target", metavar="CHIP", help="Chip to compile for, such as rk3588; see --list.")
@click.option("-o", "--output", type=_PATH, metavar="OUT.edge", help="The bundle to write.")
@click.option("--precision", type=click.Choice(get_args(Precision)), help="[default: the chip's first]")
@click.option("--towers", metavar="A,B", help="Towers in that precision; the other gets the best that costs little.")
@click.option("--data", metavar="PATH_OR_NAME", help="Images, best with texts.  [default: the fetched set stamps]")
@click.option("--rows", default=64, show_default=True, help="Images held out to prove the result on.")
@click.option("--min-centred", type=float, metavar="COSINE", help="[default: 0.99 in 16 bits, 0.97 in 8]")
@click.option("--context", is_flag=True, help="Also pack what the device would compile at its first load (Qualcomm).")
@click.option("--list", "listing", is_flag=True, help="List the chips, and how each is proven.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def compile_(
    bundle: str | None,
    target: str | None,
    output: Path | None,
    precision: str | None,
    towers: str | None,
    data: str | None,
    rows: int,
    min_centred: float | None,
    context: bool,
    listing: bool,
    as_json: bool,
) -> None:
    """Compile a bundle for a chip; the new variant is proven on held-out data and packed beside the others.

    BUNDLE holds float32 towers ('edgekit convert … --weights float32').
    """
    from edgekit.converters.targets import catalog
    from edgekit.converters.targets import compile as work

    if listing:
        click.echo(_listing(as_json=as_json))
        for told in catalog.broken():
            click.echo(f"note: {told}", err=True)
        return
    if bundle is None or target is None or output is None:
        raise InputError(
            "compile: give BUNDLE, --target CHIP and -o OUT.edge; 'edgekit compile --list' lists the chips"
        )
    named = tuple(part.strip() for part in (towers or "").split(",") if part.strip())
    options = work.CompileOptions(cast("Precision | None", precision), named, data, rows, min_centred, context)
    with stopping_cleanly(), Stages(sys.stderr) as stages:
        report = work.compile_bundle(bundle, target, output, options, stages.next)
    click.echo(json.dumps(to_plain(report), indent=2) if as_json else table(report))


def table(report: Report) -> str:
    """Return a compilation's report as a short table."""
    top1 = report.fidelity.image_to_text.top1
    lines = [
        f"{report.bundle}  variant {report.variant}  proof: {report.proof}  {report.seconds:.0f} s",
        "",
        f"{'tower':<6} {'in':<8} {'MB':>7} {'cosine':>8} {'centred':>8} {'least':>8} {'s':>5} {'GB':>5}",
    ]
    for name, one in report.towers.items():
        seen = one.fidelity
        memory = f"{one.peak_bytes / 1e9:5.1f}" if one.peak_bytes else "    -"
        lines.append(
            f"{name:<6} {one.precision:<8} {one.size / 1e6:7.1f} {seen.cosine_mean:8.5f} {seen.centred_mean:8.5f} "
            f"{seen.centred_min:8.5f} {one.seconds:5.0f} {memory}"
        )
    lines += [
        "",
        f"best text as float's: {top1.value:.1%} ± {top1.error:.1%} of {top1.n} images ({report.fidelity.data})",
    ]
    for name, one in report.towers.items():
        lines += [f"{name}, {fact}: {value}" for fact, value in one.facts.items()]
    return "\n".join([*lines, *(f"note: {note}" for note in report.notes)])


def _listing(*, as_json: bool) -> str:
    from edgekit.converters.targets.compile import targets_table
    from edgekit.converters.toolchains import catalog, store

    rows = []
    for chip, maker in targets_table():
        here = not maker.toolchain or store.installed(catalog.find(maker.toolchain)) is not None
        rows.append({**to_plain(chip), "toolchain": maker.toolchain, "installed": here, "format": maker.format})
    if as_json:
        return json.dumps(rows, indent=2)
    lines = [f"{'chip':<16} {'precisions':<20} {'proof':<28} {'toolchain':<10} {'here':<5} note"]
    for row in rows:
        installed = "yes" if row["installed"] else ""
        precisions, tool = ",".join(row["precisions"]), row["toolchain"] or "-"
        lines.append(f"{row['name']:<16} {precisions:<20} {row['proof']:<28} {tool:<10} {installed:<5} {row['note']}")
    return "\n".join(lines)
