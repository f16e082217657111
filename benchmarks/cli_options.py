"""The options of ``edgekit bench``, in the order of its help."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, get_args

import click

from edgekit.benchmarks.results.records import Generator, Pipeline, ScenarioName
from edgekit.cli.options import PATH, engine_option, json_option

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")


def numbers(least: int) -> Callable[[click.Context, click.Parameter, str], tuple[int, ...]]:
    """Return what reads whole numbers with commas between them, such as ``1,4,16``.

    Args:
        least: that each may be.

    Returns:
        A callback for an option, which gives the numbers, each once, in their order; none for an empty text.
    """

    def read(ctx: click.Context, param: click.Parameter, given: str) -> tuple[int, ...]:
        try:
            found = tuple(dict.fromkeys(int(part) for part in given.split(","))) if given else ()
        except ValueError as error:
            raise click.BadParameter(
                f"{given!r}: give whole numbers with commas between them, such as 1,4,16", ctx, param
            ) from error
        if found and min(found) < least:
            raise click.BadParameter(f"{given!r}: give numbers of {least} or more", ctx, param)
        return found

    return read


def bench_options(command: F) -> F:
    """Add every option of ``edgekit bench``, in the order of its help."""
    for option in reversed((*_WORK, *_LENGTH, *_ENGINE, *_SIDE_BY_SIDE, *_PLACE, *_OUTPUT)):
        command = option(command)
    return command


_WORK = (
    click.option(
        "--pipeline",
        type=click.Choice(get_args(Pipeline)),
        default="photo",
        show_default=True,
        help="What a query does: a photo's file to ranked labels, pixels to an embedding, or a text to one.",
    ),
    click.option(
        "--scenario",
        type=click.Choice(get_args(ScenarioName)),
        default="single-stream",
        show_default=True,
        help="How queries come, by MLPerf's names: one after another; one from each of several streams at once; at "
        "random moments; all at once.",
    ),
    click.option(
        "--batch",
        metavar="N[,N…]",
        callback=numbers(1),
        default="1",
        show_default=True,
        help="Samples the model is given at once.",
    ),
    click.option(
        "--streams",
        metavar="N[,N…]",
        callback=numbers(1),
        default="1",
        show_default=True,
        help="Threads that answer at a time.",
    ),
    click.option("--target-qps", type=float, default=0.0, metavar="QPS", help="Arrivals a second, for server."),
    click.option(
        "--latency-bound",
        type=float,
        default=0.0,
        metavar="MS",
        help="What the p99 must keep, for server; else INVALID.",
    ),
    click.option(
        "--generator",
        type=click.Choice(get_args(Generator)),
        default="edgekit",
        show_default=True,
        help="Who issues the queries: our own loop, or MLPerf's LoadGen (edgekit[loadgen]).",
    ),
    click.option("--data", type=PATH, metavar="PATH", help="Photo, folder of photos, or texts.  [default: packaged]"),
    click.option(
        "--labels", type=PATH, metavar="FILE", help="Labels, one a line.  [default: frozen ones, else packaged]"
    ),
)
_LENGTH = (
    click.option("--quick", is_flag=True, help="60 s, enough for VALID.  [default]"),
    click.option("--publish", is_flag=True, help="600 s, as MLPerf asks of a figure that is published."),
    click.option(
        "--soak", type=float, metavar="MINUTES", help="So many minutes; throttling is then measured, not a fault."
    ),
    click.option("--seconds", type=float, metavar="S", help="So many seconds; fewer than 60 are never VALID."),
    click.option(
        "--queries", type=click.IntRange(0), default=0, metavar="N", help="At least so many.  [default: as VALID needs]"
    ),
    click.option("--sustained", is_flag=True, help="Take throttling for part of what is measured."),
)
_ENGINE = (
    click.option("--variant", help="Variant to measure.  [default: what 'edgekit.load' takes here]"),
    click.option("--runtime", help="Runtime to use.  [default: likewise]"),
    click.option("--device", default="auto", show_default=True, help="Device, as the runtime calls it."),
    click.option(
        "--threads",
        metavar="N[,N…]",
        callback=numbers(0),
        default="",
        help="Threads of one inference; 0: one per core.  [default: as tuned]",
    ),
    engine_option,
)
_SIDE_BY_SIDE = (
    click.option("--all", "everything", is_flag=True, help="Every variant on every runtime that opens it, one table."),
    click.option("--vs", multiple=True, metavar="B.edge", help="Beside another bundle, in turns; repeatable."),
    click.option("--vs-runtime", multiple=True, metavar="NAME", help="Beside another runtime, in turns; repeatable."),
    click.option(
        "--vs-peer",
        multiple=True,
        metavar="NAME[=MODEL]",
        help="Beside another library, in turns; repeatable: modern-onnx-clip, open-clip, onnxruntime.",
    ),
    click.option("--profile", is_flag=True, help="Say, too, where the time goes: per operator and part of the model."),
    click.option("--roofline", is_flag=True, help="Say, too, how far it is from what this device can do."),
)
_PLACE = (
    click.option(
        "--meter",
        "meters",
        multiple=True,
        metavar="NAME[=SETTING]",
        help="Only this sensor; repeatable.  [default: all]",
    ),
    click.option("--on", "hosts", multiple=True, metavar="ssh://USER@HOST", help="Run there; repeatable."),
    click.option("--fleet", type=PATH, metavar="FILE", help="Run on the boards that a YAML file names."),
    click.option(
        "--on-python",
        default="",
        metavar="PATH",
        help="For --on: use this interpreter's packages.  [default: new ones]",
    ),
    click.option("--on-wheels", type=PATH, metavar="FOLDER", help="For --on: wheels for boards without a network."),
    click.option("--on-keep", is_flag=True, help="Leave what was sent on the boards, for the next run."),
    click.option(
        "--on-patience",
        type=click.FloatRange(min=0),
        default=300.0,
        show_default=True,
        metavar="S",
        help="How long to wait for a board whose link dropped.",
    ),
)
_OUTPUT = (
    click.option(
        "-o",
        "--output",
        type=PATH,
        metavar="FILE.json|FOLDER",
        help="Write results: all into a file, or each into one of its own in a folder.  [default: only print]",
    ),
    click.option(
        "--report", "reports", multiple=True, type=PATH, metavar="FILE", help="Write a .html, .md or .csv; repeatable."
    ),
    click.option("--require-valid", is_flag=True, help="Exit with 1 unless every result is VALID."),
    json_option,
)
