"""Sophgo's processors of the BM family, on the board itself or in a host with the card, by Sophon SAIL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ExecutionError, MissingDependencyError, PlacementError
from edgekit.runtimes import inputs as given
from edgekit.runtimes import tensor_sidecar
from edgekit.runtimes.gate import Gate
from edgekit.runtimes.protocol import Artifact, Availability, NodePlacement, Placement, SessionSettings, TensorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

INSTALL = "install the wheel sophon-sail of your board's SDK (Sophgo boards and cards only)"
_FAMILY = "tpu:"
# The library's arrays are float32, whatever the tensor is: integers beyond this are not exact in it.
_EXACT = 1 << 24


class Sophgo:
    """The package `sophon.sail`; a device is ``tpu:0``, ``tpu:1`` … by its number, and ``tpu`` is the first.

    Written from Sophgo's documentation and tested with a stand-in for its library: no board was at hand.
    """

    @property
    def name(self) -> str:
        """``sophgo``."""
        return "sophgo"

    @property
    def formats(self) -> frozenset[str]:
        """``bmodel``."""
        return frozenset({"bmodel"})

    def available(self) -> Availability:
        """Say whether the library can be imported and finds a processor."""
        try:
            library = _library()
        except MissingDependencyError as error:
            return Availability(ok=False, version="", reason=str(error))
        if int(library.get_available_tpu_num()) < 1:
            return Availability(ok=False, version="", reason="Sophon SAIL finds no processor here; see bm-smi")
        return Availability(ok=True, version=str(getattr(library, "__version__", "unknown")), reason="")

    def devices(self) -> tuple[str, ...]:
        """Return ``tpu``, and each processor by its number where there are several."""
        if not self.available().ok:
            return ()
        count = int(_library().get_available_tpu_num())
        return ("tpu", *(f"{_FAMILY}{number}" for number in range(count) if count > 1))

    def open(self, artifact: Artifact, device: str, settings: SessionSettings) -> SophgoSession:
        """Open a compiled model; see `Runtime.open`.

        Args:
            artifact: a ``.bmodel`` file, with the sidecar that says its tensors.
            device: one of `devices`.
            settings: none has a counterpart in this engine; they change nothing.

        Returns:
            The session, all of it on the processor: what the compiler left to the board's CPU is inside the file.

        Raises:
            ExecutionError: the file or its sidecar is malformed, or the library refuses it.
            PlacementError: the device is not offered.
        """
        if device not in self.devices():
            offered = ", ".join(self.devices()) or "none"
            raise PlacementError(f"{artifact.name}: Sophon SAIL offers no device {device!r} here, only {offered}")
        specs = tensor_sidecar.read(artifact)
        library = _library()
        number = int(device.removeprefix(_FAMILY)) if device.startswith(_FAMILY) else 0
        content = bytes(artifact.model.view)
        try:
            engine = library.Engine(content, len(content), number, library.IOMode.SYSIO)
            (graph,) = engine.get_graph_names()
            names = (engine.get_input_names(graph), engine.get_output_names(graph))
        except Exception as error:
            raise ExecutionError(
                f"{artifact.name}: Sophon SAIL on {device} refused the model, which was compiled for {specs.chip}: "
                f"{' '.join(str(error).split())}"
            ) from error
        if tuple(map(len, names)) != (len(specs.inputs), len(specs.outputs)):
            raise ExecutionError(f"{artifact.name}: has other tensors than its sidecar says; compile it again")
        return SophgoSession(engine, artifact.name, device, graph, names, specs)


class SophgoSession:
    """An opened model. The library does one thing at a time: `run` may be called from several threads, and queues."""

    def __init__(
        self,
        engine: Any,
        name: str,
        device: str,
        graph: str,
        names: tuple[list[str], list[str]],
        specs: tensor_sidecar.Specs,
    ) -> None:
        """Wrap an engine; `names` are the library's own of inputs and outputs, in the order of `specs`."""
        self._engine, self._name, self._device, self._graph = engine, name, device, graph
        self._names, self.inputs, self.outputs = names, specs.inputs, specs.outputs
        self._gate = Gate(name, alone=True)

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        """Run one inference; see `Session.run`."""
        given.check(self._name, self.inputs, inputs)
        arrays = {
            inner: self._float(info, inputs[info.name]) for inner, info in zip(self._names[0], self.inputs, strict=True)
        }
        with self._gate:
            try:
                found = self._engine.process(self._graph, arrays)
                # Copied: the library may write its next result to the same memory.
                return {
                    info.name: np.array(found[inner], info.dtype).reshape([size or -1 for size in info.shape])
                    for inner, info in zip(self._names[1], self.outputs, strict=True)
                }
            except Exception as error:
                raise ExecutionError(f"{self._name}: Sophon SAIL failed: {' '.join(str(error).split())}") from error

    def placement(self) -> Placement:
        """Return one node: the library does not tell what happens inside a compiled model."""
        return Placement((NodePlacement(self._name, "bmodel", self._device),))

    def close(self) -> None:
        """Wait for the running inference and free the processor's memory; closing twice is harmless."""
        self._gate.close(self._free)

    def _free(self) -> None:
        self._engine = None

    def _float(self, info: TensorInfo, array: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        if array.dtype.kind in "iu" and array.size and int(np.abs(array).max()) > _EXACT:
            raise ExecutionError(f"{self._name}: {info.name} holds numbers beyond {_EXACT}, which float32 cannot hold")
        return np.ascontiguousarray(array, np.float32)


def _library() -> Any:
    try:
        from sophon import sail
    # A build for another board fails with more than ImportError.
    except Exception as error:
        raise MissingDependencyError(f"Sophon SAIL cannot be imported ({error}); {INSTALL}") from error
    return sail
