"""What is found out after a run, where it was asked for: its share of the device's limits, and its profile.

In a child process, because the engine's profiler and the micro-benchmarks of the device load what a measured process
has no use for, and may crash.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.benchmarks.limits.records import Profile
from edgekit.benchmarks.results.records import Plan, Roofline
from edgekit.benchmarks.running.child import Child
from edgekit.benchmarks.running.events import Note, Phase
from edgekit.bundle import schema
from edgekit.errors import EdgekitError
from edgekit.locations import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.benchmarks.results.records import Result
    from edgekit.benchmarks.running.events import Event
    from edgekit.benchmarks.running.request import RunRequest
    from edgekit.bundle.reader import Bundle

_WANTED, _EXTRAS = "wanted.json", "extras.json"


@dataclass(frozen=True)
class Wanted:
    """What is to be found out.

    Attributes:
        bundle: absolute path.
        variant: id.
        runtime: name.
        device: of the runtime.
        plan: of the run.
        data: as the run had it.
        inference: median milliseconds of the run's stage of that name; 0 where it has none.
        roofline: whether to compare with the device's limits.
        profile: whether to profile.
    """

    bundle: str
    variant: str
    runtime: str
    device: str
    plan: Plan
    data: str | None
    inference: float
    roofline: bool
    profile: bool


@dataclass(frozen=True)
class Extras:
    """What was found out.

    Attributes:
        roofline: None where it was not asked for, or could not be had.
        profiles: of the towers; none likewise.
        problems: why something could not be had, as sentences.
    """

    roofline: Roofline | None
    profiles: tuple[Profile, ...]
    problems: tuple[str, ...]


def add_extras(result: Result, request: RunRequest, tell: Callable[[Event], None]) -> Result:
    """Find out what was asked for beside the run.

    Args:
        result: of the run.
        request: settled, with `roofline` or `profile` set.
        tell: called with what goes on, and with a note where something could not be had.

    Returns:
        The result with what could be had.
    """
    subject = result.subject
    inference = result.stages.get("inference")
    wanted = Wanted(
        bundle=str(Path(str(resolve(request.bundle))).absolute()),
        variant=subject.variant,
        runtime=subject.runtime,
        device=subject.device,
        plan=result.plan,
        data=request.data,
        inference=inference.p50 if inference else 0.0,
        roofline=request.roofline,
        profile=request.profile,
    )
    tell(Phase("limits" if request.roofline else "profile"))
    try:
        found = _found(wanted, tell, request.silence)
    except EdgekitError as error:
        tell(Note(f"neither roofline nor profile: {error}"))
        return result
    for problem in found.problems:
        tell(Note(problem))
    return replace(result, roofline=found.roofline, profiles=found.profiles)


def main(folder: str) -> None:
    """Find out for the parent; see `edgekit.benchmarks.running.worker.main`."""
    from edgekit.benchmarks.running.worker import answer_errors

    def step() -> None:
        wanted = schema.loads(Wanted, (Path(folder) / _WANTED).read_bytes(), _WANTED)
        write_bytes(Path(folder) / _EXTRAS, schema.dumps(find_out(wanted)).encode())

    answer_errors(step)


def find_out(wanted: Wanted) -> Extras:
    """Compare and profile in this process.

    Args:
        wanted: what is to be found out.

    Returns:
        What could be had, and why the rest could not.
    """
    from edgekit.benchmarks.limits.profile import profile
    from edgekit.benchmarks.limits.roofline import roofline
    from edgekit.benchmarks.running.subject import towers_of
    from edgekit.bundle.reader import open_bundle

    bundle, plan = open_bundle(wanted.bundle), wanted.plan
    towers = towers_of(plan.pipeline, bundle)
    limits, profiles, problems = None, [], []
    if wanted.roofline:
        try:
            # A photo's query is one inference of the image tower: its labels were embedded before.
            limits = roofline(
                bundle,
                wanted.variant,
                towers[0],
                milliseconds=wanted.inference,
                batch=plan.batch,
                length=_length(bundle, wanted.data) if towers[0] == "text" else None,
                threads=plan.threads,
                device=wanted.device,
            )
        except EdgekitError as error:
            problems.append(f"no roofline: {error}")
    for tower in towers if wanted.profile else ():
        try:
            found = profile(
                bundle,
                wanted.variant,
                tower,
                runtime=wanted.runtime,
                device=wanted.device,
                threads=plan.threads,
                options=plan.options,
            )
        except EdgekitError as error:
            problems.append(f"no profile of the {tower} tower: {error}")
            continue
        if found.reason:
            problems.append(f"no profile of the {tower} tower: {found.reason}")
        else:
            profiles.append(found)
    return Extras(limits, tuple(profiles), tuple(problems))


def _length(bundle: Bundle, data: str | None) -> int:
    """Return the median number of token ids of the run's texts: padding is cut off where the bundle allows it."""
    from edgekit.benchmarks.workloads.inputs import gather
    from edgekit.text import TextEncoder

    spec = bundle.text
    if not spec.trim_padding:
        return spec.context_length
    ids = TextEncoder(bytes(bundle.read(spec.tokenizer)), spec).encode(list(gather(data, bundle).texts))
    return int(median(int((row != spec.pad_id).sum()) for row in ids))


def _found(wanted: Wanted, tell: Callable[[Event], None], silence: float) -> Extras:
    with tempfile.TemporaryDirectory(prefix="edgekit-bench-") as name:
        folder = Path(name)
        write_bytes(folder / _WANTED, schema.dumps(wanted).encode())
        with Child(__name__, folder) as child:
            child.follow(tell, silence)
        return schema.loads(Extras, (folder / _EXTRAS).read_bytes(), _EXTRAS)
