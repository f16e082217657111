"""Find the TensorFlow Lite interpreter that works here: `ai-edge-litert`, else `tflite-runtime`."""

from __future__ import annotations

import base64
import contextlib
import importlib
import importlib.metadata
import io
from dataclasses import dataclass
from typing import Any

from edgekit.errors import MissingDependencyError

INSTALL = 'pip install "edgekit[litert]"'
# The first that works is used. The second is no longer released, but alone it has wheels for 32-bit ARM.
PACKAGES = ("ai-edge-litert", "tflite-runtime")
# One float32 tensor that is input and output at once; written with the schema of TensorFlow Lite, version 3.
_SMALLEST = base64.b64decode(
    "GAAAAFRGTDMAAA4AGAAUABAADAAIAAQADgAAABQAAAAgAAAAJAAAAIwAAAADAAAAAQAAAAgAAAAEAAQABAAAAAEAAAB4AAAAAQAAABAAAAAMABQA"
    "EAAMAAgABAAMAAAAEAAAABAAAAAUAAAAGAAAAAAAAAABAAAAAAAAAAEAAAAAAAAAAQAAABAAAAAMAAwACAAAAAAABAAMAAAACAAAAAwAAAABAAAA"
    "eAAAAAEAAAABAAAAAAAAAA=="
)


@dataclass(frozen=True)
class Engine:
    """An installed package whose interpreter can be constructed.

    Attributes:
        package: its name in the package index.
        version: its version.
        module: its Python module ``interpreter``.
        scales_channels: whether it applies a scale per channel wherever a model has one.
    """

    package: str
    version: str
    module: Any
    scales_channels: bool


def find() -> Engine:
    """Find the engine to use.

    Returns:
        The first of `PACKAGES` that works here.

    Raises:
        MissingDependencyError: no package works; the message says what is wrong with each and what installs one.
    """
    refusals = []
    for package in PACKAGES:
        try:
            return _engine(package)
        except ModuleNotFoundError:
            refusals.append(f"{package} is not installed")
        # A damaged or mismatched build fails with more than ImportError, and the other package may still work.
        except Exception as error:
            refusals.append(f"{package} does not work here ({_why(package, error)})")
    raise MissingDependencyError(f"{'; '.join(refusals)}; {INSTALL}")


def _engine(package: str) -> Engine:
    # NumPy writes a page about the old binary interface to stderr; the refusal says it in one line.
    with contextlib.redirect_stderr(io.StringIO()):
        module = importlib.import_module(f"{package.replace('-', '_')}.interpreter")
        # Importing proves nothing: tflite-runtime 2.14 imports beside NumPy 2 and fails here.
        module.Interpreter(model_content=_SMALLEST).allocate_tensors()
    return Engine(package, _version(package), module, scales_channels=package == "ai-edge-litert")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _why(package: str, error: Exception) -> str:
    import numpy as np

    if package == "tflite-runtime" and int(np.__version__.partition(".")[0]) >= 2:
        return f"it needs numpy<2 and an environment of its own, numpy here is {np.__version__}"
    return f"{type(error).__name__}: {error}".partition("\n")[0]
