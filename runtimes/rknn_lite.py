"""RKNN-Lite: Rockchip's NPUs, on the board itself."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ExecutionError, MissingDependencyError, PlacementError
from edgekit.runtimes import inputs as given
from edgekit.runtimes import tensor_sidecar
from edgekit.runtimes.gate import Gate
from edgekit.runtimes.protocol import Artifact, Availability, NodePlacement, Placement, SessionSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

INSTALL = "pip install rknn-toolkit-lite2 (Rockchip boards only)"

_CORES = {
    "npu": "NPU_CORE_AUTO",
    "npu:0": "NPU_CORE_0",
    "npu:1": "NPU_CORE_1",
    "npu:2": "NPU_CORE_2",
    "npu:all": "NPU_CORE_ALL",
}


class RknnLite:
    """The package `rknn-toolkit-lite2`; ``npu`` leaves the core to the driver, ``npu:0`` … name one of several.

    Written from the vendor's documentation and tested with a stand-in for its library: no board was at hand.
    """

    @property
    def name(self) -> str:
        """``rknn-lite``."""
        return "rknn-lite"

    @property
    def formats(self) -> frozenset[str]:
        """``rknn``."""
        return frozenset({"rknn"})

    def available(self) -> Availability:
        """Say whether the library can be imported."""
        try:
            _library()
        except MissingDependencyError as error:
            return Availability(ok=False, version="", reason=str(error))
        return Availability(ok=True, version=_version(), reason="")

    def devices(self) -> tuple[str, ...]:
        """Return the ways to choose cores; all but the first fail on chips with one core."""
        return tuple(_CORES) if self.available().ok else ()

    def open(self, artifact: Artifact, device: str, settings: SessionSettings) -> RknnLiteSession:
        """Open a compiled model; see `Runtime.open`.

        Args:
            artifact: a ``.rknn`` file, with the sidecar that says its tensors.
            device: one of `devices`.
            settings: none has a counterpart in this engine; they change nothing.

        Returns:
            The session, all of it on the NPU: what the compiler left to the board's processor is inside the file.

        Raises:
            ExecutionError: the file or its sidecar is malformed.
            PlacementError: the device is not offered, or this board did not take the model.
        """
        if device not in self.devices():
            offered = ", ".join(self.devices()) or "none"
            raise PlacementError(f"{artifact.name}: RKNN-Lite offers no device {device!r} here, only {offered}")
        specs = tensor_sidecar.read(artifact)
        library = _library()
        tool = library()
        with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
            # From a file: it takes no bytes, and cannot start in the middle of a bundle.
            path = Path(folder) / "model.rknn"
            path.write_bytes(artifact.model.view)
            try:
                if tool.load_rknn(str(path)) != 0:
                    raise ExecutionError(f"{artifact.name}: RKNN-Lite refused the model; compile it again")
                if tool.init_runtime(core_mask=getattr(library, _CORES[device])) != 0:
                    raise PlacementError(
                        f"{artifact.name}: this board's NPU did not take the model on {device}: it was compiled for "
                        f"{specs.chip}; compile it for this chip, or name another device"
                    )
            except BaseException:
                tool.release()
                raise
        return RknnLiteSession(tool, artifact.name, specs, device)


class RknnLiteSession:
    """An opened model. The library can do one thing at a time: `run` may be called from several threads, and queues."""

    def __init__(self, tool: Any, name: str, specs: tensor_sidecar.Specs, device: str) -> None:
        """Wrap an initialised runtime; `name` is the artifact's, for messages."""
        self._tool, self._name, self._device = tool, name, device
        self.inputs, self.outputs = specs.inputs, specs.outputs
        self._gate = Gate(name, alone=True)

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        """Run one inference; see `Session.run`."""
        given.check(self._name, self.inputs, inputs)
        with self._gate:
            arrays = [np.ascontiguousarray(inputs[info.name]) for info in self.inputs]
            # Said each time: its default is uint8, whatever the array holds.
            kinds = [info.dtype for info in self.inputs]
            try:
                found = self._tool.inference(inputs=arrays, data_type=kinds)
            except Exception as error:
                raise ExecutionError(f"{self._name}: RKNN-Lite failed: {' '.join(str(error).split())}") from error
            if found is None or len(found) != len(self.outputs):
                raise ExecutionError(f"{self._name}: RKNN-Lite returned no result; see the board's kernel log")
            # Copied: the library may write its next result to the same memory.
            return {
                info.name: np.array(row, info.dtype).reshape([size or -1 for size in info.shape])
                for info, row in zip(self.outputs, found, strict=True)
            }

    def placement(self) -> Placement:
        """Return one node: the library does not tell what happens inside a compiled model."""
        return Placement((NodePlacement(self._name, "rknn", self._device),))

    def close(self) -> None:
        """Wait for the running inference and free the NPU's memory; closing twice is harmless."""
        self._gate.close(self._tool.release)


def _library() -> Any:
    try:
        from rknnlite.api import RKNNLite
    # A build for another board fails with more than ImportError.
    except Exception as error:
        raise MissingDependencyError(f"RKNN-Lite cannot be imported ({error}); {INSTALL}") from error
    return RKNNLite


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("rknn-toolkit-lite2")
    except PackageNotFoundError:
        return "unknown"
