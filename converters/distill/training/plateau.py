"""Which evaluation was the best, and when training no longer gets anywhere.

An evaluation is an improvement when the mean of its paired differences to the reference is above their standard error
(`judge.gain`); it then becomes the reference. After `patience` evaluations in a row that are none, training ends. Slow
gains add up, since the reference stays where it is until they exceed the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgekit.converters.distill.training.judge import gain

if TYPE_CHECKING:
    from edgekit.converters.distill.training.judge import Cases


@dataclass
class Track:
    """The evaluations so far.

    Attributes:
        best: cases of the evaluation of the highest figure; None before the first.
        reference: cases that an improvement is measured against.
        last: cases of the latest evaluation.
        waited: evaluations since the reference.
    """

    best: Cases | None = None
    reference: Cases | None = None
    last: Cases | None = None
    waited: int = 0

    def add(self, cases: Cases) -> bool:
        """Take in an evaluation.

        Args:
            cases: float64 (n,), as many as before.

        Returns:
            Whether its figure is the highest so far.
        """
        self.last = cases
        if self.reference is None or _beyond(*gain(cases, self.reference)):
            self.reference, self.waited = cases, 0
        else:
            self.waited += 1
        if self.best is None or cases.mean() > self.best.mean():
            self.best = cases
            return True
        return False

    def fell(self) -> bool:
        """Say whether the last evaluation is below the best one by more than the standard error of the difference."""
        if self.best is None or self.last is None:
            return False
        return _beyond(*gain(self.best, self.last))

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        kept = {name: getattr(self, name) for name in ("best", "reference", "last")}
        arrays = {name: None if value is None else torch.from_numpy(value.copy()) for name, value in kept.items()}
        return {**arrays, "waited": self.waited}


def restore(state: dict[str, Any]) -> Track:
    """Return the track of a checkpoint."""
    arrays = {
        name: None if state[name] is None else np.asarray(state[name].numpy(), np.float64)
        for name in ("best", "reference", "last")
    }
    return Track(arrays["best"], arrays["reference"], arrays["last"], int(state["waited"]))


def _beyond(mean: float, error: float) -> bool:
    # One case more or less is exactly its own standard error; rounding must not decide.
    return mean > error * (1 + 1e-9)
