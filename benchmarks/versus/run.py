"""A side-by-side run: two or more contenders, each in its own process, in interleaved blocks."""

from __future__ import annotations

import platform
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from edgekit import __version__
from edgekit.benchmarks.device import identity, judge, state
from edgekit.benchmarks.meters import registry
from edgekit.benchmarks.meters.sampling import Sampler
from edgekit.benchmarks.results.context_records import Context
from edgekit.benchmarks.results.records import Estimate
from edgekit.benchmarks.running.events import Note, Phase, Tick
from edgekit.benchmarks.versus import likeness, rounds
from edgekit.benchmarks.versus.answering import Brief
from edgekit.benchmarks.versus.process import Process
from edgekit.benchmarks.versus.records import SCHEMA_VERSION, Comparison, Side, Versus
from edgekit.benchmarks.versus.request import check
from edgekit.benchmarks.workloads.inputs import gather, require
from edgekit.bundle.reader import open_bundle
from edgekit.locations import resolve
from edgekit.ratios import Ratio, ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgekit.benchmarks.meters.protocol import Meter
    from edgekit.benchmarks.running.events import Event
    from edgekit.benchmarks.versus.records import Contender, Opened
    from edgekit.benchmarks.versus.request import VersusRequest
    from edgekit.benchmarks.workloads.inputs import Inputs

    Tell = Callable[[Event], None]

# Embeddings that are compared, before the rounds and after them.
_BEFORE, _AFTER = 16, 4
_GLANCE = 1.0


@dataclass
class _Turn:
    """A contender that takes part, and what is known of it."""

    contender: Contender
    process: Process
    opened: Opened
    first_ms: float
    times: list[float]
    rows: list[tuple[float, ...]]


def run(request: VersusRequest, on_event: Tell) -> Versus:
    """Run contenders side by side.

    Args:
        request: what to compare.
        on_event: called with what happens, for a person who watches.

    Returns:
        What was found; look at its `verdict` and `reasons` before its figures.

    Raises:
        InputError: the request cannot be run.
        MissingDependencyError: a peer is not installed; the message names the command that installs it.
        EdgekitError: a contender refused to open, failed, crashed or hung.
    """
    check(request)
    root, date = Path(request.root), datetime.now(timezone.utc)
    device = identity.identify(root)
    inputs = gather(request.data, open_bundle(resolve(request.contenders[0].model)))
    require(inputs, request.pipeline)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgekit-versus-")))
        samples = _samples(request, inputs, folder)
        turns = [_opened(contender, request, samples, stack, on_event) for contender in request.contenders]
        before = state.read(root, _GLANCE)
        with Sampler([meter for meter in registry.find(root) if not _is_electric(meter)]) as sampler:
            begin = time.perf_counter_ns()
            found = _rounds(request, turns, len(samples), on_event)
        after = state.read(root, _GLANCE)
        on_event(Phase("check"))
        for turn in turns:
            turn.rows += [turn.process.ask(i, tell=True).row for i in range(min(_AFTER, len(samples)))]
        sides = [_side(turn, found.blocks[turn.contender.name]) for turn in turns]
    context = Context(device, before, after, _packages(turns), platform.python_version())
    comparisons = tuple(_comparison(turns[0], turn, found.blocks) for turn in turns[1:])
    reasons = (
        *judge.reasons(before, after, sampler.series(begin), False, device),
        *_disagreements(request, turns[0].opened, comparisons),
    )
    on_event(Phase("done"))
    return Versus(
        schema_version=SCHEMA_VERSION,
        date=date.strftime("%Y-%m-%dT%H:%M:%SZ"),
        edgekit=__version__,
        pipeline=request.pipeline,
        data=inputs.name,
        samples=len(samples),
        queries=found.queries,
        rounds=len(found.orders),
        seconds=found.seconds,
        goal=request.goal,
        ended=found.ended,
        subject=sides[0],
        others=tuple(sides[1:]),
        comparisons=comparisons,
        context=context,
        verdict="INVALID" if reasons else "VALID",
        reasons=reasons,
        command=request.command,
    )


