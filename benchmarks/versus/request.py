"""What a side-by-side run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.benchmarks.versus.records import Kind

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Pipeline
    from edgekit.benchmarks.versus.records import Contender

PEERS: tuple[Kind, ...] = ("modern-onnx-clip", "open-clip", "onnxruntime")
GOAL = 0.04
"""Relative width of the 95 % interval at which a run ends."""


@dataclass(frozen=True)
class VersusRequest:
    """A side-by-side run.

    Attributes:
        contenders: the subject first, then those it is compared with.
        pipeline: what a query does; ``photo`` is a photo's file to its embedding here.
        data: photo, folder of photos or file of texts; None takes the packaged samples.
        seconds: after which no round begins any more.
        goal: relative width of the interval at which the run ends before that.
        command: that repeats the run, for the record.
        root: folder under which the system's files are found; tests give another.
    """

    contenders: tuple[Contender, ...]
    pipeline: Pipeline = "photo"
    data: str | None = None
    seconds: float = 60.0
    goal: float = GOAL
    command: str = ""
    root: str = "/"
