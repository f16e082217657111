"""What the parent and the children of a LiteRT conversion tell each other, as files in a work folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.bundle import schema

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

REQUEST, FACTS, SAMPLES = "request.json", "facts.json", "samples.npy"

EVERY_GROUP = "*"
"""In a decision, every group that the method is for."""

FULL_INTEGER = "full_int8"
"""In a decision, as the method of `EVERY_GROUP`: all operators in int8, as processors without floats want it."""
MASK = -30.0
"""Least value of a mask then: exp(-30) is nothing, and it leaves the logits most of an int8 range of their own."""


@dataclass(frozen=True)
class Request:
    """What a child shall do.

    Attributes:
        master: the float ONNX graph.
        source: the LiteRT file to quantize; empty while one is made of the master.
        out: the LiteRT file to write.
        shape: of the input, batch first.
        methods: group name to method name, as in a `TowerDecision`.
        mask: least value of attention masks; 0 leaves them as they are.
        seconds: time limit.
    """

    master: str
    source: str
    out: str
    shape: tuple[int, ...]
    methods: dict[str, str]
    mask: float
    seconds: int


@dataclass(frozen=True)
class Facts:
    """What a child found.

    Attributes:
        operators: number of operators of each kind in the file.
        skipped: groups that have no operator in the file.
        toolchain: name and version of each tool that made it.
        peak_bytes: largest memory of the child.
    """

    operators: dict[str, int]
    skipped: tuple[str, ...]
    toolchain: dict[str, str]
    peak_bytes: int


def read_request(folder: Path) -> Request:
    """Return what the child working in `folder` shall do."""
    return schema.loads(Request, (folder / REQUEST).read_bytes(), REQUEST)


def read_facts(folder: Path) -> Facts:
    """Return what the child that worked in `folder` found."""
    return schema.loads(Facts, (folder / FACTS).read_bytes(), FACTS)


def read_samples(folder: Path) -> npt.NDArray[np.generic]:
    """Return the inputs to calibrate on and to compare with, (K, …) in contract form."""
    samples: npt.NDArray[np.generic] = np.load(folder / SAMPLES, mmap_mode="r", allow_pickle=False)
    return samples