def _samples(request: VersusRequest, inputs: Inputs, folder: Path) -> tuple[str, ...]:
    """Return the samples as every contender gets them: texts, or paths of photos."""
    if request.pipeline == "text":
        return inputs.texts
    paths = []
    for i, photo in enumerate(inputs.photos):
        if isinstance(photo, bytes):
            path = folder / f"{i:04}.jpg"
            path.write_bytes(photo)
            photo = str(path)
        paths.append(str(Path(photo).absolute()))
    return tuple(paths)


def _opened(
    contender: Contender, request: VersusRequest, samples: tuple[str, ...], stack: ExitStack, tell: Tell
) -> _Turn:
    """Start a contender, warm it up, and keep its embeddings."""
    tell(Phase(f"open {contender.name}"))
    process = stack.enter_context(Process(Brief(contender, request.pipeline, samples)))
    opened = process.open()
    first = process.ask(0).ns / 1e6
    turn = _Turn(contender, process, opened, first, [], [])
    for i in range(min(_BEFORE, len(samples))):
        answer = process.ask(i, tell=True)
        turn.rows.append(answer.row)
        turn.times.append(answer.ns / 1e6)
    process.rest()
    return turn


def _rounds(request: VersusRequest, turns: Sequence[_Turn], samples: int, tell: Tell) -> rounds.Rounds:
    tell(Phase("measure", request.seconds))

    def told(found: rounds.Rounds) -> None:
        done = sum(map(len, found.blocks.values())) * found.queries
        tell(Tick(found.seconds, request.seconds, done))

    found = rounds.interleave(
        {turn.contender.name: turn.process for turn in turns},
        samples,
        rounds.block_size([median(turn.times) for turn in turns]),
        seconds=request.seconds,
        goal=request.goal,
        on_round=told,
    )
    if found.ended == "time":
        tell(Note(f"time was up before every interval was narrower than {request.goal:.0%} of its ratio"))
    return found


def _side(turn: _Turn, blocks: Sequence[float]) -> Side:
    return Side(
        name=turn.contender.name,
        kind=turn.contender.kind,
        opened=turn.opened,
        running=turn.process.running(),
        first_ms=turn.first_ms,
        p50=_estimate(ratio(blocks, [1.0] * len(blocks))),
        blocks=tuple(blocks),
        rss_peak=turn.process.rss_peak(),
    )


def _comparison(subject: _Turn, other: _Turn, blocks: dict[str, list[float]]) -> Comparison:
    return Comparison(
        other=other.contender.name,
        ratio=_estimate(ratio(blocks[other.contender.name], blocks[subject.contender.name])),
        agreement=likeness.agreement(subject.opened, subject.rows, other.opened, other.rows),
    )


def _estimate(found: Ratio) -> Estimate:
    return Estimate(found.median, found.low, found.high, found.n)


def _disagreements(request: VersusRequest, subject: Opened, comparisons: Sequence[Comparison]) -> list[str]:
    """Say which contenders' embeddings are not the subject's, by the tolerance of its own golden check."""
    bundle = open_bundle(resolve(request.contenders[0].model))
    variant = next(v for v in bundle.manifest.variants if v.id == subject.variant)
    record = variant.towers["text" if request.pipeline == "text" else "image"]
    least = record.tolerance.cosine_min
    problems = (likeness.problem(one.agreement, one.other, least) for one in comparisons)
    return [problem for problem in problems if problem]


def _is_electric(meter: Meter) -> bool:
    return any(channel.kind in ("power", "energy") for channel in meter.channels())


def _packages(turns: Sequence[_Turn]) -> dict[str, str]:
    """Return the versions of what computed, and of what decoded."""
    from importlib.metadata import version

    engines = dict(turn.opened.engine.split(" ", 1) for turn in turns if " " in turn.opened.engine)
    return {**{name: version(name) for name in ("numpy", "pillow")}, **engines}
