"""ONNX Runtime: the CPU provider, and any other provider that the installed build has."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from edgekit.errors import ExecutionError, MissingDependencyError, PlacementError
from edgekit.runtimes import ort_external, ort_options, ort_placement
from edgekit.runtimes.ort_placement import device_of
from edgekit.runtimes.ort_session import OrtSession
from edgekit.runtimes.protocol import Artifact, Availability, SessionSettings

if TYPE_CHECKING:
    from pathlib import Path

INSTALL = 'pip install "edgekit[onnx]"'
# Registered in every build, but it only forwards to a web service: no device.
_NOT_DEVICES = frozenset({"AzureExecutionProvider"})
_ERRORS_ONLY = 3


class OnnxRuntime:
    """The `onnxruntime` package. A device is a provider's name in lower case without its suffix: ``cpu``, ``cuda``."""

    @property
    def name(self) -> str:
        """``onnxruntime``."""
        return "onnxruntime"

    @property
    def formats(self) -> frozenset[str]:
        """``onnx``."""
        return frozenset({"onnx"})

    def available(self) -> Availability:
        """Say whether onnxruntime can be imported."""
        try:
            return Availability(ok=True, version=_version(_module()), reason="")
        except MissingDependencyError as error:
            return Availability(ok=False, version="", reason=str(error))

    def devices(self) -> tuple[str, ...]:
        """Return the providers of the installed build, in onnxruntime's own order of preference."""
        if not self.available().ok:
            return ()
        return tuple(device_of(name) for name in _module().get_available_providers() if name not in _NOT_DEVICES)

    def open(self, artifact: Artifact, device: str, settings: SessionSettings) -> OrtSession:
        """Open an ONNX model on one provider; see `Runtime.open`.

        Args:
            artifact: an ONNX model; its external data may only name the artifact's sidecars.
            device: one of `devices()`.
            settings: threads, spinning and arena are applied as they are, `options` as `ort_options.OPTIONS` says;
                nothing else is changed.

        Returns:
            The session, every node on `device` unless `settings.allow_cpu`.

        Raises:
            ExecutionError: the model is malformed, points outside its folder, or onnxruntime refuses it.
            PlacementError: the device is not offered, or did not take every node.
            InputError: an option is unknown, or has a value that it does not take.
        """
        ort_options.check(settings.options)
        if device not in self.devices():
            raise PlacementError(
                f"{artifact.name}: onnxruntime offers no device {device!r} here, only {', '.join(self.devices())}"
            )
        opened = _Opening(artifact, device, settings)
        raw = opened.session()
        placement = ort_placement.recorded(raw)
        refused = [node for node in placement.nodes if node.device != device] if placement else []
        if refused and not settings.allow_cpu:
            shown = ", ".join(f"{node.op} {node.name}" for node in refused[:5])
            raise PlacementError(
                f"{artifact.name}: {len(refused)} nodes did not go to {device}: {shown}; allow the CPU explicitly"
            )
        return OrtSession(raw, artifact.name, placement, opened.session)


def open_profiled(artifact: Artifact, device: str, settings: SessionSettings, prefix: Path) -> Any:
    """Open a model as `OnnxRuntime.open` does, with onnxruntime's own profiler on.

    Args:
        artifact: an ONNX model.
        device: one of `OnnxRuntime.devices`.
        settings: as for `OnnxRuntime.open`.
        prefix: of the profile's file, which `end_profiling` writes and names.

    Returns:
        The `onnxruntime.InferenceSession`.

    Raises:
        ExecutionError: onnxruntime refuses the model.
        InputError: an option is unknown, or has a value that it does not take.
    """
    ort_options.check(settings.options)
    return _Opening(artifact, device, settings).session(prefix)


class _Opening:
    """Everything needed to open the same session again, once with a profiler."""

    def __init__(self, artifact: Artifact, device: str, settings: SessionSettings) -> None:
        self._artifact, self._device, self._settings = artifact, device, settings

    def session(self, profile: Path | None = None) -> Any:
        ort, name = _module(), self._artifact.name
        options = _options(ort, self._settings, self._device)
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile)
        providers = [p for p in ort.get_available_providers() if device_of(p) == self._device]
        if self._settings.allow_cpu and self._device != "cpu":
            providers.append("CPUExecutionProvider")
        with ExitStack() as scratch:
            model = ort_external.attach(options, self._artifact, scratch)
            try:
                # Otherwise a provider that fails later is replaced by the CPU without a word.
                return ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
            except Exception as error:
                # onnxruntime's exceptions have no common base; without CPU fallback a refused node ends up here too.
                refused = "fallback to CPU EP has been explicitly disabled" in str(error)
                kind = PlacementError if refused else ExecutionError
                raise kind(f"{name}: onnxruntime on {self._device} refused the model: {_last_line(error)}") from error


def _module() -> Any:
    try:
        import onnxruntime
    # A damaged or mismatched build fails with more than ImportError, and one broken engine must not stop the others.
    except Exception as error:
        raise MissingDependencyError(f"onnxruntime cannot be imported ({error}); {INSTALL}") from error
    # A package that was removed by hand leaves a folder without code, which can still be imported.
    if not hasattr(onnxruntime, "InferenceSession"):
        raise MissingDependencyError(f"onnxruntime is not completely installed; {INSTALL}")
    return onnxruntime


def _version(module: Any) -> str:
    return str(getattr(module, "__version__", "unknown"))


def _options(ort: Any, settings: SessionSettings, device: str) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = settings.arena
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(settings.spinning)))
    # Without this record, placement could only be read from a profile of a real inference.
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if device != "cpu" and not settings.allow_cpu:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    ort_options.apply(ort, options, settings.options)
    return options


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : ", "", lines[-1]) if lines else type(error).__name__
