"""A session of ncnn: checked inputs, a batch run row by row, each with an extractor of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ExecutionError
from edgekit.runtimes import inputs as given
from edgekit.runtimes.gate import Gate
from edgekit.runtimes.protocol import NodePlacement, Placement, TensorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from edgekit.runtimes.ncnn_model import Layer, Specs

    Row = dict[str, npt.NDArray[np.generic]]

_IDLE = frozenset({"Input"})


class NcnnSession:
    """Wraps an `ncnn.Net`, which is only read while it runs: callers that run at the same time do not wait."""

    def __init__(self, engine: Any, net: Any, name: str, specs: Specs, layers: tuple[Layer, ...]) -> None:
        """Wrap a loaded net; `name` is the artifact's, for messages."""
        self._engine, self._net, self._name, self._specs = engine, net, name, specs
        self._placement = Placement(tuple(NodePlacement(one.name, one.kind, "cpu") for one in _work(layers)))
        self.inputs, self.outputs = (tuple(one.info for one in some) for some in (specs.inputs, specs.outputs))
        self._gate = Gate(name, alone=False)

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        """Run one inference; see `Session.run`."""
        given.check(self._name, self.inputs, inputs)
        if len({len(array) for array in inputs.values()}) != 1:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
            raise ExecutionError(f"{self._name}: the inputs' batches differ: {shapes}")
        with self._gate:
            return self._forward(inputs)

    def placement(self) -> Placement:
        """Return the model's layers, all of them on the CPU."""
        return self._placement

    def close(self) -> None:
        """Wait for running inferences and free the engine's memory; closing twice is harmless."""
        self._gate.close(self._net.clear)

    def _forward(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        batches = {
            blob: np.ascontiguousarray(inputs[one.info.name], np.dtype(dtype))
            for one in self._specs.inputs
            for blob, dtype in one.blobs
        }
        count = len(next(iter(batches.values())))
        rows = [self._row({blob: batch[i] for blob, batch in batches.items()}) for i in range(count)]
        return {
            one.info.name: self._stacked(one.info, [row[one.info.name] for row in rows]) for one in self._specs.outputs
        }

    def _row(self, row: Row) -> Row:
        extractor = self._net.create_extractor()
        for blob, array in row.items():
            # A Mat of an array only points at it: copied here, while the caller still holds it.
            if extractor.input(blob, self._engine.Mat(array).clone()) != 0:
                raise ExecutionError(f"{self._name}: ncnn does not take the input {blob} {array.shape}")
        found: Row = {}
        for one in self._specs.outputs:
            code, mat = extractor.extract(one.blob)
            if code != 0 or mat.empty():
                shapes = ", ".join(f"{blob} {array.shape}" for blob, array in row.items())
                raise ExecutionError(f"{self._name}: ncnn failed at {one.blob} (code {code}) with {shapes}")
            found[one.info.name] = np.array(mat, np.float32)
        return found

    def _stacked(self, info: TensorInfo, rows: list[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
        wanted = info.shape[1:]
        for row in rows:
            if len(row.shape) != len(wanted) or any(
                size not in (None, own) for size, own in zip(wanted, row.shape, strict=True)
            ):
                raise ExecutionError(f"{self._name}: ncnn returned {info.name} of shape {row.shape}, not {wanted}")
        if not rows:
            return np.empty((0, *(size or 0 for size in wanted)), np.float32)
        return np.stack(rows)


def _work(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    return tuple(layer for layer in layers if layer.kind not in _IDLE)
