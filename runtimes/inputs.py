"""Check what a caller hands to a session before an engine sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from edgekit.runtimes.protocol import TensorInfo


def check(name: str, infos: Sequence[TensorInfo], inputs: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Refuse inputs that are not those a session states.

    Args:
        name: of the artifact, for messages.
        infos: the session's inputs.
        inputs: arrays by name, as given by the caller.

    Raises:
        ExecutionError: an input is missing, unknown or of the wrong dtype or shape.
    """
    wanted = {info.name for info in infos}
    if set(inputs) != wanted:
        raise ExecutionError(f"{name}: the inputs are {sorted(wanted)}, got {sorted(inputs)}")
    for info in infos:
        array = inputs[info.name]
        found = getattr(array, "dtype", type(array).__name__)
        # Compared with the byte order: an engine would read the other one as if it were this machine's.
        if found != info.dtype:
            raise ExecutionError(f"{name}: {info.name} must be {info.dtype}, got {found}")
        fits = len(array.shape) == len(info.shape) and all(
            size is None or size == actual for size, actual in zip(info.shape, array.shape, strict=True)
        )
        if not fits:
            raise ExecutionError(f"{name}: {info.name} must have shape {info.shape}, got {array.shape}")
