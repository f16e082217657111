"""A session of MNN: checked inputs, one inference at a time, placement from the operators that one inference ran."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ExecutionError
from edgekit.runtimes import inputs as given
from edgekit.runtimes.gate import Gate
from edgekit.runtimes.protocol import NodePlacement, Placement, TensorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

_ALONE = 1


class MnnSession:
    """Wraps an MNN module, which can do one thing at a time: `run` may be called from several threads, and queues."""

    def __init__(self, engine: Any, path: Path, name: str, config: Mapping[str, str | int]) -> None:
        """Open the file `path`, which may be gone afterwards; `name` is the artifact's, for messages."""
        self._engine, self._name = engine, name
        self._dtypes = {getattr(engine.expr, word): kind for word, kind in _DTYPES.items()}
        runtime = engine.nn.create_runtime_manager((dict(config),))
        self._raw: Any = self._load(path, runtime)
        facts = self._raw.get_info()
        # MNN stores a free batch as 1, so that a leading 1 is free here.
        self.inputs = tuple(
            TensorInfo(str(name), self._dtype(value.dtype), _shape(value.shape))
            for name, value in zip(facts["inputNames"], facts["inputs"], strict=True)
        )
        self._output_names = tuple(map(str, facts["outputNames"]))
        self._gate = Gate(name, alone=True)
        # Only a result tells the outputs' types and lengths.
        shapes = {info.name: [size or 1 for size in info.shape] for info in self.inputs}
        found = self._forward({info.name: np.zeros(shapes[info.name], info.dtype) for info in self.inputs})
        self.outputs = tuple(TensorInfo(n, row.dtype.name, (None, *row.shape[1:])) for n, row in found.items())
        self._placement = _placement(engine, path, config, shapes)

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        """Run one inference; see `Session.run`."""
        given.check(self._name, self.inputs, inputs)
        with self._gate:
            return self._forward(inputs)

    def placement(self) -> Placement:
        """Return the operators that an inference runs, all of them on the CPU."""
        return self._placement

    def close(self) -> None:
        """Wait for the running inference and free the engine's memory; closing twice is harmless."""
        self._gate.close(self._free)

    def _free(self) -> None:
        self._raw = None

    def _load(self, path: Path, runtime: Any) -> Any:
        try:
            raw = self._engine.nn.load_module_from_file(
                str(path), [], [], runtime_manager=runtime, dynamic=False, shape_mutable=True
            )
        # Its binding lets a refusal end in whatever Python makes of a missing result.
        except Exception as error:
            raise ExecutionError(f"{self._name}: MNN refused the model; is it a .mnn file?") from error
        if raw is None:
            raise ExecutionError(f"{self._name}: MNN refused the model; is it a .mnn file?")
        return raw

    def _dtype(self, kind: Any) -> str:
        if kind not in self._dtypes:
            raise ExecutionError(f"{self._name}: MNN's type {kind} has no counterpart in NumPy; convert it again")
        return self._dtypes[kind]

    def _forward(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        expr = self._engine.expr
        kinds = {kind: mnn for mnn, kind in self._dtypes.items()}
        try:
            values = [
                expr.const(
                    np.ascontiguousarray(inputs[info.name]), list(inputs[info.name].shape), expr.NCHW, kinds[info.dtype]
                )
                for info in self.inputs
            ]
            # Copied: what `read` gives is the engine's own memory.
            rows = [np.array(value.read()) for value in self._raw.onForward(values)]
        except Exception as error:
            raise ExecutionError(f"{self._name}: MNN failed: {' '.join(str(error).split())}") from error
        # A graph that does not fit its inputs gives nothing, or too little, and no error.
        wanted = all(math.prod(array.shape) for array in inputs.values())
        if len(rows) != len(self._output_names) or any(wanted and not row.size for row in rows):
            shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
            raise ExecutionError(f"{self._name}: MNN returned nothing; do {shapes} fit together?")
        return dict(zip(self._output_names, rows, strict=True))


_DTYPES = {"float": "float32", "int": "int32", "uint8": "uint8", "int64": "int64"}


def _shape(sizes: list[int]) -> tuple[int | None, ...]:
    first, rest = sizes[:1], sizes[1:]
    return (*(None if size in (-1, _ALONE) else size for size in first), *(None if size < 0 else size for size in rest))


def _placement(engine: Any, path: Path, config: Mapping[str, str | int], shapes: Mapping[str, list[int]]) -> Placement:
    """Run zeros through the older interface, the only one that tells the operators it runs."""
    interpreter = engine.Interpreter(str(path))
    session = interpreter.createSession({"backend": "CPU", "numThread": int(config["numThread"])})
    for name, sizes in shapes.items():
        interpreter.resizeTensor(interpreter.getSessionInput(session, name), tuple(sizes))
    interpreter.resizeSession(session)
    ran: list[NodePlacement] = []

    def note(_tensors: Any, info: Any) -> bool:
        ran.append(NodePlacement(str(info.getName()), str(info.getType()), "cpu"))
        return True

    interpreter.runSessionWithCallBackInfo(session, lambda _tensors, _info: True, note)
    return Placement(tuple(ran))
