"""What `edgekit.tuning` and the child process that tries one candidate tell each other, as JSON."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.golden import GoldenCheck


@dataclass(frozen=True)
class Request:
    """One candidate of a bundle to try; the bundle's path, of any bytes, is the child's argument.

    Attributes:
        trusted: members whose digest was checked already.
        variant: id of the variant.
        runtime: name of the runtime.
        device: as the runtime calls it.
        towers: which towers to open.
        threads: of one inference.
        options: the engine's own settings.
        batch: rows of one timed inference.
        memory: megabytes of data the process may allocate; 0 for no limit.
        seconds: after which the process ends itself, should its parent be gone.
        allow_cpu: whether nodes may run on the CPU that the device did not take.
    """

    trusted: tuple[str, ...]
    variant: str
    runtime: str
    device: str
    towers: tuple[str, ...]
    threads: int
    options: tuple[tuple[str, str], ...]
    batch: int
    memory: int
    seconds: int
    allow_cpu: bool = False


@dataclass(frozen=True)
class Result:
    """What became of it.

    Attributes:
        reason: why it is refused; empty when it passed.
        wrong: True when it opened and returned wrong numbers, which another setting of the engine may cure.
        checks: the golden checks it passed.
        load: milliseconds to open the towers.
        times: median milliseconds of one inference of each tower.
        peak: largest resident memory so far in megabytes; None where the system does not tell.
    """

    reason: str
    wrong: bool
    checks: tuple[GoldenCheck, ...]
    load: float
    times: dict[str, float]
    peak: float | None


@dataclass(frozen=True)
class Again:
    """A request for another round of timing that takes about so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Round:
    """Its answer.

    Attributes:
        times: median milliseconds of one inference of each tower in this round.
    """

    times: dict[str, float]
