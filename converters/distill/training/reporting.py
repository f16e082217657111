"""Tells the caller twice a second where the training is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edgekit.converters.distill.training.records import Progress
from edgekit.converters.distill.training.schedule import steps_expected

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.distill.recipe import Training
    from edgekit.converters.distill.training.state import State

_SECONDS = 0.5


class Reporter:
    """Sums up the steps since the last report.

    Args:
        training: whose end is estimated.
        on_progress: the caller; None in all but the first process.
    """

    def __init__(self, training: Training, on_progress: Callable[[Progress], None] | None) -> None:
        self._training, self._on_progress = training, on_progress
        self._begun = self._told = time.monotonic()
        self._share = -1.0
        self._samples = 0
        self._sums: dict[str, list[float]] = {}

    def step(self, state: State, share: float, losses: dict[str, float], rate: float) -> None:
        """Take in a step, and tell if it is time.

        Args:
            state: after it.
            share: of the training that was done before it.
            losses: of it.
            rate: of learning.
        """
        if self._on_progress is None:
            return
        if self._share < 0:
            self._share, self._samples = share, state.samples
        for name, value in losses.items():
            entry = self._sums.setdefault(name, [0.0, 0.0])
            entry[0] += value
            entry[1] += 1
        now = time.monotonic()
        last = self._training.steps and state.step >= self._training.steps
        if now - self._told < _SECONDS and not last:
            return
        self._on_progress(self._progress(state, share, rate, now))
        self._told, self._samples, self._sums = now, state.samples, {}

    def _progress(self, state: State, share: float, rate: float, now: float) -> Progress:
        gone = share - self._share
        done = state.history.evaluations
        return Progress(
            step=state.step,
            of=steps_expected(self._training, state.step, share),
            share=share,
            losses={name: value / count for name, (value, count) in self._sums.items()},
            rate=rate,
            images_per_second=(state.samples - self._samples) / max(now - self._told, 1e-9),
            seconds_left=(1 - share) / gone * (now - self._begun) if gone > 0 else 0.0,
            evaluation=done[-1] if done else None,
        )
