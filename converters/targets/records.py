"""What a chip is, what is asked of a target, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgekit.bundle.manifest import TensorSpec
from edgekit.golden import TowerName

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Precision = Literal["fp32", "fp16", "bf16", "w8", "w8a8", "a16w8", "hybrid"]
"""What a variant computes in. ``w8`` keeps weights in 8 bits and computes in float; ``hybrid`` mixes 8 and 16 bits."""
Proof = Literal[
    "hardware", "vendor simulator", "emulated CPU", "reference before compilation", "compiled only", "planned"
]

LEAST_CENTRED = {
    "fp32": 0.999,
    "fp16": 0.99,
    "bf16": 0.99,
    "a16w8": 0.99,
    "w8": 0.97,
    "w8a8": 0.97,
    "hybrid": 0.97,
}
"""Least mean centred cosine on held-out data, by precision: what a variant has to keep to be packed."""

AIM_CENTRED = {**LEAST_CENTRED, "hybrid": 0.99}
"""What is aimed at where a target has a choice: it chooses by few rows, and top-1 agreement falls early."""


@dataclass(frozen=True)
class Chip:
    """A chip that a target compiles for.

    Attributes:
        name: as the user gives it, such as ``rk3588``.
        tool_name: what the vendor's tool calls it.
        precisions: that it can be compiled in, the default first.
        proof: how a variant is proven before it is packed.
        note: one line for a person.
        in_advance: whether a tower can also be compiled in advance of the device, beside the portable file.
    """

    name: str
    tool_name: str
    precisions: tuple[Precision, ...]
    proof: Proof
    note: str
    in_advance: bool = False


@dataclass(frozen=True)
class TowerJob:
    """One tower to compile.

    Attributes:
        tower: image or text.
        chip: for which.
        precision: one of the chip's; None for the best that the target can do at little cost, because the user did not
            name this tower.
        master: the float ONNX graph, external data beside it.
        shape: of the input, the batch of one first.
        inputs: contract inputs by the name of their part: ``calibration``, ``search``, ``held-out``, ``golden``.
        reference: the float embeddings of ``search``, for choices.
        goal: mean centred cosine that is aimed at.
        folder: an empty work folder.
        in_advance: also compile it in advance of the device.
    """

    tower: TowerName
    chip: Chip
    precision: Precision | None
    master: Path
    shape: tuple[int, ...]
    inputs: dict[str, Path]
    reference: Path
    goal: float
    folder: Path
    in_advance: bool = False


@dataclass(frozen=True)
class Built:
    """One tower that was compiled and run.

    Attributes:
        files: the artifact first, then what it needs beside it.
        input: its one input.
        output: its one output.
        rows: float32 unit rows (n, D) of the parts ``held-out`` and ``golden``, by the file or its simulator.
        precision: what it was compiled in.
        facts: for the card: name and figure.
        toolchain: name and version of each tool.
        seconds: it took.
        peak_bytes: largest memory of a tool; 0 where it was not measured.
    """

    files: tuple[Path, ...]
    input: TensorSpec
    output: TensorSpec
    rows: dict[str, npt.NDArray[np.float32]] = field(repr=False, compare=False)
    precision: str
    facts: dict[str, str]
    toolchain: dict[str, str]
    seconds: float
    peak_bytes: int
