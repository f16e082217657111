"""Store a tower's weights in fewer bytes. What is computed stays float32, so every chip computes the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.converters.compress import half_weights, int8_weights
from edgekit.converters.graph import checks, store
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import onnx

STORAGES: Mapping[str, Callable[[onnx.ModelProto], int]] = {
    "float32": lambda _: 0,
    "float16": half_weights.apply,
    "int8": int8_weights.apply,
}
"""Ways to store weights. Each changes a model with its weights in memory, in place, and returns how many tensors."""


def compress_tower(path_in: Path, path_out: Path, how: str) -> None:
    """Write a tower again with its large weights stored in another type.

    Weights are decoded by nodes that depend on constants only: ONNX Runtime runs them once, when it opens the file,
    so a session is as fast as the float32 one and takes the memory of float32 weights, except for tables that are
    looked up by token id, of which only the rows looked up are decoded.

    Args:
        path_in: the graph, float32, with its external data beside it.
        path_out: where the new graph goes, its weights in ``<name>.data`` beside it; must differ from `path_in`.
        how: a key of `STORAGES`.

    Raises:
        InputError: `how` is no such key, or both paths are the same.
        ConversionError: the graph cannot be read, or the result is refused by onnx.checker.
    """
    if how not in STORAGES:
        raise InputError(f"weights: {how!r} is not one of {', '.join(STORAGES)}")
    if path_in.resolve() == path_out.resolve():
        raise InputError(f"{path_out}: would replace the float32 graph; give another name")
    model = store.load(path_in)
    STORAGES[how](model)
    store.save(model, path_out)
    checks.check_file(path_out)
