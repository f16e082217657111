"""A session of ONNX Runtime: checked inputs, thread-safe runs, placement from the optimised graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.errors import ExecutionError
from edgekit.runtimes import inputs as given
from edgekit.runtimes import ort_placement
from edgekit.runtimes.gate import Gate
from edgekit.runtimes.protocol import Placement, TensorInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

_DTYPES = {"float": "float32", "double": "float64"}


class OrtSession:
    """Wraps an `onnxruntime.InferenceSession`, whose `run` may be called from several threads at once."""

    def __init__(self, raw: Any, name: str, placement: Placement | None, reopen: Callable[[Path], Any]) -> None:
        """Wrap `raw`; `name` is the artifact's, `reopen` opens it again under the profiler at a path prefix."""
        self._raw: Any = raw
        self._name = name
        self.inputs = tuple(_info(value) for value in raw.get_inputs())
        self.outputs = tuple(_info(value) for value in raw.get_outputs())
        self._output_names = [info.name for info in self.outputs]
        self._placement = placement
        self._reopen = reopen
        self._gate = Gate(name, alone=False)

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        """Run one inference; see `Session.run`."""
        given.check(self._name, self.inputs, inputs)
        with self._gate:
            try:
                return dict(zip(self._output_names, self._raw.run(self._output_names, dict(inputs)), strict=True))
            except Exception as error:
                raise ExecutionError(f"{self._name}: onnxruntime failed: {error}") from error

    def placement(self) -> Placement:
        """Return which node of the optimised graph runs on which provider."""
        if self._placement is None:
            self._placement = ort_placement.profiled(self._reopen, self.inputs)
        return self._placement

    def close(self) -> None:
        """Wait for running inferences and free the engine's memory; closing twice is harmless."""
        self._gate.close(self._free)

    def _free(self) -> None:
        self._raw = None


def _info(value: Any) -> TensorInfo:
    kind = str(value.type).removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return TensorInfo(value.name, _DTYPES.get(kind, kind), shape)
