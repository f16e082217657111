"""What is measured of one activation while the float tower runs, by nodes inside the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper

from edgekit.converters.quantize.methods.records import Range
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import onnx


class Observer:
    """Extremes of a tensor over many batches, and figures of its channels where it meets stored weights."""

    def __init__(self, model: onnx.ModelProto, name: str, prefix: str) -> None:
        """Observe the tensor `name`: add `nodes` to the graph and hand what they write, `outputs`, to `take`."""
        readers = _readers(model, name)
        self.name, self.size = name, 0
        self._low, self._high, self._nan = np.inf, -np.inf, False
        self._names = {what: f"{prefix}.{what}" for what in ("low", "high", "sum", "size")}
        self.nodes = [
            helper.make_node("ReduceMin", [name], [self._names["low"]], keepdims=0),
            helper.make_node("ReduceMax", [name], [self._names["high"]], keepdims=0),
            # The engine's extremes pass over NaN; a sum does not.
            helper.make_node("ReduceSum", [name], [self._names["sum"]], keepdims=0),
            helper.make_node("Size", [name], [self._names["size"]]),
        ]
        if readers & {"MatMul", "Gemm"}:
            self._names |= {"channels": f"{prefix}.channels", "means": f"{prefix}.means"}
            self.nodes += _of_last_axis(name, prefix)
        elif readers & {"Conv", "Pad"}:
            self._names |= {"means": f"{prefix}.means"}
            self.nodes += _of_second_axis(name, prefix)
        self.outputs = tuple(self._names.values())
        self._channels: npt.NDArray[np.float32] = np.zeros(0, np.float32)
        self._sums: npt.NDArray[np.float64] = np.zeros(0)
        self._count = 0

    def take(self, found: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take the values that `outputs` had for a batch."""
        values = {what: found[name] for what, name in self._names.items()}
        self._low = min(self._low, float(values["low"]))
        self._high = max(self._high, float(values["high"]))
        self._nan = self._nan or bool(np.isnan([values[what] for what in ("low", "high", "sum")]).any())
        size = int(values["size"])
        self.size = max(self.size, size)
        if "channels" in values:
            channels = values["channels"].astype(np.float32)
            self._channels = np.maximum(self._channels, channels) if self._count else channels
        if "means" in values:
            weighted = values["means"].astype(np.float64) * size
            self._sums = self._sums + weighted if self._count else weighted
        self._count += size

    def range(self) -> Range:
        """Return what was found.

        Returns:
            The range.

        Raises:
            ConversionError: a value was infinite or NaN.
        """
        if self._nan or not np.isfinite([self._low, self._high]).all():
            raise ConversionError(f"tensor '{self.name}' is not finite on the calibration data; check the float tower")
        return Range(
            low=self._low,
            high=self._high,
            largest=max(abs(self._low), abs(self._high)),
            channels=tuple(float(value) for value in self._channels),
            means=tuple(float(value) for value in self._sums / max(1, self._count)),
        )


def _readers(model: onnx.ModelProto, name: str) -> set[str]:
    """Return the operators that combine a tensor with stored numbers (a Pad counts: a convolution follows it)."""
    stored = {tensor.name for tensor in model.graph.initializer}
    return {
        node.op_type
        for node in model.graph.node
        if len(node.input) > 1 and node.input[0] == name and (node.input[1] in stored or node.op_type == "Pad")
    }


def _of_last_axis(name: str, prefix: str) -> list[onnx.NodeProto]:
    """Nodes that find the largest magnitude and the mean of each index of the last axis, whatever the rank."""
    shape = helper.make_tensor(f"{prefix}.shape", TensorProto.INT64, [1], [-1])
    return [
        helper.make_node("Shape", [name], [f"{prefix}.last"], start=-1),
        helper.make_node("Constant", [], [f"{prefix}.any"], value=shape),
        helper.make_node("Concat", [f"{prefix}.any", f"{prefix}.last"], [f"{prefix}.rows"], axis=0),
        helper.make_node("Reshape", [name, f"{prefix}.rows"], [f"{prefix}.flat"]),
        helper.make_node("Abs", [f"{prefix}.flat"], [f"{prefix}.abs"]),
        helper.make_node("ReduceMax", [f"{prefix}.abs"], [f"{prefix}.channels"], axes=[0], keepdims=0),
        helper.make_node("ReduceMean", [f"{prefix}.flat"], [f"{prefix}.means"], axes=[0], keepdims=0),
    ]


def _of_second_axis(name: str, prefix: str) -> list[onnx.NodeProto]:
    """Nodes that find the mean of each index of the second axis, for three axes or more."""
    shape = helper.make_tensor(f"{prefix}.shape", TensorProto.INT64, [3], [0, 0, -1])
    return [
        helper.make_node("Constant", [], [f"{prefix}.planes"], value=shape),
        helper.make_node("Reshape", [name, f"{prefix}.planes"], [f"{prefix}.flat"]),
        helper.make_node("ReduceMean", [f"{prefix}.flat"], [f"{prefix}.means"], axes=[0, 2], keepdims=0),
    ]
