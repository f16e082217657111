"""What a side-by-side run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from edgekit.benchmarks.results.records import Pipeline
from edgekit.benchmarks.running.refusing import not_above_zero, not_among, refuse
from edgekit.benchmarks.versus.records import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.benchmarks.versus.records import Contender

PEERS: tuple[Kind, ...] = ("modern-onnx-clip", "open-clip", "onnxruntime")
GOAL = 0.04
"""Relative width of the 95 % interval at which a run ends."""


@dataclass(frozen=True)
class VersusRequest:
    """A side-by-side run.

    Attributes:
        contenders: the subject first, then those it is compared with.
        pipeline: what a query does; ``photo`` is a photo's file to its embedding here.
        data: a set in any layout of ``edgekit eval``, by its path or name; None takes the packaged samples.
        seconds: after which no round begins any more.
        goal: relative width of the interval at which the run ends before that.
        command: that repeats the run, for the record.
        root: folder under which the system's files are found; tests give another.
    """

    contenders: tuple[Contender, ...]
    pipeline: Pipeline = "photo"
    data: str | None = None
    seconds: float = 60.0
    goal: float = GOAL
    command: str = ""
    root: str = "/"


def check(request: VersusRequest) -> None:
    """Refuse what cannot be run.

    Args:
        request: as the caller made it.

    Raises:
        InputError: a value is out of its range, or two do not go together.
    """
    refuse(_problems(request))


def _problems(request: VersusRequest) -> Iterator[str]:
    names = [contender.name for contender in request.contenders]
    if len(names) < 2:
        yield "side by side needs two; give --vs B.edge, --vs-runtime NAME or --vs-peer NAME"
    if len(set(names)) < len(names):
        yield f"side by side: two contenders are called {next(n for n in names if names.count(n) > 1)!r}; rename one"
    if names and request.contenders[0].kind != "edgekit":
        yield f"side by side: {names[0]} is no bundle of edgekit, which the others are compared with; put one first"
    yield from not_among("--pipeline", request.pipeline, get_args(Pipeline))
    for contender in request.contenders:
        yield from _contender_problems(contender, request.pipeline)
    for name, amount in (("seconds", request.seconds), ("goal", request.goal)):
        yield from not_above_zero(name, amount)


def _contender_problems(contender: Contender, pipeline: Pipeline) -> Iterator[str]:
    if contender.kind not in get_args(Kind):
        yield f"{contender.name}: there is no contender {contender.kind!r}; there are {', '.join(get_args(Kind))}"
    if contender.kind != "edgekit" and pipeline != "photo":
        yield f"{contender.name}: peers turn photos into embeddings; give --pipeline photo"
    if contender.threads is not None and contender.threads < 0:
        yield f"{contender.name}: threads is {contender.threads}; give 0 (the engine's choice) or more"
