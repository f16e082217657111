"""All variants of a bundle on all runtimes that open them here, one run each, in one table."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import pareto
from edgekit.benchmarks.meters.thermal import Thermal
from edgekit.benchmarks.running.events import Note, Phase
from edgekit.benchmarks.running.interrupting import RunInterruptedError
from edgekit.benchmarks.running.request import check
from edgekit.benchmarks.running.run import run
from edgekit.benchmarks.running.subject import is_float, size_of, towers_of
from edgekit.benchmarks.versus.records import SCHEMA_VERSION, Matrix, Row
from edgekit.benchmarks.workloads.inputs import gather, require
from edgekit.bundle.reader import open_bundle
from edgekit.choices import list_choices
from edgekit.errors import EdgekitError
from edgekit.locations import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgekit.benchmarks.results.records import Result
    from edgekit.benchmarks.running.events import Event
    from edgekit.benchmarks.running.request import RunRequest
    from edgekit.bundle.manifest import VariantRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.judging import Choice
    from edgekit.results import Candidate

# A run starts where the one before did: within so many degrees of the first's temperatures, or after so long.
_WARMER, _COOLING, _LOOK = 3.0, 60.0, 1.0


_LEFT = "Ctrl-C came before its run"


class MatrixInterruptedError(KeyboardInterrupt):
    """Ctrl-C came when something had been measured, and before every variant had its run.

    It is a `KeyboardInterrupt`, so that whoever does not look for it ends as ever.

    Args:
        table: with a reason in each row that did not run.
        results: of those that ran; the last one may be of a part of its run, and is INVALID then.
    """

    def __init__(self, table: Matrix, results: tuple[Result, ...]) -> None:
        super().__init__(_LEFT)
        self.table = table
        self.results = results


@dataclass(frozen=True)
class _Entry:
    """A row and what its place on the front depends on."""

    row: Row
    point: tuple[float, float, float] | None


def matrix(
    request: RunRequest,
    on_event: Callable[[Event], None],
    on_result: Callable[[Sequence[Result]], None] = lambda results: None,
) -> tuple[Matrix, tuple[Result, ...]]:
    """Run every variant on every runtime that opens it here, one after another, each from the same temperature.

    Args:
        request: of each run; its variant, runtime and device, where given, narrow the choice.
        on_event: called with what happens.
        on_result: called with the results so far, each time that there is a new one.

    Returns:
        The table, and the results of those that ran, in its order.

    Raises:
        InputError: the request, the bundle or the data cannot be used.
        RuntimeUnavailableError: nothing here opens any variant.
        MatrixInterruptedError: Ctrl-C came when something had been measured; it has the results of that.
    """
    check(request)
    bundle, date = open_bundle(resolve(request.bundle)), datetime.now(timezone.utc)
    towers_of(request.pipeline, bundle)
    # Read here, too, so that data that nobody can read does not fail once for each variant.
    inputs = gather(request.data, bundle)
    require(inputs, request.pipeline)
    choices, refused = list_choices(bundle, request.variant, request.runtime, request.device)
    root = Path(request.root)
    entries: list[_Entry] = []
    results: list[Result] = []
    cold: Mapping[str, float] = Thermal(root).read()

    def keep(choice: Choice, result: Result) -> None:
        results.append(result)
        entries.append(_ran(bundle, choice, result))
        on_result(tuple(results))

    interrupted = False
    for number, choice in enumerate(choices):
        on_event(Note(f"{number + 1} of {len(choices)}: {_shown(choice)}"))
        asked = replace(request, variant=choice.variant.id, runtime=choice.runtime.name, device=choice.device)
        try:
            if number:
                cool(root, cold, on_event)
            result = run(replace(asked, threads=request.threads or 0), on_event)
        except EdgekitError as error:
            on_event(Note(f"{_shown(choice)}: {error}"))
            entries.append(_failed(bundle, choice, str(error)))
        except RunInterruptedError as error:
            keep(choice, error.result)
            interrupted = True
            break
        except KeyboardInterrupt:
            if not results:
                raise
            interrupted = True
            break
        else:
            keep(choice, result)
    entries += [_failed(bundle, choice, _LEFT) for choice in choices[len(entries) :]]
    entries += [_refused(bundle, candidate) for candidate in refused]
    table = Matrix(
        schema_version=SCHEMA_VERSION,
        date=date.strftime("%Y-%m-%dT%H:%M:%SZ"),
        bundle=bundle.manifest.name,
        digest=bundle.digest,
        pipeline=request.pipeline,
        data=inputs.name,
        rows=_with_front(entries),
    )
    if interrupted:
        raise MatrixInterruptedError(table, tuple(results))
    return table, tuple(results)


def cool(root: Path, cold: Mapping[str, float], on_event: Callable[[Event], None], most: float = _COOLING) -> None:
    """Wait until every zone is nearly as cold as before the first run.

    Args:
        root: folder that holds ``sys``.
        cold: °C by zone, before the first run; empty where the device does not tell.
        on_event: told once when there is something to wait for.
        most: seconds after which the next run begins anyway.
    """
    end = time.monotonic() + most
    told = False
    while time.monotonic() < end:
        now = Thermal(root).read()
        if all(now.get(zone, degrees) <= degrees + _WARMER for zone, degrees in cold.items()):
            return
        if not told:
            on_event(Phase("cool", most))
            told = True
        time.sleep(min(_LOOK, most))


def _shown(choice: Choice) -> str:
    return f"{choice.variant.id} on {choice.runtime.name} ({choice.device})"


def _ran(bundle: Bundle, choice: Choice, result: Result) -> _Entry:
    golden, variant = result.accuracy.after, choice.variant
    row = Row(
        variant=variant.id,
        precision=variant.precision,
        runtime=f"{choice.runtime.name} {choice.version}",
        device=choice.device,
        size=result.subject.size,
        fidelity=result.accuracy.agreement,
        cosine=min(golden.cosine, result.accuracy.before.cosine),
        p50=result.p50,
        p99=result.p99,
        throughput=result.throughput.value,
        memory=result.memory.rss_peak,
        joules=result.energy.per_inference,
        verdict=result.verdict,
        reasons=result.reasons,
        front=False,
        result=result.id,
    )
    # The float model agrees with itself; another one without a record may be anything.
    known = 1.0 if is_float(variant) else float("nan")
    fidelity = known if row.fidelity is None else row.fidelity
    point = (-fidelity, result.p50, float(row.size)) if result.verdict == "VALID" else None
    return _Entry(row, point)


def _failed(bundle: Bundle, choice: Choice, reason: str) -> _Entry:
    runtime = f"{choice.runtime.name} {choice.version}".rstrip()
    return _Entry(_empty(bundle, choice.variant, runtime, choice.device, reason), None)


def _refused(bundle: Bundle, candidate: Candidate) -> _Entry:
    variant = next(v for v in bundle.manifest.variants if v.id == candidate.variant)
    return _Entry(_empty(bundle, variant, candidate.runtime, candidate.device, candidate.reason), None)


def _empty(bundle: Bundle, variant: VariantRecord, runtime: str, device: str, reason: str) -> Row:
    return Row(
        variant=variant.id,
        precision=variant.precision,
        runtime=runtime,
        device=device,
        size=size_of(bundle, variant),
        fidelity=None,
        cosine=None,
        p50=None,
        p99=None,
        throughput=None,
        memory=None,
        joules=None,
        verdict="",
        reasons=(reason,),
        front=False,
        result="",
    )


def _with_front(entries: Sequence[_Entry]) -> tuple[Row, ...]:
    placed = [i for i, entry in enumerate(entries) if entry.point is not None]
    points = [entry.point for entry in entries if entry.point is not None]
    best = {placed[i] for i in pareto.front(points)}
    return tuple(replace(entry.row, front=i in best) for i, entry in enumerate(entries))
