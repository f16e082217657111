"""Engines that ONNX Runtime's TensorRT provider compiled, kept so that only the first load compiles.

The provider has a folder of its own for them and asks its user to empty it when the model, onnxruntime, TensorRT or the
GPU changes (its documentation, "TensorRT EP Caches"). Here each of these is part of the key.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from edgekit.runtimes import compiled_cache, compiled_entry, cuda_driver, ort_kept, ort_placement
from edgekit.runtimes.compiled_entry import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edgekit.runtimes.onnx_facts import Facts
    from edgekit.runtimes.protocol import Artifact, Placement

ENGINES = "*.engine"
_OWN = ("trt_engine_cache_enable", "trt_engine_cache_path", "trt_dump_ep_context_model")


def wanted(given: Mapping[str, str], facts: Facts) -> bool:
    """Whether edgekit keeps the engines of a model.

    Args:
        given: the provider's options.
        facts: about the model.

    Returns:
        False where the user has a folder of their own, and for a model with free dimensions, whose engines the provider
        compiles at the first inference.
    """
    return facts.static and not any(name in given for name in _OWN)


def options(folder: Path) -> dict[str, str]:
    """Return the provider's options for a folder of engines."""
    return {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}


def key_of(ort: Any, library: str, artifact: Artifact, device: str, given: Mapping[str, str]) -> Key:
    """Return what an engine depends on.

    Args:
        ort: the module `onnxruntime`.
        library: TensorRT's, such as ``libnvinfer.so.10``.
        artifact: the model.
        device: such as ``tensorrt`` or ``tensorrt:dla0``.
        given: the provider's options.

    Returns:
        The key.

    Raises:
        PlacementError: there is no GPU.
    """
    return Key(
        artifact=compiled_entry.digest(artifact),
        runtime=f"onnxruntime {ort.__version__}",
        compiler=f"{library} {_build(library)}".strip(),
        device=f"{device} {cuda_driver.gpu(int(given.get('device_id', '0')))}",
        options=" ".join(f"{name}={value}" for name, value in sorted(given.items())),
    )


def open_kept(key: Key, device: str, session: Callable[[Path | None], Any]) -> tuple[Any, Placement | None]:
    """Open a model with the engines that were kept of it, else compile them and keep them.

    Args:
        key: of the model.
        device: of the runtime.
        session: opens it with a folder of engines, or without one.

    Returns:
        The session, and which node runs where, with a note that says what happened.
    """
    found = compiled_cache.find(key)
    if found.entry is not None:
        raw = session(found.entry.folder)
        return raw, ort_kept.noted(ort_placement.recorded(raw), compiled_cache.EARLIER)
    wrote: Callable[[Path], bool] = lambda folder: any(folder.glob(ENGINES))  # noqa: E731
    raw, placement, problem = ort_kept.compile_and_keep(key, device, session, wrote, lambda: session(None))
    return raw, ort_kept.noted(placement, found.note, problem)


def _build(library: str) -> str:
    """Return the number of a TensorRT's build, as its library tells it; empty where there is no such library."""
    try:
        return str(ctypes.CDLL(library).getInferLibVersion())
    except (OSError, AttributeError):
        return ""
