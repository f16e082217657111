"""`edgekit.tune`: measure what a bundle can do on this device, store the best choice, and show the rest."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import locations
from edgekit.bundle.reader import open_bundle
from edgekit.choices import list_choices, nothing_works
from edgekit.decisions import Decision
from edgekit.errors import InputError, RuntimeUnavailableError
from edgekit.loading import tower_names
from edgekit.runtimes.protocol import SessionSettings
from edgekit.trials import marks
from edgekit.tuning import store
from edgekit.tuning.finals import Finalists
from edgekit.tuning.objective import BATCH, OBJECTIVES, Objective, best, score
from edgekit.tuning.report import Tuning
from edgekit.tuning.search import Search, Terms
from edgekit.tuning.store import Tuned
from edgekit.unchanged import states

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edgekit.bundle.reader import Bundle
    from edgekit.golden import TowerName
    from edgekit.judging import Choice

# Of the time, the rest is for the last rounds.
_SEARCHING = 0.8


def tune(
    bundle: str | os.PathLike[str] | bytes,
    *,
    variant: str | None = None,
    runtime: str | None = None,
    device: str = "auto",
    threads: Sequence[int] = (),
    towers: Sequence[TowerName] | None = None,
    objective: Objective = "pair",
    minutes: float = 5.0,
    trial_seconds: float = 120.0,
    memory: int = 0,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Tuning:
    """Try every variant on every runtime and device here with several settings, and store the fastest that is right.

    Each candidate runs in a child process of its own, so that an engine that crashes, hangs or runs out of memory costs
    one refusal. The fastest four are then timed in turn. Among medians within 3 % the one with fewest threads, then
    the one with the smallest memory, is chosen.

    Args:
        bundle: name of a packaged bundle, path of a ``.edge`` file or unpacked folder, or bytes.
        variant: id of the only variant to try; all when None.
        runtime: name of the only runtime to try; all when None.
        device: the only device to try; ``auto`` tries all but families, see `Runtime.devices`.
        threads: numbers of threads of one inference to try; empty for 1, 2, 4, … up to the processors at hand.
        towers: which towers are to be used; None for all that the bundle has.
        objective: what is to be fast, see `OBJECTIVES`; ``pair`` counts one photo and one text.
        minutes: after which nothing more is tried and a running trial is ended.
        trial_seconds: hard limit of one trial.
        memory: megabytes (10^6 bytes) that the process of a candidate may need at its peak, Python and the engine
            included; 0 for no limit.
        on_stage: called with what is tried next.

    Returns:
        What was found; the choice is stored, see `Tuning.note` when it could not be.

    Raises:
        BundleError: the bundle is missing, damaged or unsafe.
        InputError: an argument is wrong.
        RuntimeUnavailableError: nothing here opens the bundle and passes; the message lists every refusal.
    """
    start = time.monotonic()
    counts = _counts(threads)
    _check(objective, minutes, trial_seconds, memory)
    opened = open_bundle(locations.resolve(bundle))
    names = tower_names(towers, opened)
    if objective != "pair" and "image" not in names:
        raise InputError(f"objective {objective!r} needs the image tower; give towers=('image',) or both")
    choices, refused = list_choices(opened, variant, runtime, device)
    on_stage("checking digests")
    opened.verify()
    with _on_disk(locations.resolve(bundle)) as path, Finalists(lambda times: score(objective, times)) as finalists:
        terms = Terms(
            path=path,
            trusted=tuple(record.path for record in opened.manifest.files),
            towers=names,
            batch=BATCH if objective == "photos" else 1,
            memory=memory,
            trial_seconds=trial_seconds,
            deadline=start + _SEARCHING * 60 * minutes,
            score=lambda times: score(objective, times),
            on_stage=on_stage,
        )
        search = Search(terms, finalists)
        search.run(choices, counts)
        on_stage("timing the fastest in turn")
        final = finalists.rounds(start + 60 * minutes)
    tried = [final.get(i, candidate) for i, (_, candidate) in enumerate(search.tried)]
    index = best(tried, frozenset(final))
    if index is None:
        raise RuntimeUnavailableError(nothing_works(opened, [*tried, *refused]))
    for (setup, _), candidate in zip(search.tried, tried, strict=True):
        if candidate.accepted:
            passed = SessionSettings(options=setup.options)
            marks.forget(marks.mark_of(opened, setup.choice, passed, names))
    decision = Decision((*tried, *refused), index, states(opened))
    date = datetime.now(timezone.utc).date().isoformat()
    problem = store.store(opened, names, Tuned(date, objective, _engines(opened, choices), decision))
    return Tuning(
        bundle=f"{opened.where} (sha256:{opened.digest[:12]})",
        date=date,
        objective=objective,
        seconds=time.monotonic() - start,
        chosen=tried[index],
        candidates=decision.candidates,
        note=problem and f"the choice could not be stored, so 'load' will not know it: {problem}",
    )


def _counts(threads: Sequence[int]) -> tuple[int, ...]:
    if any(count < 1 for count in threads):
        raise InputError(f"threads are {list(threads)}; give numbers of at least 1")
    if threads:
        return tuple(sorted(set(threads)))
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    powers = (1 << exponent for exponent in range(processors.bit_length()))
    return tuple(sorted({*powers, processors}))


def _check(objective: Objective, minutes: float, trial_seconds: float, memory: int) -> None:
    if objective not in OBJECTIVES:
        raise InputError(f"objective is {objective!r}; give one of {', '.join(OBJECTIVES)}")
    if not (minutes > 0 and trial_seconds > 0 and memory >= 0):
        raise InputError(f"minutes ({minutes}) and trial_seconds ({trial_seconds}) must be above 0, memory 0 or more")


def _engines(bundle: Bundle, choices: list[Choice]) -> dict[str, str]:
    """Return the versions on which the choice depends: another one, or a new engine, makes it stale."""
    try:
        everything, _ = list_choices(bundle, None, None, "auto")
    except RuntimeUnavailableError:
        everything = []
    return {choice.runtime.name: choice.version for choice in [*everything, *choices]}


@contextmanager
def _on_disk(source: Path | bytes) -> Iterator[Path]:
    if isinstance(source, Path):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="edgekit-tune-") as folder:
        path = Path(folder) / "bytes.edge"
        path.write_bytes(source)
        yield path
