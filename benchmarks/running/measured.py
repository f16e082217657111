"""What the measured process does, phase by phase: load, first query, warm, measure, check again."""

from __future__ import annotations

import platform
import resource
import statistics
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit.benchmarks.results.records import Golden, Phases
from edgekit.benchmarks.running.events import Phase, Tick
from edgekit.benchmarks.running.job import Found, Job
from edgekit.benchmarks.running.process_memory import status
from edgekit.benchmarks.running.subject import describe, towers_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.benchmarks.results.records import Plan
    from edgekit.benchmarks.running.events import Event
    from edgekit.benchmarks.scenarios.protocol import Trace, Workload
    from edgekit.bundle.reader import Bundle
    from edgekit.clip import Clip
    from edgekit.golden import TowerName
    from edgekit.judging import Choice
    from edgekit.tower import DeviceTower

# Warm is when two groups of queries have the same median; a share of the measured part at most is spent on it.
_GROUP, _STABLE = 5, 0.05
_MOST_SHARE, _LEAST_SECONDS, _MOST_SECONDS = 0.25, 0.5, 30.0
LEAST = 2
"""Queries that a run must have for figures: its end is compared with its begin."""


@dataclass(frozen=True)
class Opened:
    """A variant, opened for measuring.

    Attributes:
        bundle: it is of.
        choice: variant, runtime and device.
        towers: by name, opened; the same before, during and after the measured part.
        clip: around them.
    """

    bundle: Bundle
    choice: Choice
    towers: dict[TowerName, DeviceTower]
    clip: Clip


def measure(
    job: Job, imported: float, tell: Callable[[Event], None], asked: Callable[[], bool] = lambda: False
) -> tuple[Found, Trace]:
    """Do the whole of a job in this process, which has imported the engine and opened nothing.

    Args:
        job: what to do.
        imported: milliseconds that importing took.
        tell: called with what goes on.
        asked: says whether the measured part is to end early, and what was measured of it to be kept.

    Returns:
        What was found, and every query.

    Raises:
        EdgekitError: the variant does not open, or a query fails.
    """
    rss_import = status("self").get("VmRSS", 0.0)
    tell(Phase("load"))
    start = time.perf_counter()
    opened = open_variant(job)
    before, wrong = check_golden(opened)
    loaded = 1000 * (time.perf_counter() - start)
    start = time.perf_counter()
    workload, plan = _workload(job, opened)
    prepared = 1000 * (time.perf_counter() - start)
    tell(Phase("warm"))
    first, *rest = _warm(workload, job)
    tell(Phase("measure", plan.seconds))
    # Imported here: none of it belongs to the cost of importing edgekit.
    from edgekit.benchmarks.scenarios.crew import StopEarlyError
    from edgekit.benchmarks.scenarios.run import judged

    stopped = False

    def tick(seconds: float, queries: int) -> None:
        nonlocal stopped
        tell(Tick(seconds, plan.seconds, queries))
        if asked() and queries >= LEAST:
            stopped = True
            raise StopEarlyError

    faults = _faults()
    trace, refused = judged(plan, workload, tick)
    faults = _faults() - faults
    memory = status("self")
    tell(Phase("check"))
    after, wrong_after = check_golden(opened)
    from edgekit.benchmarks.scenarios.overhead import per_query_us

    found = Found(
        subject=describe(opened.bundle, opened.choice, opened.clip.explain().placement),
        plan=plan,
        stages=workload.stages,
        phases=Phases(imported, loaded, first, statistics.median(rest), len(rest), prepared),
        before=before,
        after=after,
        wrong=tuple(f"before the measured part: {text}" for text in wrong)
        + tuple(f"after the measured part: {text}" for text in wrong_after),
        rss_import=rss_import,
        rss_peak=memory.get("VmHWM", _max_rss()),
        swapped=memory.get("VmSwap", 0.0),
        faults=faults,
        overhead_us=per_query_us(),
        packages=_packages(),
        python=platform.python_version(),
        refused=refused,
        interrupted=f"in the measured part, for which {plan.seconds:g} s were asked" if stopped else "",
    )
    opened.clip.close()
    return found, trace


