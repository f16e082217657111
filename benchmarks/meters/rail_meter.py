"""A meter of several supply rails, whichever of the kernel's files they are read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.meters import rails
from edgekit.benchmarks.meters.protocol import Channel, Presence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class RailMeter:
    """Power of every connected rail of an INA3221.

    Args:
        name: of the meter.
        found: each rail's label, and what reads it in watts, or gives None where it does not answer.
        missing: why there is no rail, for the listing.
        error: relative error of the sensor.
    """

    def __init__(
        self, name: str, found: Sequence[tuple[str, Callable[[], float | None]]], missing: str, error: float | None
    ) -> None:
        labels = rails.unique([label for label, _ in found])
        self._name, self._missing, self._error = name, missing, error
        self._rails = {label: read for label, (_, read) in zip(labels, found, strict=True)}

    @property
    def name(self) -> str:
        """As the registry has it."""
        return self._name

    def present(self) -> Presence:
        """Say whether there is a connected rail, and one that can be read."""
        if self._rails:
            return rails.answering(self.read(), tuple(self._rails))
        return Presence(False, self._missing)

    def channels(self) -> tuple[Channel, ...]:
        """Return the rails; see `rails.channels`."""
        return rails.channels(tuple(self._rails), self._error)

    def read(self) -> dict[str, float]:
        """Read every rail and return watts, with their sum where no rail is the total; what fails is left out."""
        watts = {label: value for label, read in self._rails.items() if (value := read()) is not None}
        return rails.with_sum(watts, tuple(self._rails))

    def period(self) -> float:
        """Return 0.01 s: NVIDIA's drivers average 16 conversions of 1.1 ms of up to three rails and twice a rail."""
        return 0.01
