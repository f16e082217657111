"""OpenVINO: x86 and ARM processors, Intel's GPUs and NPUs, from the portable ONNX files or from OpenVINO's own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import ExecutionError, MissingDependencyError, PlacementError
from edgekit.runtimes import engines, onnx_sidecars, openvino_files, openvino_options, openvino_placement
from edgekit.runtimes.openvino_session import OpenVinoSession, told
from edgekit.runtimes.protocol import Artifact, Availability, SessionSettings

if TYPE_CHECKING:
    from edgekit.runtimes.protocol import Placement

INSTALL = 'pip install "edgekit[openvino]"'


class OpenVino:
    """The `openvino` package. A device is OpenVINO's name in lower case: ``cpu``, ``gpu``, ``gpu.1``, ``npu``."""

    @property
    def name(self) -> str:
        """``openvino``."""
        return "openvino"

    @property
    def formats(self) -> frozenset[str]:
        """``onnx``, and ``openvino`` for its own files (IR)."""
        return frozenset({"onnx", "openvino"})

    def available(self) -> Availability:
        """Say whether openvino can be imported."""
        try:
            return Availability(ok=True, version=_version(_module()), reason="")
        except MissingDependencyError as error:
            return Availability(ok=False, version="", reason=str(error))

    def devices(self) -> tuple[str, ...]:
        """Return the devices that OpenVINO's plugins found here, accelerators first."""
        if not self.available().ok:
            return ()
        found = [str(name).lower() for name in _module().Core().available_devices]
        return tuple(sorted(found, key=lambda name: (name == "cpu", name)))

    def open(self, artifact: Artifact, device: str, settings: SessionSettings) -> OpenVinoSession:
        """Open a model on one device; see `Runtime.open`.

        Args:
            artifact: an ONNX model, whose external data may only name the artifact's sidecars; or an ``.xml`` file of
                OpenVINO's, with the ``.bin`` file that has its weights as the only sidecar.
            device: one of `devices()`.
            settings: threads of the CPU and options are applied, see `openvino_options`; spinning and arena have no
                counterpart in this engine and change nothing. Without ``allow_cpu`` the device must take every node;
                with it, OpenVINO's HETERO gives the CPU those that the device refuses.

        Returns:
            The session.

        Raises:
            ExecutionError: the model is malformed, points outside its folder, or OpenVINO refuses it.
            PlacementError: the device is not offered, or did not take every node.
            InputError: an option is unknown, or has a value that it does not take.
        """
        properties = openvino_options.resolve(settings, device)
        if device not in self.devices():
            raise PlacementError(
                f"{artifact.name}: OpenVINO offers no device {device!r} here, only {', '.join(self.devices())}"
            )
        ov = _module()
        core = ov.Core()
        target = device.upper() if device == "cpu" or not settings.allow_cpu else f"HETERO:{device.upper()},CPU"
        with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
            if artifact.format == "onnx":
                model = _read(ov, onnx_sidecars.lay_out(artifact, Path(folder)), artifact.name)
            else:
                model = openvino_files.read(ov, artifact, Path(folder))
            placement = _placement(core, model, target, artifact.name)
            with told(ExecutionError, f"{artifact.name}: OpenVINO on {device} refused the model"):
                compiled = core.compile_model(model, target, properties)
        if target == "CPU":
            placement = openvino_placement.executed(compiled, device)
        return OpenVinoSession(compiled, artifact.name, placement)


def _placement(core: Any, model: Any, target: str, name: str) -> Placement:
    """Return what the device would take, having refused a model of which it would leave something."""
    with told(ExecutionError, f"{name}: OpenVINO cannot place the model on {target}"):
        placement, left = openvino_placement.asked(core, model, target)
    if left:
        shown = ", ".join(left[:5])
        raise PlacementError(f"{name}: {target} refuses {len(left)} nodes: {shown}; allow the CPU explicitly")
    return placement


def _read(ov: Any, path: Path, name: str) -> Any:
    # This frontend alone: the others would try the same bytes as models of their own kinds, and print what they think.
    with told(ExecutionError, f"{name}: OpenVINO cannot read the model"):
        frontend = ov.frontend.FrontEndManager().load_by_framework("onnx")
        model = frontend.convert(frontend.load(str(path)))
    return openvino_files.whole(model, name)


def _module() -> Any:
    found = engines.imported("openvino", "Core", INSTALL)
    engines.imported("openvino.frontend", "FrontEndManager", INSTALL)
    return found


def _version(module: Any) -> str:
    return str(module.__version__).partition("-")[0]