def open_variant(job: Job) -> Opened:
    """Open the towers that a job's pipeline uses, with every digest of theirs checked; numbers are not judged here.

    Args:
        job: names the bundle, variant, runtime, device and settings.

    Returns:
        The towers; close `Opened.clip`.

    Raises:
        EdgekitError: the variant does not open.
    """
    from edgekit.bundle.reader import open_bundle
    from edgekit.choices import list_choices
    from edgekit.clip import Clip
    from edgekit.judging import open_towers
    from edgekit.results import Explanation
    from edgekit.runtimes.protocol import SessionSettings

    bundle = open_bundle(job.bundle)
    choice = list_choices(bundle, job.variant, job.runtime, job.device)[0][0]
    settings = SessionSettings(threads=job.plan.threads, options=job.plan.options)
    towers = open_towers(bundle, choice, towers_of(job.plan.pipeline, bundle), settings)
    candidate = choice.candidate("")
    explanation = Explanation(bundle.where, candidate, (candidate,), cached=False, note="", placement={})
    return Opened(bundle, choice, towers, Clip(bundle, towers, explanation))


def check_golden(opened: Opened) -> tuple[Golden, tuple[str, ...]]:
    """Run the golden check on every opened tower.

    Args:
        opened: the variant.

    Returns:
        The least figures over the towers, 0 where a tower gave no usable numbers; and what is wrong, as sentences.
    """
    from edgekit import frozen_labels, golden
    from edgekit.errors import ExecutionError, GoldenError

    checks, wrong = [], []
    for name, tower in opened.towers.items():
        try:
            found = golden.check(opened.bundle, name, tower, opened.choice.tower(name).tolerance)
        except (ExecutionError, GoldenError) as error:
            wrong.append(str(error))
            continue
        checks.append(found)
        if not found.passed:
            wrong.append(str(found))
    if opened.bundle.manifest.labels is not None and "image" in opened.towers:
        try:
            frozen_labels.check(opened.bundle, opened.choice.variant)
        except GoldenError as error:
            wrong.append(str(error))
    figures = [found.agreement for found in checks] if len(checks) == len(opened.towers) else []
    return (
        Golden(
            passed=not wrong,
            cosine=min((figure.cosine_min for figure in figures), default=0.0),
            centred=min((figure.centred_min for figure in figures), default=0.0),
            n=sum(figure.n for figure in figures),
        ),
        tuple(wrong),
    )


def _workload(job: Job, opened: Opened) -> tuple[Workload, Plan]:
    from edgekit.benchmarks.workloads.create import create, labels_of
    from edgekit.benchmarks.workloads.inputs import gather

    inputs = gather(job.data, opened.bundle)
    if job.labels:
        inputs = replace(inputs, labels=job.labels)
    workload = create(opened.clip, job.plan.pipeline, inputs, job.plan.batch)
    labels = len(labels_of(opened.clip, inputs)) if job.plan.pipeline == "photo" else 0
    return workload, replace(job.plan, labels=labels, samples=workload.samples, data=inputs.name)


def _warm(workload: Workload, job: Job) -> list[float]:
    """Return the milliseconds of the first query and of those after it until they are stable."""
    times: list[float] = []
    limit = min(_MOST_SECONDS, max(_LEAST_SECONDS, _MOST_SHARE * job.plan.seconds))
    end = time.perf_counter() + limit
    while len(times) < 2 or (time.perf_counter() < end and not _stable(times)):
        indices = [(len(times) * job.plan.batch + i) % workload.samples for i in range(job.plan.batch)]
        start = time.perf_counter()
        workload.query(indices)
        times.append(1000 * (time.perf_counter() - start))
    return times


def _stable(times: list[float]) -> bool:
    if len(times) < 1 + 2 * _GROUP:
        return False
    earlier, later = statistics.median(times[-2 * _GROUP : -_GROUP]), statistics.median(times[-_GROUP:])
    return abs(later - earlier) <= _STABLE * earlier


def _faults() -> int:
    """Return how many pages were read from the disk so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def _max_rss() -> float:
    # Linux gives KiB, macOS bytes.
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _packages() -> dict[str, str]:
    """Return the versions of the installed packages that were imported."""
    from importlib.metadata import packages_distributions, version

    loaded = {name.partition(".")[0] for name in sys.modules}
    found = {name for module, names in packages_distributions().items() if module in loaded for name in names}
    return {name: version(name) for name in sorted(found)}
