"""Judge one candidate: open a variant's towers on a runtime and device, check them, and time them."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit import frozen_labels, golden
from edgekit.errors import ExecutionError, GoldenError
from edgekit.results import Candidate
from edgekit.tower import DeviceTower, open_tower

if TYPE_CHECKING:
    from edgekit.bundle.manifest import TowerRecord, VariantRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.golden import TowerName
    from edgekit.runtimes.protocol import Runtime, SessionSettings

WRONG_NUMBERS = "wrong numbers on this device"
_TIMED_RUNS = 3


@dataclass(frozen=True)
class Times:
    """What one input of each tower takes.

    Attributes:
        milliseconds: median of the time on the clock, summed over the towers.
        processor: median of the milliseconds of processor time, all threads of this process, likewise.
    """

    milliseconds: float
    processor: float


@dataclass(frozen=True)
class Choice:
    """A variant, the runtime that would open it, and the device it would run on."""

    variant: VariantRecord
    runtime: Runtime
    version: str
    device: str

    def candidate(
        self,
        reason: str,
        milliseconds: float | None = None,
        checks: tuple[golden.GoldenCheck, ...] = (),
        *,
        ran: bool = True,
        processor: float | None = None,
    ) -> Candidate:
        """Return the record of a judgement; an empty reason means accepted."""
        runtime = f"{self.runtime.name} {self.version}".rstrip()
        return Candidate(
            self.variant.id,
            runtime,
            self.device,
            ran,
            not reason,
            reason,
            milliseconds,
            checks,
            processor=processor,
        )

    def tower(self, name: TowerName) -> TowerRecord:
        """Return the variant's record of one tower."""
        return self.variant.towers[name]


def open_towers(
    bundle: Bundle, choice: Choice, names: tuple[TowerName, ...], settings: SessionSettings
) -> dict[TowerName, DeviceTower]:
    """Open the towers asked for, side by side, since digests and graph optimisation each use one core.

    Args:
        bundle: holds them.
        choice: variant, runtime and device.
        names: which towers.
        settings: of the sessions.

    Returns:
        The towers by name.

    Raises:
        BundleError: a file is damaged.
        ExecutionError: the runtime refused a tower; those already open are closed.
    """

    def opened(name: TowerName) -> DeviceTower:
        record, kind = choice.tower(name), choice.variant.format
        return open_tower(bundle, record, kind, choice.runtime, choice.device, settings)

    with ThreadPoolExecutor(len(names)) as pool:
        futures = {name: pool.submit(opened, name) for name in names}
    failed = next((error for future in futures.values() if (error := future.exception())), None)
    if failed is None:
        return {name: future.result() for name, future in futures.items()}
    for future in futures.values():
        if not future.exception():
            future.result().close()
    raise failed


def judge(
    bundle: Bundle, choice: Choice, towers: dict[TowerName, DeviceTower], *, timed: bool
) -> tuple[Times | None, tuple[golden.GoldenCheck, ...]]:
    """Run the golden check on opened towers, and that of the frozen labels where the bundle has some.

    Args:
        bundle: holds the golden vectors.
        choice: what is judged.
        towers: opened.
        timed: measure one input of each tower too, for a comparison with other candidates.

    Returns:
        The times (None unless `timed`) and the checks, all passed.

    Raises:
        GoldenError: an output is not finite or leaves the tolerance; the message gives the figure.
        BundleError: the arrays of the frozen labels are damaged or malformed.
    """
    checks = []
    for name, tower in towers.items():
        try:
            check = golden.check(bundle, name, tower, choice.tower(name).tolerance)
        except ExecutionError as error:
            raise GoldenError(str(error)) from error
        if not check.passed:
            raise GoldenError(f"{WRONG_NUMBERS}: {check}")
        checks.append(check)
    if bundle.manifest.labels is not None and "image" in towers:
        frozen_labels.check(bundle, choice.variant)
    return (_times(bundle, towers) if timed else None), tuple(checks)


def _times(bundle: Bundle, towers: dict[TowerName, DeviceTower]) -> Times:
    clock = processor = 0.0
    for name, tower in towers.items():
        one = golden.inputs(bundle, name)[:1]
        took, used = [], []
        for _ in range(_TIMED_RUNS):
            start, begun = time.perf_counter(), time.process_time()
            tower.embed(one)
            took.append(time.perf_counter() - start)
            used.append(time.process_time() - begun)
        clock += statistics.median(took)
        processor += statistics.median(used)
    return Times(1000 * clock, 1000 * processor)
