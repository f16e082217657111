"""``edgekit quantize``."""

from __future__ import annotations

import json
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from edgekit.bundle.schema import to_plain
from edgekit.cli.progress import Stages
from edgekit.converters.quantize.settings import FORMATS, Cut, Objective, Settings
from edgekit.errors import ConversionError
from edgekit.golden import TOWERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATH = click.Path(path_type=Path)
FAILED = 1


@click.command()
@click.argument("bundle")
@click.option("-o", "--output", required=True, type=_PATH, metavar="OUT.edge", help="The bundle to write.")
@click.option("--data", metavar="PATH_OR_NAME", help="Images, best with texts.  [default: the fetched set stamps]")
@click.option("--budget", default=20.0, show_default=True, metavar="MINUTES", help="Time that the search may take.")
@click.option(
    "--max-drop", type=float, metavar="POINTS", help="Largest drop of recall@1 or top-1, where there are labels."
)
@click.option(
    "--min-agreement",
    default=0.99,
    show_default=True,
    metavar="SHARE",
    help="Least top-1 agreement with float on held-out data; 0 takes the fastest.",
)
@click.option("--for", "objective", type=click.Choice(get_args(Objective)), default="latency", show_default=True)
@click.option("--methods", metavar="A,B", help="Methods to try.  [default: those that suit the target]")
@click.option("--towers", default=",".join(TOWERS), show_default=True, metavar="A,B", help="Towers that may change.")
@click.option("--target", default="any", show_default=True, help="Processor: any, cpu (this one), x86-vnni …")
@click.option(
    "--threads", default=1, show_default=True, type=click.IntRange(0), help="Of the inferences that are timed."
)
@click.option("--keep-float", is_flag=True, help="Leave the float variant in the new bundle.")
@click.option("--formats", default="onnx", show_default=True, metavar="A,B", help=f"Of {','.join(FORMATS)}.")
@click.option("--calibration", type=click.Choice(get_args(Cut)), default="minmax", show_default=True)
@click.option(
    "--smoothing/--no-smoothing",
    default=True,
    show_default=True,
    help="Try moving activation outliers into the weights.",
)
@click.option("--resume", type=_PATH, metavar="FOLDER", help="Continue an interrupted search of the same settings.")
@click.option("--json", "as_json", is_flag=True, help="Print every figure as JSON.")
@click.pass_context
def quantize(
    ctx: click.Context,
    bundle: str,
    output: Path,
    data: str | None,
    budget: float,
    max_drop: float | None,
    min_agreement: float,
    objective: Objective,
    methods: str | None,
    towers: str,
    target: str,
    threads: int,
    keep_float: bool,
    formats: str,
    calibration: Cut,
    smoothing: bool,
    resume: Path | None,
    as_json: bool,
) -> None:
    """Find the fastest quantized variant that keeps its promise on held-out data, on this device.

    BUNDLE holds float32 towers ('edgekit convert … --weights float32'). Exits with 1 when nothing passes; OUT.edge then
    holds float. Ctrl-C ends the search with the best that has passed so far.
    """
    from edgekit.converters.quantize import report, run
    from edgekit.converters.quantize.crew import Interrupted

    settings = Settings(
        minutes=budget,
        min_agreement=min_agreement,
        max_drop=max_drop,
        methods=_names(methods or ""),
        towers=_names(towers),
        objective=objective,
        target=target,
        threads=threads,
        keep_float=keep_float,
        formats=_names(formats),
        calibration=calibration,
        smoothing=smoothing,
    )
    with _asking_to_stop() as stopped, Stages(sys.stderr) as stages:
        try:
            found, trades = run.quantize(
                bundle, output, settings, data_set=data, resume=resume, stopped=stopped, on_stage=stages.next
            )
        except Interrupted as error:
            folder = resume or output.with_suffix(run.SUFFIX)
            hint = f"; continue with '--resume {folder}'" if (folder / run.IDENTITY).exists() else ""
            raise ConversionError(f"stopped before anything had passed; no bundle was written{hint}") from error
    click.echo(json.dumps(to_plain(found), indent=2) if as_json else report.table(found, trades))
    if not found.delivered or found.litert:
        ctx.exit(FAILED)


@contextmanager
def _asking_to_stop() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a wish to stop; the second ends the program at once."""
    asked: list[int] = []

    def ask(number: int, _: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    # Only the main thread may set handlers; elsewhere the application has its own way to stop.
    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, ask) for number in signals}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
