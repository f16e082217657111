"""Execution providers that are packages or libraries of their own, loaded into a stock ONNX Runtime (from 1.24 on)."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import InputError, PlacementError
from edgekit.runtimes import qnn_chips

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "EDGEKIT_ORT_PLUGINS"
"""Environment variable with further libraries: ``NAME=/path/of/library.so``, several joined by ``;``.

NAME is the provider's own name, such as ``VitisAIExecutionProvider``."""
_SUFFIX = "ExecutionProvider"
# Packages that carry a provider and say where it is: device, module, the provider's name.
_PACKAGES = (("qnn", "onnxruntime_qnn", "QNNExecutionProvider"),)
_REGISTERED: dict[str, str] = {}
_REGISTERING = threading.Lock()


@dataclass(frozen=True)
class Plugin:
    """One provider: the device's name in edgekit, the provider's, and its library (a module's name in brackets)."""

    device: str
    provider: str
    library: str


def installed() -> tuple[Plugin, ...]:
    """Return the providers that packages and the environment offer, none of them loaded.

    Returns:
        In the order of preference: those of the environment first.

    Raises:
        InputError: the environment variable is malformed.
    """
    found = []
    for pair in filter(None, os.environ.get(VARIABLE, "").split(";")):
        provider, equals, library = pair.partition("=")
        if not (provider and equals and library):
            raise InputError(f"{VARIABLE}: {pair!r} is not NAME=/path/of/library.so")
        found.append(Plugin(provider.removesuffix(_SUFFIX).lower(), provider, library))
    found += [Plugin(device, name, f"[{module}]") for device, module, name in _PACKAGES if find_spec(module)]
    return tuple({plugin.device: plugin for plugin in reversed(found)}.values())[::-1]


def plugin_of(device: str) -> Plugin | None:
    """Return the plugin that offers a device such as ``qnn`` or ``qnn:SM8550``; None where none does."""
    return next((plugin for plugin in installed() if device.partition(":")[0] == plugin.device), None)


def devices(ort: Any) -> tuple[str, ...]:
    """Return the devices of every plugin that loads here.

    Args:
        ort: the module `onnxruntime`.

    Returns:
        ``NAME`` where the provider found its chip; ``NAME:`` for a provider that found none and simulates one, which a
        user names as ``NAME:CHIP``. A plugin that does not load offers none.
    """
    names = []
    for plugin in installed():
        try:
            found = hardware(ort, plugin)
        except PlacementError:
            continue
        names.append(plugin.device if any(_is_chip(one) for one in found) else f"{plugin.device}:")
    return tuple(names)


def hardware(ort: Any, plugin: Plugin) -> list[Any]:
    """Load a plugin, once in this process, and return what it can drive.

    Args:
        ort: the module `onnxruntime`.
        plugin: to load.

    Returns:
        onnxruntime's records of devices, at least one.

    Raises:
        PlacementError: onnxruntime is too old, the library is missing or broken, or it finds nothing to drive.
    """
    if not hasattr(ort, "register_execution_provider_library"):
        version = getattr(ort, "__version__", "unknown")
        raise PlacementError(f"onnxruntime {version} loads no providers of their own; install 1.24 or newer")
    library = _library(plugin)
    with _REGISTERING:
        if plugin.provider not in _REGISTERED:
            try:
                ort.register_execution_provider_library(plugin.provider, library)
            except Exception as error:
                raise PlacementError(f"{plugin.provider}: {library} does not load: {_line(error)}") from error
            _REGISTERED[plugin.provider] = library
    found = [one for one in ort.get_ep_devices() if one.ep_name == plugin.provider]
    if not found:
        raise PlacementError(f"{plugin.provider}: found no device that it could drive here")
    return found


def options(device: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return a provider's options for a device.

    Args:
        device: such as ``qnn`` or ``qnn:QCS6490``.
        given: by the user, without edgekit's prefix; these win.

    Returns:
        Options by the provider's own names.

    Raises:
        PlacementError: the chip is not known; the message lists those that are.
    """
    family, _, chip = device.partition(":")
    return {**(qnn_chips.options(chip) if family == "qnn" else {}), **given}


def _library(plugin: Plugin) -> str:
    if not plugin.library.startswith("["):
        if not Path(plugin.library).is_file():
            raise PlacementError(f"{plugin.provider}: {plugin.library} is no file; correct {VARIABLE}")
        return plugin.library
    module = plugin.library[1:-1]
    try:
        return str(import_module(module).get_library_path())
    except Exception as error:
        raise PlacementError(
            f"{plugin.provider}: the package {module} is broken ({error}); install it again"
        ) from error


def _is_chip(found: Any) -> bool:
    # A provider that simulates its chip is offered the host's processor.
    return str(found.device.type).rpartition(".")[2] != "CPU"


def _line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
