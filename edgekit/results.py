"""What the SDK returns: small typed records that print well."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.golden import GoldenCheck
from edgekit.scoring import rank

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt


UNTRIED = "not tried: "


@dataclass(frozen=True)
class Label:
    """A label and its score in 0..1 (a probability over the labels given, or of this label alone for sigmoid)."""

    label: str
    score: float

    def __str__(self) -> str:
        return f"{self.score:6.1%}  {self.label}"


@dataclass(frozen=True)
class Classification:
    """The labels of one photo, best first.

    Attributes:
        image: the photo's path, or ``<bytes>``, ``<array>`` and the like.
        labels: best first.
    """

    image: str
    labels: tuple[Label, ...]

    @property
    def best(self) -> Label:
        """The best label."""
        return self.labels[0]

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Label:
        return self.labels[index]

    def __str__(self) -> str:
        return "\n".join([self.image, *(f"  {label}" for label in self.labels)])


def ranked(names: Sequence[str], row: npt.NDArray[np.float64], top: int | None) -> tuple[Label, ...]:
    """Return the labels of one photo.

    Args:
        names: the K labels.
        row: (K,) scores in 0..1.
        top: keep only the best so many; None keeps all.

    Returns:
        Best first; equal scores keep their order.
    """
    return tuple(Label(names[i], float(row[i])) for i in rank(row, top))


@dataclass(frozen=True)
class Cost:
    """What a candidate costs, measured by ``edgekit tune`` in a process of its own.

    Attributes:
        low: lower end of the interval around the median, in milliseconds; the median itself before the last rounds.
        high: upper end.
        towers: median milliseconds of each tower that was opened.
        load: milliseconds to open the towers, engine already imported, digests already checked.
        peak: largest resident memory of that process in megabytes (10^6 bytes), Python and the engine included; None
            where the system does not tell.
    """

    low: float
    high: float
    towers: dict[str, float]
    load: float
    peak: float | None


@dataclass(frozen=True)
class Candidate:
    """One variant on one runtime and device, as `load` judged it here.

    Attributes:
        variant: the variant's id.
        runtime: the runtime's name and version.
        device: the device.
        ran: False when it could not even be tried, because the runtime or the device is absent.
        accepted: True when it opened and passed the golden check.
        reason: why it was refused; empty when accepted.
        milliseconds: median time of one photo and one text together, or None when it was not measured.
        checks: the golden checks it passed; empty when it was refused, the figure is in `reason` then.
        threads: threads of one inference, where ``edgekit tune`` set them; else 0.
        options: the engine's own settings, where ``edgekit tune`` set them.
        cost: what ``edgekit tune`` measured beside; else None.
        processor: median milliseconds of processor time, all threads, of what `milliseconds` times; None likewise.
        tower: the tower that it was judged for, where each tower is placed by itself; else empty.
    """

    variant: str
    runtime: str
    device: str
    ran: bool
    accepted: bool
    reason: str
    milliseconds: float | None
    checks: tuple[GoldenCheck, ...]
    threads: int = 0
    options: tuple[tuple[str, str], ...] = ()
    cost: Cost | None = None
    processor: float | None = None
    tower: str = ""

    @property
    def untried(self) -> bool:
        """True when there was no time to try it."""
        return self.reason.startswith(UNTRIED)

    @property
    def setup(self) -> str:
        """Device, threads and the engine's settings, for a person."""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}" if self.threads else ""
        settings = (f"{name}={value}" for name, value in self.options)
        return ", ".join(part for part in (self.device, threads, *settings) if part)

    def __str__(self) -> str:
        time = "" if self.milliseconds is None else f"  {self.milliseconds:.1f} ms"
        if self.cost is not None and self.cost.low < self.cost.high:
            time += f" ({self.cost.low:.1f} to {self.cost.high:.1f})"
        verdict = "ok" if self.accepted else self.reason if self.untried else f"refused: {self.reason}"
        tower = f"{self.tower} tower: " if self.tower else ""
        return f"{tower}{self.variant} on {self.runtime} ({self.setup}){time}  {verdict}"


@dataclass(frozen=True)
class Explanation:
    """Which variant runs on which runtime, why, and what was refused.

    Attributes:
        bundle: the bundle's path and digest.
        chosen: the candidate in use; where each tower is placed by itself, that of the image tower.
        candidates: every candidate that was judged, the chosen one among them.
        cached: True when the judgement was made at an earlier load on this device.
        note: anything the user should know, such as why the judgement could not be stored; else empty.
        placement: per tower, number of graph nodes on each device.
        tuned: the day on which ``edgekit tune`` made the choice, as ``2026-01-31`` (UTC); empty when a load made it.
        absent: runtimes that would open the bundle too, and are not installed here.
        towers: the candidate in use per tower, where each is placed by itself; else empty.
        policy: by which each tower was placed; empty where both were placed as one.
    """

    bundle: str
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    cached: bool
    note: str
    placement: dict[str, dict[str, int]]
    tuned: str = ""
    absent: tuple[str, ...] = ()
    towers: dict[str, Candidate] = field(default_factory=dict)
    policy: str = ""

    def __str__(self) -> str:
        origin = "  (judged at an earlier load)" if self.cached else ""
        origin = f"  (edgekit tune, {self.tuned})" if self.tuned else origin
        used = tuple(self.towers.values()) or (self.chosen,)
        chosen = f"chosen for {self.policy}" if self.policy else "chosen"
        lines = [self.bundle, *(f"{chosen}: {candidate}{origin}" for candidate in used)]
        lines += [f"  {check}" for candidate in used for check in candidate.checks]
        for tower, counts in self.placement.items():
            lines.append(f"  {tower} tower: " + ", ".join(f"{n} nodes on {device}" for device, n in counts.items()))
        lines += [f"also: {other}" for other in self.candidates if other not in used]
        if self.absent:
            lines.append(f"not installed here: {', '.join(self.absent)} (edgekit doctor says how)")
        return "\n".join([*lines, *([f"note: {self.note}"] if self.note else [])])
