"""What the steps of a quantization tell each other: groups of weights, and which method each group gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GroupKind = Literal["attention", "mlp", "convolution", "table", "head", "other"]


@dataclass(frozen=True)
class Group:
    """Weights of one tower that are decided together.

    Attributes:
        name: unique in the tower and readable, such as ``block03.mlp``; stable for the same graph.
        kind: what the weights do.
        nodes: names of the graph's nodes that read the weights; every such node is in exactly one group.
        parameters: number of weights.
    """

    name: str
    kind: GroupKind
    nodes: tuple[str, ...]
    parameters: int


@dataclass(frozen=True)
class TowerDecision:
    """How one tower is stored and computed.

    Attributes:
        methods: group name to method name, a key of `METHODS` in `edgekit.converters.quantize.methods.table`; a group
            that is not named stays float32.
        smoothing: exponent alpha, 0..1, with which activation outliers are moved into the weights before anything is
            quantized (SmoothQuant, Xiao et al. 2022, arXiv 2211.10438); 0 leaves them.
    """

    methods: dict[str, str]
    smoothing: float = 0.0


@dataclass(frozen=True)
class Decision:
    """Both towers' decisions."""

    image: TowerDecision
    text: TowerDecision


@dataclass(frozen=True)
class Range:
    """The values that a tensor took over the calibration data.

    Attributes:
        low: least value, after outliers were cut as the calibration asks.
        high: greatest value, after the same.
        largest: largest magnitude before anything was cut; 0 where it was not kept.
        channels: largest magnitude of each index of the last axis, before anything was cut, for a tensor that is
            multiplied with stored weights; empty for any other.
        means: mean of each channel (the last axis of what is multiplied, the second of what is convolved), for a tensor
            that meets stored weights; empty for any other.
    """

    low: float
    high: float
    largest: float = 0.0
    channels: tuple[float, ...] = ()
    means: tuple[float, ...] = ()
