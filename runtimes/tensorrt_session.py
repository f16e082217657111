"""A session of TensorRT: checked inputs, memory of its own, one inference at a time, placement by the plan's layers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ExecutionError
from edgekit.runtimes import inputs as given
from edgekit.runtimes.gate import Gate
from edgekit.runtimes.protocol import NodePlacement, Placement, TensorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from edgekit.runtimes.cuda_memory import Cuda

# TensorRT's names of types, and NumPy's.
_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
    "UINT8": "uint8",
}


class TensorRtSession:
    """An opened plan. Its buffers serve one inference: `run` may be called from several threads, and queues."""

    def __init__(
        self, trt: Any, runtime: Any, engine: Any, cuda: Cuda, name: str, device: str, note: str, largest: int
    ) -> None:
        """Wrap an engine.

        Args:
            trt: the module `tensorrt`.
            runtime: that made the engine, and must outlive it.
            engine: deserialised.
            cuda: its GPU; closed with the session.
            name: of the artifact, for messages.
            device: it was compiled for.
            note: about the compilation, for `placement`.
            largest: batch of a model with a free one.
        """
        self._runtime, self._engine, self._cuda, self._name = runtime, engine, cuda, name
        self._context = engine.create_execution_context()
        if self._context is None:
            raise ExecutionError(f"{name}: TensorRT has no memory for the model's execution; close other programs")
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        modes = {one: engine.get_tensor_mode(one) == trt.TensorIOMode.INPUT for one in names}
        self.inputs = tuple(self._info(one) for one in names if modes[one])
        self.outputs = tuple(self._info(one) for one in names if not modes[one])
        self._addresses: dict[str, int] = {}
        self._buffers: dict[str, npt.NDArray[np.generic]] = {}
        for info in (*self.inputs, *self.outputs):
            shape = tuple(largest if size is None else size for size in info.shape)
            self._buffers[info.name] = cuda.host(shape, info.dtype)
            self._addresses[info.name] = cuda.device(self._buffers[info.name].nbytes)
            self._context.set_tensor_address(info.name, self._addresses[info.name])
        self._placement = Placement(_layers(trt, engine, name, device), note=note)
        self._gate = Gate(name, alone=True)

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        """Run one inference; see `Session.run`."""
        given.check(self._name, self.inputs, inputs)
        with self._gate:
            self._cuda.enter()
            for info in self.inputs:
                self._load(info, inputs[info.name])
            if not self._context.execute_async_v3(self._cuda.stream):
                raise ExecutionError(f"{self._name}: TensorRT could not start the inference; see its log")
            found = {info.name: self._part(info, self._context.get_tensor_shape(info.name)) for info in self.outputs}
            for name, part in found.items():
                self._cuda.download(part, self._addresses[name])
            self._cuda.wait()
            # Copied: the next inference writes to the same memory.
            return {name: np.array(part) for name, part in found.items()}

    def placement(self) -> Placement:
        """Return the plan's layers, each on the GPU or on an accelerator."""
        return self._placement

    def close(self) -> None:
        """Wait for the running inference and free the GPU's memory; closing twice is harmless."""
        self._gate.close(self._free)

    def _free(self) -> None:
        # The context before the engine and that before its maker, as TensorRT wants it; their memory last.
        self._context = None
        self._engine = None
        self._runtime = None
        self._buffers = {}
        self._cuda.close()

    def _load(self, info: TensorInfo, array: npt.NDArray[np.generic]) -> None:
        whole = self._buffers[info.name]
        if array.shape[0] > whole.shape[0]:
            raise ExecutionError(
                f"{self._name}: {info.name} takes {whole.shape[0]} rows at a time, got {array.shape[0]}; open it with "
                f"the option largest_batch={array.shape[0]}"
            )
        if None in info.shape and not self._context.set_input_shape(info.name, array.shape):
            raise ExecutionError(f"{self._name}: TensorRT refuses the shape {array.shape} of {info.name}")
        part = self._part(info, array.shape)
        np.copyto(part, array)
        self._cuda.upload(self._addresses[info.name], part)

    def _part(self, info: TensorInfo, shape: Any) -> npt.NDArray[np.generic]:
        """Return the part of a buffer that a batch fills."""
        whole = self._buffers[info.name]
        return whole[: int(shape[0])] if len(shape) else whole

    def _info(self, name: str) -> TensorInfo:
        kind = self._engine.get_tensor_dtype(name).name
        if kind not in _DTYPES:
            raise ExecutionError(
                f"{self._name}: {name} has TensorRT's type {kind}, which NumPy does not; convert again"
            )
        shape = tuple(None if size < 0 else int(size) for size in self._engine.get_tensor_shape(name))
        return TensorInfo(name, _DTYPES[kind], shape)


def _layers(trt: Any, engine: Any, name: str, device: str) -> tuple[NodePlacement, ...]:
    inspector = engine.create_engine_inspector()
    try:
        text = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
        layers = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError) as error:
        raise ExecutionError(f"{name}: TensorRT does not tell the layers of its plan ({error!r})") from error
    return tuple(_placed(layer, device) for layer in layers)


def _placed(layer: Any, device: str) -> NodePlacement:
    """Read one layer: a record, or its name alone where the plan was made without details."""
    if not isinstance(layer, dict):
        return NodePlacement(str(layer), "layer", device if device == "gpu" else "unknown")
    kind = str(layer.get("LayerType", "layer"))
    return NodePlacement(str(layer.get("Name", "")), kind, device if kind == "DLA" and device != "gpu" else "gpu")
