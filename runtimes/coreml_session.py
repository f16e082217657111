"""A session of Core ML, and where the system plans to run each operator of it."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ExecutionError
from edgekit.runtimes import inputs as given
from edgekit.runtimes.gate import Gate
from edgekit.runtimes.protocol import NodePlacement, Placement, TensorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

# Names of the classes of coremltools.models.compute_device, and of ArrayFeatureType's numbers.
_DEVICES = {"MLCPUComputeDevice": "cpu", "MLGPUComputeDevice": "gpu", "MLNeuralEngineComputeDevice": "ane"}
_DTYPES = {65552: "float16", 65568: "float32", 65600: "float64", 131104: "int32"}


class CoreMlSession:
    """An opened model. `run` may be called from several threads, and queues: Core ML takes one prediction at a time."""

    def __init__(self, model: Any, name: str, planned: Placement, folder: tempfile.TemporaryDirectory[str]) -> None:
        """Wrap a loaded `coremltools.models.MLModel`; `folder` holds its files, and goes with the session."""
        described = model.get_spec().description
        self._model, self._name, self._planned, self._folder = model, name, planned, folder
        self.inputs = tuple(_info(one, name) for one in described.input)
        self.outputs = tuple(_info(one, name) for one in described.output)
        self._gate = Gate(name, alone=True)

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        """Run one inference; see `Session.run`."""
        given.check(self._name, self.inputs, inputs)
        with self._gate:
            try:
                found = self._model.predict({info.name: inputs[info.name] for info in self.inputs})
                # Copied: the array may lie in memory that the system uses again.
                return {
                    info.name: np.array(found[info.name], info.dtype).reshape([size or -1 for size in info.shape])
                    for info in self.outputs
                }
            except Exception as error:
                raise ExecutionError(f"{self._name}: Core ML failed: {' '.join(str(error).split())}") from error

    def placement(self) -> Placement:
        """Return where the system plans to run each operator."""
        return self._planned

    def close(self) -> None:
        """Wait for the running inference and free the model; closing twice is harmless."""
        self._gate.close(self._free)

    def _free(self) -> None:
        self._model = None
        self._folder.cleanup()


def planned(library: Any, model: Any, unit: Any) -> Placement:
    """Ask the system where it would run each operator.

    Args:
        library: the module `coremltools`.
        model: a loaded `coremltools.models.MLModel`.
        unit: the `coremltools.ComputeUnit` that it was loaded with.

    Returns:
        Every operator of the main function that the plan knows; constants have no place.
    """
    plan = library.models.compute_plan.MLComputePlan.load_from_path(
        path=model.get_compiled_model_path(), compute_units=unit
    )
    nodes = []
    for operation in plan.model_structure.program.functions["main"].block.operations:
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        if usage is None:
            continue
        kind = type(usage.preferred_compute_device).__name__
        written = operation.outputs[0].name if operation.outputs else ""
        nodes.append(NodePlacement(written, operation.operator_name, _DEVICES.get(kind, kind)))
    return Placement(tuple(nodes))


def _info(value: Any, name: str) -> TensorInfo:
    array = value.type.multiArrayType
    if array.dataType not in _DTYPES:
        raise ExecutionError(f"{name}: Core ML's tensor {value.name} is no array of numbers; convert it again")
    return TensorInfo(str(value.name), _DTYPES[array.dataType], tuple(int(size) for size in array.shape))
