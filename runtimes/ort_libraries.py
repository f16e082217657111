"""Why a provider of onnxruntime that is a shared library cannot load here: what it needs and this machine lacks."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from edgekit.runtimes import shared_libraries

# Per device, what has the libraries that its provider needs.
_FIX = {
    "cann": "install Huawei's CANN toolkit and source its set_env.sh (/usr/local/Ascend/ascend-toolkit/set_env.sh)",
}


def absent(ort: Any, device: str) -> str:
    """Say why a provider cannot load; onnxruntime itself offers it all the same, and falls back to the CPU.

    Args:
        ort: the module `onnxruntime`.
        device: such as ``cann``.

    Returns:
        The reason and what to do; empty where it can, where it is part of onnxruntime's own library, or where nothing
        is known of it.
    """
    if device not in _FIX:
        return ""
    names = lacking(Path(ort.__file__).parent / "capi", device)
    if not names:
        return ""
    version = getattr(ort, "__version__", "")
    return (
        f"the provider {device} of onnxruntime {version} needs {', '.join(names)}, which this machine does not have; "
        f"{_FIX[device]}"
    )


@cache
def lacking(folder: Path, device: str) -> tuple[str, ...]:
    """Return the libraries that a provider needs and this machine lacks; read once in a process.

    Args:
        folder: where onnxruntime keeps its libraries.
        device: such as ``cann``.

    Returns:
        Their names; none where the provider is no library of its own.
    """
    path = folder / f"libonnxruntime_providers_{device}.so"
    if not path.is_file():
        return ()
    # Those of onnxruntime lie beside it, where the provider itself looks.
    others = [name for name in shared_libraries.needed(path) if not (folder / name).exists()]
    return shared_libraries.missing(others)
