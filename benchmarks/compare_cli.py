"""``edgekit compare``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from edgekit.benchmarks.report import comparison as report
from edgekit.benchmarks.report.cells import markdown
from edgekit.benchmarks.report.write import write
from edgekit.benchmarks.results.compare import Comparison
from edgekit.benchmarks.results.compare import compare as compare_results
from edgekit.benchmarks.results.files import read_all
from edgekit.benchmarks.results.pairs import Pairs, pair
from edgekit.benchmarks.results.rules import parse
from edgekit.bundle.schema import to_plain
from edgekit.cli.options import PATH, json_option
from edgekit.errors import InputError

_FAILED = 1


@click.command()
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
@click.option(
    "--fail-if",
    "rules",
    multiple=True,
    metavar="RULE",
    help="Exit with 1 when this holds, such as 'p99>+5%' (a change) or 'rss_peak>800' (a value); repeatable.",
)
@click.option("--across", is_flag=True, help="Compare results of different models, devices or work all the same.")
@click.option("--allow-invalid", is_flag=True, help="Do not fail for a result that is INVALID.")
@click.option("--strict", is_flag=True, help="A change breaks a rule even where it is within noise.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown, for a comment of a CI system.")
@click.option(
    "--report", "reports", multiple=True, type=PATH, metavar="FILE", help="Write all results as .html, .md or .csv."
)
@json_option
def compare(
    old: Path,
    new: Path,
    rules: tuple[str, ...],
    across: bool,
    allow_invalid: bool,
    strict: bool,
    as_markdown: bool,
    reports: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Compare results of 'edgekit bench', and fail when one is worse than it may be.

    OLD and NEW are result files, or folders of them, matched by variant, runtime, scenario and settings. Quote rules:
    a shell takes > for itself.

    Exit codes: 0 no rule is broken, 1 one is, or a result is INVALID or missing in NEW, 2 wrong use.
    """
    if as_json and as_markdown:
        raise InputError("--json and --markdown: give one of them")
    parsed = [parse(rule) for rule in rules]
    before_all, after_all = read_all(old), read_all(new)
    pairs = pair(before_all, after_all, across)
    found = tuple(
        compare_results(before, after, parsed, across=across, allow_invalid=allow_invalid, strict=strict)
        for before, after in pairs.both
    )
    for path in reports:
        write(path, (*before_all, *after_all), f"{old.stem} and {new.stem}")
    failed = bool(pairs.missing) or any(comparison.failed for comparison in found)
    click.echo(_json(found, pairs, failed) if as_json else _text(found, pairs, as_markdown))
    if failed:
        sys.exit(_FAILED)


def _json(found: tuple[Comparison, ...], pairs: Pairs, failed: bool) -> str:
    plain = {"comparisons": to_plain(found), "missing": list(pairs.missing), "added": list(pairs.added)}
    return json.dumps({**plain, "failed": failed}, indent=2, allow_nan=False, ensure_ascii=False)


def _text(found: tuple[Comparison, ...], pairs: Pairs, as_markdown: bool) -> str:
    left = report.leftovers(pairs)
    if as_markdown:
        left = [f"- {markdown(line)}" for line in left]
    shown = report.markdown if as_markdown else report.text
    parts = [*(shown(comparison).rstrip("\n") for comparison in found), *(["\n".join(left)] if left else [])]
    if len(parts) > 1:
        parts.append(report.outcome(found, pairs))
    return "\n\n".join(parts)
