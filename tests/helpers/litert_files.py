"""The TensorFlow Lite files in tests/fixtures/litert, and what they compute; needs neither engine nor schema."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.runtimes.protocol import Artifact, Blob

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

FIXTURES = Path(__file__).parents[1] / "fixtures" / "litert"
DELEGATE = Path(__file__).parents[1] / "runtimes" / "delegate" / "add_delegate.c"
_RANDOM = np.random.default_rng(5)
MATRIX = _RANDOM.normal(size=(48, 3)).astype(np.float32)
TABLE = _RANDOM.normal(size=(7, 3)).astype(np.float32)
CHANNEL_WEIGHTS = _RANDOM.integers(-127, 128, (4, 8)).astype(np.int8)
CHANNEL_SCALES = (0.01, 0.02, 0.03, 0.04)


def artifact(name: str) -> Artifact:
    """Return a fixture, on disk, by its name without suffix."""
    path = FIXTURES / f"{name}.tflite"
    return Artifact(path.name, "tflite", Blob(memoryview(path.read_bytes()), path))


def in_memory(name: str) -> Artifact:
    """Return a fixture with nothing on disk."""
    return Artifact(f"{name}.tflite", "tflite", Blob(artifact(name).model.view))


def expected(given: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
    """What ``two_inputs`` computes."""
    pixels = given["pixels"].astype(np.float64).reshape(len(given["pixels"]), -1)
    total = pixels @ MATRIX + TABLE[given["ids"].astype(np.int64)].astype(np.float64).sum(axis=1)
    return {"sum": total.astype(np.float32), "first": total[:, :1].astype(np.float32)}


def compiled(folder: Path) -> str:
    """Compile the tests' delegate in a folder and return its device's name; skip where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler here to make the external delegate with")
    library = folder / "libadd_delegate.so"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, "-o", str(library), str(DELEGATE)], check=True)
    return f"delegate:{library}"
