"""ONNX Runtime: the CPU provider, any other provider that the installed build has, and providers that are plugins."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import ExecutionError, MissingDependencyError, PlacementError
from edgekit.runtimes import (
    onnx_facts,
    ort_context,
    ort_engines,
    ort_external,
    ort_in_advance,
    ort_libraries,
    ort_options,
    ort_placement,
    ort_plugins,
    ort_provider_tables,
    ort_tensorrt,
)
from edgekit.runtimes.engines import imported
from edgekit.runtimes.ort_placement import device_of
from edgekit.runtimes.ort_session import OrtSession
from edgekit.runtimes.protocol import Artifact, Availability, SessionSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.runtimes.onnx_facts import Facts
    from edgekit.runtimes.protocol import NodePlacement, Placement

INSTALL = 'pip install "edgekit[onnx]"'
# Registered in every build, but it only forwards to a web service: no device.
_NOT_DEVICES = frozenset({"AzureExecutionProvider"})
_ERRORS_ONLY = 3


class OnnxRuntime:
    """The `onnxruntime` package.

    A device is a provider's name in lower case without its suffix: ``cpu``, ``cuda``, ``qnn``. A plugin that simulates
    a chip is named with it: ``qnn:QCS6490``.
    """

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
        """Return the installed build's providers, in onnxruntime's own order of preference, and those of plugins."""
        if not self.available().ok:
            return ()
        ort, plugins = _module(), {plugin.provider for plugin in ort_plugins.installed()}
        built_in = [name for name in ort.get_available_providers() if name not in _NOT_DEVICES | plugins]
        loadable = [name for name in map(device_of, built_in) if not _absent(ort, name)]
        # A family beside the device itself: an accelerator competes only when it is named.
        families = [f"{name}:" for name in loadable if name in ort_tensorrt.MEMBERS]
        return (*loadable, *families, *ort_plugins.devices(ort))

    def lacking(self, device: str) -> str:
        """Say what a provider of this build needs that is not here; empty where nothing is known to be missing."""
        return _absent(_module(), device) if self.available().ok else ""

    def open(self, artifact: Artifact, device: str, settings: SessionSettings) -> OrtSession:
        """Open an ONNX model on one provider; see `Runtime.open`.

        Args:
            artifact: an ONNX model; its external data may only name the artifact's sidecars.
            device: one of `devices()`, or a member of one that ends in a colon.
            settings: threads, spinning and arena are applied as they are, `options` as `ort_options.OPTIONS` says, and
                those that begin with ``provider.`` are handed to the provider, checked where
                `ort_provider_tables.TABLES` knows it; nothing else is changed.

        Returns:
            The session, every node on `device` unless `settings.allow_cpu`.

        Raises:
            ExecutionError: the model is malformed, points outside its folder, or onnxruntime refuses it.
            PlacementError: the device is not offered, or did not take every node.
            InputError: an option is unknown, or has a value that it does not take.
        """
        ort_options.check(settings.options)
        opened = _Opening(artifact, device, settings)
        if not _offers(self.devices(), device):
            told = (
                self.lacking(device)
                or f"onnxruntime offers no device {device!r} here, only {', '.join(self.devices())}"
            )
            raise PlacementError(f"{artifact.name}: {told}")
        ort_tensorrt.check_placement(device, artifact.name, allow_cpu=settings.allow_cpu)
        try:
            raw, placement = opened.placed()
        except ort_context.NothingFitsError as error:
            raise PlacementError(f"{artifact.name}: {error}") from error
        except PlacementError as error:
            raise PlacementError(f"{error}{_left(artifact, device, settings)}") from error
        refused = ort_placement.elsewhere(placement, device)
        if refused and not settings.allow_cpu:
            raise PlacementError(f"{artifact.name}: {_shown(refused, device)}")
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


def _left(artifact: Artifact, device: str, settings: SessionSettings) -> str:
    """Say which nodes a device leaves to the CPU, by letting it; empty where that does not open either."""
    try:
        raw = _Opening(artifact, device, replace(settings, allow_cpu=True)).session()
    except ExecutionError:
        return ""
    refused = ort_placement.elsewhere(ort_placement.recorded(raw), device)
    return f": {_shown(refused, device)}" if refused else ""


def _shown(refused: list[NodePlacement], device: str) -> str:
    shown = ", ".join(f"{node.op} {node.name}".strip() for node in refused[:5])
    design = ort_provider_tables.strictness(device)
    why = f" ({design})" if design else ""
    return f"{len(refused)} nodes did not go to {device}: {shown}; allow the CPU explicitly{why}"


class _Opening:
    """Everything needed to open the same session again, once with a profiler."""

    def __init__(self, artifact: Artifact, device: str, settings: SessionSettings) -> None:
        self._artifact, self._device, self._settings = artifact, device, settings
        given = ort_options.provider(settings.options)
        self._given = ort_provider_tables.options(device, given, settings.threads)
        self._plugin = ort_plugins.plugin_of(device)

    def placed(self) -> tuple[Any, Placement | None]:
        """Open it, from what was kept of an earlier compilation where there is one, and say which node runs where."""
        ort, plugin = _module(), self._plugin
        cache = dict(self._settings.options).get(ort_options.COMPILED_CACHE, "on")
        if cache == "only" and plugin is None:
            raise PlacementError(
                f"{self._artifact.name}: {ort_options.COMPILED_CACHE}=only is for qnn, not {self._device}"
            )
        if cache != "off" and self._facts is not None:
            given = self._tensorrt(ort, self._facts)
            if ort_engines.wanted(given, self._facts):
                key = ort_engines.key_of(ort, ort_tensorrt.library(ort), self._artifact, self._device, given)
                return ort_engines.open_kept(key, self._device, lambda folder: self.session(engines=folder))
        if cache == "off" or plugin is None:
            raw = self.session()
            return raw, ort_placement.recorded(raw)
        key = ort_context.key_of(ort, plugin, self._artifact, self._device, self._settings)
        offer = ort_in_advance.offer(self._artifact, self._device, key.compiler, self._settings)
        return ort_context.open_kept(
            key,
            self._device,
            lambda entries, compiled: self.session(None, entries, compiled),
            offer,
            only=cache == "only",
        )

    def session(
        self,
        profile: Path | None = None,
        entries: Mapping[str, str] | None = None,
        compiled: Path | bytes | None = None,
        engines: Path | None = None,
    ) -> Any:
        ort, name = _module(), self._artifact.name
        options = _options(ort, self._settings, self._device)
        for entry, value in (entries or {}).items():
            options.add_session_config_entry(entry, value)
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile)
        chosen: dict[str, Any] = {}
        if self._plugin is not None:
            found = ort_plugins.hardware(ort, self._plugin)
            options.add_provider_for_devices(found, ort_plugins.options(self._device, self._given))
        else:
            # Otherwise a provider that fails later is replaced by the CPU without a word.
            chosen = {"providers": _providers(ort, self._device, self._given, self._settings), "enable_fallback": 0}
        with ExitStack() as scratch:
            model = str(compiled) if isinstance(compiled, Path) else compiled
            model = model or ort_external.attach(options, self._artifact, scratch)
            if self._facts is not None:
                kept = ort_engines.options(engines) if engines else {}
                fitted = self._tensorrt(ort, self._facts)
                chosen["providers"][0] = (ort_tensorrt.TENSORRT.provider, {**fitted, **kept})
            try:
                raw = ort.InferenceSession(model, options, **chosen)
            except Exception as error:
                # onnxruntime's exceptions have no common base; without CPU fallback a refused node ends up here too.
                refused = "fallback to CPU EP has been explicitly disabled" in str(error)
                kind = PlacementError if refused else ExecutionError
                raise kind(f"{name}: onnxruntime on {self._device} refused the model: {_last_line(error)}") from error
        ort_tensorrt.check_made(raw.get_providers, self._device, name)
        return raw

    @cached_property
    def _facts(self) -> Facts | None:
        """What TensorRT's provider must know of the graph; None for another provider."""
        if self._device.partition(":")[0] != ort_tensorrt.TENSORRT.device or self._plugin is not None:
            return None
        return onnx_facts.read(self._artifact.model.view, self._artifact.name)

    def _tensorrt(self, ort: Any, facts: Facts) -> dict[str, str]:
        """Return what TensorRT's provider is given for this graph."""
        return ort_tensorrt.fitted(self._device, self._given, facts, ort_tensorrt.version(ort))


