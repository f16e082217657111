"""The options of ``edgekit bench``: what was typed, as one record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

import click

from edgekit.benchmarks.results.records import Generator, Pipeline, ScenarioName
from edgekit.cli.options import PATH, engine_option, json_option

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")


class Numbers(click.ParamType):
    """Whole numbers with commas between them, such as ``1,4,16``."""

    name = "N[,N…]"

    def __init__(self, least: int) -> None:
        """Take numbers of `least` or more."""
        self._least = least

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers, each once, in their order."""
        if isinstance(value, tuple):
            return value
        try:
            found = tuple(dict.fromkeys(int(part) for part in str(value).split(",")))
        except ValueError:
            self.fail(f"{value!r}: give whole numbers with commas between them, such as 1,4,16", param, ctx)
        if min(found) < self._least:
            self.fail(f"{value!r}: give numbers of {self._least} or more", param, ctx)
        return found


@dataclass(frozen=True)
class Asked:
    """What was typed; see the help of each option.

    Attributes:
        bundle: BUNDLE.
        scenario: ``--scenario``.
        pipeline: ``--pipeline``.
        generator: ``--generator``.
        quick: ``--quick``.
        publish: ``--publish``.
        soak: ``--soak``, minutes; None where it was not given.
        seconds: ``--seconds``; None likewise.
        queries: ``--queries``; 0 where it was not given.
        sustained: ``--sustained``.
        batch: ``--batch``.
        threads: ``--threads``; empty where it was not given.
        streams: ``--streams``.
        target_qps: ``--target-qps``; 0 where it was not given.
        latency_bound: ``--latency-bound``; 0 likewise.
        data: ``--data``.
        labels: ``--labels``.
        variant: ``--variant``.
        runtime: ``--runtime``.
        device: ``--device``.
        engine_options: ``--option``.
        meters: ``--meter``.
        everything: ``--all``.
        vs: ``--vs``.
        vs_runtime: ``--vs-runtime``.
        vs_peer: ``--vs-peer``.
        profile: ``--profile``.
        roofline: ``--roofline``.
        hosts: ``--on``.
        fleet: ``--fleet``.
        on_python: ``--on-python``; empty where it was not given.
        on_wheels: ``--on-wheels``.
        on_keep: ``--on-keep``.
        output: ``-o``.
        reports: ``--report``.
        as_json: ``--json``.
        require_valid: ``--require-valid``.
    """

    bundle: str
    scenario: ScenarioName
    pipeline: Pipeline
    generator: Generator
    quick: bool
    publish: bool
    soak: float | None
    seconds: float | None
    queries: int
    sustained: bool
    batch: tuple[int, ...]
    threads: tuple[int, ...]
    streams: tuple[int, ...]
    target_qps: float
    latency_bound: float
    data: Path | None
    labels: Path | None
    variant: str | None
    runtime: str | None
    device: str
    engine_options: tuple[str, ...]
    meters: tuple[str, ...]
    everything: bool
    vs: tuple[str, ...]
    vs_runtime: tuple[str, ...]
    vs_peer: tuple[str, ...]
    profile: bool
    roofline: bool
    hosts: tuple[str, ...]
    fleet: Path | None
    on_python: str
    on_wheels: Path | None
    on_keep: bool
    output: Path | None
    reports: tuple[Path, ...]
    as_json: bool
    require_valid: bool


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
        "--batch", type=Numbers(1), default="1", show_default=True, help="Samples the model is given at once."
    ),
    click.option("--streams", type=Numbers(1), default="1", show_default=True, help="Threads that answer at a time."),
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
        type=Numbers(0),
        default=(),
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
