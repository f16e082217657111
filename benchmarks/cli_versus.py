"""``edgekit bench --vs…`` and ``--all``: contenders in turns, and every variant on every runtime."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.atomic import write_bytes
from edgekit.benchmarks import cli_output
from edgekit.benchmarks.cli_runs import requests, seconds_of
from edgekit.benchmarks.cli_words import words
from edgekit.benchmarks.results import files
from edgekit.benchmarks.running.request import check
from edgekit.benchmarks.versus.records import Contender
from edgekit.benchmarks.versus.request import PEERS, VersusRequest
from edgekit.cli.options import settings
from edgekit.errors import InputError
from edgekit.locations import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.benchmarks.cli_asked import Asked
    from edgekit.benchmarks.versus.records import Kind


def run_beside(asked: Asked) -> bool:
    """Run contenders in turns, print how they compare, and write what was to be written.

    Args:
        asked: as it was typed.

    Returns:
        False when the ratios are not VALID and had to be.

    Raises:
        EdgekitError: the request cannot be run, or a contender failed.
    """
    from edgekit.benchmarks.report import cells, side_by_side
    from edgekit.benchmarks.versus.run import run

    request = VersusRequest(
        contenders=contenders(asked),
        pipeline=asked.pipeline,
        data=None if asked.data is None else str(asked.data),
        seconds=seconds_of(asked),
        command=shlex.join(["edgekit", "bench", asked.bundle, *map(str, words(asked))]),
    )
    with cli_output.live() as tell:
        found = run(request, tell)
    text = files.dumps_record(found)
    # Printed first: what was measured must not be lost with a file that cannot be written.
    if asked.as_json:
        click.echo(text, nl=False)
    else:
        chart = side_by_side.versus(found)
        lines = cells.aligned([chart.heads, *chart.rows], 1)
        click.echo("\n".join([side_by_side.sentence(found), *lines]))
    if asked.output is not None:
        write_bytes(cli_output.one_file(asked.output, "versus.json"), text.encode())
    cli_output.write_side_by_side(asked, found)
    return not asked.require_valid or found.verdict == "VALID"


def run_everything(asked: Asked) -> bool:
    """Run every variant on every runtime that opens it, print one table, and write what was to be written.

    Each result is written as soon as it is there. Ctrl-C ends all, and leaves what was measured until then.

    Args:
        asked: as it was typed.

    Returns:
        False when nothing ran, something could not be written, or is not VALID and had to be.

    Raises:
        EdgekitError: the request cannot be run, or nothing opens any variant.
        KeyboardInterrupt: Ctrl-C came; what was measured until then is printed and written.
    """
    from edgekit.benchmarks.versus.matrix import MatrixInterruptedError, matrix

    request = requests(asked)[0]
    check(request)
    failures: list[str] = []
    interrupted = False
    with cli_output.live() as tell:
        try:
            table, results = matrix(request, tell, lambda found: cli_output.keep_or_tell(asked, found, failures))
        except MatrixInterruptedError as error:
            table, results, interrupted = error.table, error.results, True
    for failure in failures:
        click.echo(f"failed: {failure}", err=True)
    if results:
        cli_output.show(asked, results, table)
    for row in table.rows:
        if not row.result:
            where = f"{row.variant} on {row.runtime} ({row.device})"
            click.echo(f"not measured: {where}: {'; '.join(row.reasons)}", err=True)
    if interrupted:
        raise KeyboardInterrupt
    return bool(results) and not failures and cli_output.good(asked, results)


def contenders(asked: Asked) -> tuple[Contender, ...]:
    """Return the bundle and what it is measured beside.

    Args:
        asked: as it was typed.

    Returns:
        The bundle first; no two of the same name.

    Raises:
        InputError: there is no such peer, or an option is not ``NAME=VALUE``.
    """
    found = [_bundle(asked, asked.bundle, Path(asked.bundle).stem, asked.runtime)]
    found += [_bundle(asked, other, Path(other).stem, asked.runtime) for other in asked.vs]
    found += [_bundle(asked, asked.bundle, f"{found[0].name} on {name}", name) for name in asked.vs_runtime]
    found += [_peer(asked, given) for given in asked.vs_peer]
    return tuple(_distinct(found))


def _bundle(asked: Asked, bundle: str, name: str, runtime: str | None) -> Contender:
    engine = settings(None, asked.engine_options)
    # Another bundle has other variants, and another runtime opens other formats.
    same = bundle == asked.bundle and runtime == asked.runtime
    return Contender(
        name=name,
        kind="edgekit",
        model=str(resolve(bundle)),
        variant=(asked.variant or "") if same else "",
        runtime=runtime or "",
        device=asked.device if same else "auto",
        threads=asked.threads[0] if asked.threads else None,
        options=engine.options if engine and same else (),
    )


def _peer(asked: Asked, given: str) -> Contender:
    name, _, model = given.partition("=")
    kind: Kind | None = next((peer for peer in PEERS if peer == name), None)
    if kind is None:
        raise InputError(f"--vs-peer {given}: there is no peer {name!r}; there are {', '.join(PEERS)}")
    threads = asked.threads[0] if asked.threads else None
    return Contender(name=name, kind=kind, model=model or str(resolve(asked.bundle)), threads=threads)


def _distinct(found: list[Contender]) -> Iterator[Contender]:
    from dataclasses import replace

    taken: set[str] = set()
    for contender in found:
        name = next(n for i in range(len(found) + 1) if (n := _nth(contender.name, i)) not in taken)
        taken.add(name)
        yield replace(contender, name=name)


def _nth(name: str, i: int) -> str:
    return f"{name} ({i + 1})" if i else name
