"""A report as Markdown, for a repository or a ticket."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.benchmarks.report import names, sentences, table
from edgekit.benchmarks.report.cells import markdown as text
from edgekit.benchmarks.report.cells import markdown_table, printable
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.results.records import Result


def render(results: Sequence[Result], title: str = "Benchmark") -> str:
    """Write a report.

    Args:
        results: at least one.
        title: of the report.

    Returns:
        A sentence for each run, the table, reasons of INVALID results, devices, and how to repeat each run; ends with a
        newline. Names of bundles and devices show as they are, whatever characters they hold.

    Raises:
        InputError: there is no result.
    """
    if not results:
        raise InputError("a report needs at least one result")
    parts = [f"# {text(title)}", "\n".join(f"- {text(sentences.sentence(result))}" for result in results)]
    parts += ["## Runs", markdown_table([table.HEADS, *table.rows(results)], left=1), table.NOTE]
    named = list(zip(names.labels(results), results, strict=True))
    invalid = [f"- {text(label)}: {text(reason)}" for label, result in named for reason in result.reasons]
    if invalid:
        parts += ["## Why results are INVALID", "\n".join(invalid)]
    devices = dict.fromkeys(_device(result) for result in results)
    parts += ["## Devices", "\n".join(f"- {text(device)}" for device in devices), "## How to repeat"]
    for label, result in named:
        parts.append(f"{text(label)}: bundle {text(result.subject.digest)}, {text(_versions(result))}")
        parts.append(_code(result.command))
    return "\n\n".join(parts) + "\n"


def _device(result: Result) -> str:
    found = result.context.device
    kinds = ", ".join(f"{count} × {kind}" for kind, count in sorted(found.core_kinds.items()))
    mode = f", {found.power_mode}" if found.power_mode else ""
    cores = kinds or f"{found.cores} processors"
    soc = found.soc or "unknown"
    return f"{names.device(found)}: {soc}, {cores}, {found.memory:,} MiB, {found.system}, {found.kernel}{mode}"


def _versions(result: Result) -> str:
    packages = (f"{name} {version}" for name, version in sorted(result.context.packages.items()))
    return ", ".join([f"Python {result.context.python}", *packages])


def _code(command: str) -> str:
    shown = printable(command)
    # A fence must be longer than any run of backticks inside it.
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence}sh\n{shown}\n{fence}"
