"""Run an exported file beside the module it came from: what tracing may have frozen shows here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.bundle.manifest import TensorSpec
from edgekit.converters.export import first_line, plain_attention
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

LIMIT = 1e-3
"""Largest difference of a unit row's component that rounding may explain; a frozen size is far beyond it."""

_BATCHES = (1, 3)  # neither is the traced one


def run_torch(module: torch.nn.Module, batch: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Return the module's output for one batch, as float32."""
    with plain_attention(), torch.inference_mode():
        result: npt.NDArray[np.float32] = module(torch.from_numpy(np.ascontiguousarray(batch))).float().numpy()
    return result


def example(given: TensorSpec, rows: int, length: int) -> npt.NDArray[np.generic]:
    """Make a contract input of arbitrary content, the same on every call.

    Args:
        given: the input; uint8 pixels or int32 ids.
        rows: N.
        length: L, where the input's second dimension is free.

    Returns:
        Random pixels in 0..255, or small ids in 3..99, which every vocabulary has.
    """
    generator = np.random.default_rng(rows)
    shape = [size if isinstance(size, int) else length for size in given.shape]
    shape[0] = rows
    if given.dtype == "uint8":
        return generator.integers(0, 256, shape, dtype=np.uint8)
    return generator.integers(3, 100, shape, dtype=np.int32)


def free_shape(module: torch.nn.Module, given: TensorSpec, length: int) -> TensorSpec:
    """Fix the second dimension of `given` at `length` when the module itself refuses a shorter input."""
    if isinstance(given.shape[1], int):
        return given
    try:
        run_torch(module, example(given, rows=1, length=short(length)))
    except (RuntimeError, ValueError, IndexError, AssertionError):
        return TensorSpec(given.name, given.dtype, (given.shape[0], length))
    return given


def short(length: int) -> int:
    """Return a length well below `length` that no architecture has a reason to favour."""
    return max(1, length // 3)


def check(path: Path, module: torch.nn.Module, traced: torch.nn.Module, given: TensorSpec, length: int) -> None:
    """Compare the file with the modules at two batch sizes and, where it is free, two lengths.

    Args:
        path: the graph file.
        module: the reference, which takes full-length input.
        traced: the module the file was made from, which is compared at a shorter length.
        given: the file's input.
        length: the full length, for ids.

    Raises:
        ConversionError: the file cannot be run, or an output differs by more than `LIMIT`.
    """
    cases = [(module, rows, length) for rows in _BATCHES]
    if isinstance(given.shape[1], str):
        cases.append((traced, _BATCHES[0], short(length)))
    try:
        session = _session(path)
    except Exception as error:
        raise ConversionError(
            f"{path.name}: ONNX Runtime cannot open the exported graph: {first_line(error)}"
        ) from error
    for expected_by, rows, columns in cases:
        batch = example(given, rows, columns)
        expected = run_torch(expected_by, batch)
        case = f"batch {rows}" if given.dtype == "uint8" else f"batch {rows}, length {columns}"
        try:
            (found,) = session.run(None, {given.name: batch})
        except Exception as error:
            raise ConversionError(f"{path.name}: the exported graph fails at {case}: {first_line(error)}") from error
        if found.shape != expected.shape:
            raise ConversionError(f"{path.name}: {case} gives shape {found.shape}, the module {expected.shape}")
        difference = float(np.abs(found - expected).max())
        if not difference <= LIMIT:
            raise ConversionError(f"{path.name}: {case} differs from the module by {difference:.2g} (limit {LIMIT:g})")


def _session(path: Path):  # type: ignore[no-untyped-def]  # onnxruntime ships no types
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
