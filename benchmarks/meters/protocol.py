"""What a meter must offer: say whether it works here, what it measures, and read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["power", "energy", "temperature", "clock", "load", "fan", "throttle", "memory"]


@dataclass(frozen=True)
class Channel:
    """One quantity that a meter reads.

    Attributes:
        name: unique in its meter, such as ``VDD_IN``.
        kind: what it is.
        unit: ``W``, ``J``, ``°C``, ``MHz``, ``%``, ``rpm``, ``MiB``; of kind ``throttle`` either ``flag`` (1 while
            slowed down) or ``count`` (of such events since the system started).
        scope: for power and energy: ``device`` when it sees all of it, ``package`` for the processor alone,
            ``accelerator``, or ``rail`` for a part; empty for other kinds.
        error: relative error that the sensor's documentation states, such as 0.01; None where it states none.
        wraps: for energy, joules at which the counter starts again at 0; None for a counter that does not.
    """

    name: str
    kind: Kind
    unit: str
    scope: str = ""
    error: float | None = None
    wraps: float | None = None


@dataclass(frozen=True)
class Presence:
    """Whether a meter works here; `reason` says why not and what to do, and is empty when it does."""

    ok: bool
    reason: str


@runtime_checkable
class Logged(Protocol):
    """What a meter has beside `Meter` when its readings carry time stamps of their own, so that nobody polls it."""

    def start(self) -> None:
        """Begin to listen; called once before the measured part."""

    def stop(self) -> None:
        """Stop to listen."""

    def logged(self) -> Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]]:
        """Return what came so far: by channel name, times on `time.perf_counter_ns`'s clock, and values."""


@runtime_checkable
class Commanding(Protocol):
    """What a meter has beside `Meter` when it starts commands, whose cost belongs to the measuring."""

    @property
    def cpu_seconds(self) -> float:
        """CPU time that its commands have taken so far, in seconds."""


class Meter(Protocol):
    """One kind of sensor. Its files are found under a root folder, so that tests can give another."""

    @property
    def name(self) -> str:
        """Name under which the meter is registered, such as ``ina3221``."""

    def present(self) -> Presence:
        """Say whether the sensor is here and may be read; never raises."""

    def channels(self) -> tuple[Channel, ...]:
        """Return what it measures here; empty when not present."""

    def read(self) -> Mapping[str, float]:
        """Read every channel once.

        Returns:
            Values by channel name, in the channel's unit; one that cannot be read at this moment is left out.
        """

    def period(self) -> float:
        """Return the least seconds between two readings that give new values."""
