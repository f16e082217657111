"""What a device can do at most, what a tower asks of it, and where its time goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["fp32", "fp16", "u8s8", "s8s8", "u8u8", "nbits4", "nbits8"]
"""Types of a matrix product's operands: ``u8s8`` is uint8 activations with int8 weights, products in int32; ``nbits4``
float activations, rounded to int8 by the engine, with weights of 4 bits in blocks."""
Part = Literal["stem", "table", "norm", "attention", "mlp", "convolution", "head", "other"]


@dataclass(frozen=True)
class Peak:
    """Largest speed of one kind of work, over several repetitions.

    Attributes:
        best: of all repetitions and sizes: 10^9 operations a second (a multiplication and an addition are two), or
            10^9 bytes a second.
        spread: how far the second best of the repetitions is below the best, relative, in 0..1.
        n: repetitions.
        size: that reached `best`, such as ``1024x1024x1024`` or ``512 MiB``.
        how: what was run, such as ``onnxruntime 1.32.0 MatMulInteger``.
    """

    best: float
    spread: float
    n: int
    size: str
    how: str


@dataclass(frozen=True)
class Peaks:
    """What this device can do at most, measured.

    Attributes:
        threads: that measured it; 0 is the engine's choice for products, and every processor for memory.
        gemm: by kind of operands; one that the engine cannot run here is not in it.
        bandwidth: by pattern: ``read``, ``copy``, ``triad``.
        absent: by kind, why there is no figure.
        other_load: processors that other processes kept busy meanwhile; None where the system hides it.
        beyond_caches: whether the arrays of `bandwidth` were at least four times as large as the last cache (as STREAM
            asks for); where False, there was not memory enough, and the figures may be partly of the cache.
        date: ISO 8601, UTC, of the measurement.
    """

    threads: int
    gemm: dict[str, Peak]
    bandwidth: dict[str, Peak]
    absent: dict[str, str]
    other_load: float | None
    beyond_caches: bool
    date: str


@dataclass(frozen=True)
class Operation:
    """The arithmetic of one node.

    Attributes:
        name: of the node, or of its first output where it has none.
        op: operator.
        kind: of its operands.
        flops: multiplications and additions.
    """

    name: str
    op: str
    kind: Kind
    flops: float


@dataclass(frozen=True)
class Work:
    """What one inference asks for, counted from the graph.

    Attributes:
        operations: nodes that multiply matrices or convolve, in the graph's order.
        weights: bytes of stored weights that one inference reads; of a table, the rows that are looked up.
        transfer: bytes of the graph's inputs and outputs.
        activations: bytes that nodes hand to each other, written once and read once by each reader; how many of them
            leave the caches depends on the device, so they are no part of `least_bytes`.
        uncounted: operators that multiply matrices but whose shapes are not known, and how many; empty for a whole
            count.
    """

    operations: tuple[Operation, ...]
    weights: float
    transfer: float
    activations: float
    uncounted: dict[str, int]

    @property
    def flops(self) -> float:
        """Multiplications and additions of all operations."""
        return sum(operation.flops for operation in self.operations)

    @property
    def least_bytes(self) -> float:
        """Bytes that must move at least: weights, inputs and outputs, each once."""
        return self.weights + self.transfer

    @property
    def kinds(self) -> dict[str, float]:
        """Multiplications and additions by kind of operands, the most first."""
        totals: dict[str, float] = {}
        for operation in self.operations:
            totals[operation.kind] = totals.get(operation.kind, 0.0) + operation.flops
        return dict(sorted(totals.items(), key=lambda item: -item[1]))


@dataclass(frozen=True)
class NodeTime:
    """Time of one node of the graph as the engine runs it.

    Attributes:
        name: of the node, as the engine gives it.
        op: operator after the engine's fusions.
        part: of the model that it belongs to.
        block: that it belongs to, such as ``layer.3``; empty outside of numbered blocks.
        device: that ran it.
        ms: median milliseconds over the inferences.
        share: of the whole inference, in 0..1.
    """

    name: str
    op: str
    part: Part
    block: str
    device: str
    ms: float
    share: float


@dataclass(frozen=True)
class PartTime:
    """Time of the nodes of one part, block or operator.

    Attributes:
        name: of the part, block or operator.
        nodes: how many.
        ms: milliseconds of them together.
        share: of the whole inference, in 0..1.
    """

    name: str
    nodes: int
    ms: float
    share: float


@dataclass(frozen=True)
class Profile:
    """Where the time of one tower goes.

    Attributes:
        bundle: name.
        variant: its id.
        runtime: name and version.
        tower: ``image`` or ``text``.
        threads: of the inference; 0 is the engine's choice.
        runs: inferences that were timed, after those that warmed up.
        batch: samples of each.
        ms: median milliseconds of a whole inference, profiler on.
        overhead: milliseconds of it that no node accounts for: the engine's own bookkeeping and the profiler's.
        parts: by part of the model, the most first.
        blocks: by block, in the order they run.
        ops: by operator, the most first.
        nodes: each node, the most first.
        reason: why there is no profile; empty where there is one.
    """

    bundle: str
    variant: str
    runtime: str
    tower: str
    threads: int
    runs: int
    batch: int
    ms: float
    overhead: float
    parts: tuple[PartTime, ...]
    blocks: tuple[PartTime, ...]
    ops: tuple[PartTime, ...]
    nodes: tuple[NodeTime, ...]
    reason: str = ""
