"""The sidecar that says a compiled model's tensors, for boards' libraries that do not tell them as they were."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ExecutionError
from edgekit.runtimes.protocol import TensorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.runtimes.protocol import Artifact

SUFFIX = ".json"
"""Ends the sidecar's name."""


@dataclass(frozen=True)
class Specs:
    """The chip a model was compiled for, and its tensors in the file's order."""

    chip: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


def read(artifact: Artifact) -> Specs:
    """Read an artifact's sidecar.

    Args:
        artifact: with a sidecar ``….json``: ``{"chip": …, "inputs": [{"name", "dtype", "shape"}, …], "outputs": […]}``.

    Returns:
        What it says.

    Raises:
        ExecutionError: it is missing or malformed.
    """
    found = next((blob for name, blob in artifact.sidecars.items() if name.endswith(SUFFIX)), None)
    if found is None:
        raise ExecutionError(f"{artifact.name}: the sidecar that says its tensors is missing; compile it again")
    try:
        plain = json.loads(bytes(found.view))
        inputs, outputs = (tuple(map(_info, plain[kind])) for kind in ("inputs", "outputs"))
        return Specs(str(plain["chip"]), inputs, outputs)
    except (ValueError, TypeError, KeyError) as error:
        raise ExecutionError(f"{artifact.name}: its sidecar is malformed ({error!r}); compile it again") from error


def _info(plain: Mapping[str, Any]) -> TensorInfo:
    return TensorInfo(str(plain["name"]), np.dtype(plain["dtype"]).name, tuple(int(size) for size in plain["shape"]))