def _offers(offered: tuple[str, ...], device: str) -> bool:
    """Whether a device is one of those offered, or a member of a family."""
    family, colon, member = device.partition(":")
    if device in offered and not device.endswith(":"):
        return True
    known = family + colon in offered or ort_tensorrt.is_known(device) or ort_plugins.plugin_of(device) is not None
    return bool(member and known and {family, family + colon} & set(offered))


def _providers(ort: Any, device: str, given: dict[str, str], settings: SessionSettings) -> list[Any]:
    family = device.partition(":")[0]
    names = [name for name in ort.get_available_providers() if device_of(name) == family]
    found: list[Any] = [(name, given) if given else name for name in names]
    if settings.allow_cpu and device != "cpu":
        # What TensorRT does not read stays on the GPU where the CUDA provider is there.
        if family == ort_tensorrt.TENSORRT.device and ort_tensorrt.CUDA.provider in ort.get_available_providers():
            found.append(ort_tensorrt.CUDA.provider)
        found.append("CPUExecutionProvider")
    return found


def _absent(ort: Any, device: str) -> str:
    """Say why a provider of this build cannot load; empty where it can, or where it is not of this build."""
    family = device.partition(":")[0]
    built = family in map(device_of, ort.get_available_providers())
    if not built:
        return ""
    return ort_tensorrt.absent(ort, device) if ort_tensorrt.is_known(device) else ort_libraries.absent(ort, family)


def _module() -> Any:
    return imported("onnxruntime", "InferenceSession", INSTALL)


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
