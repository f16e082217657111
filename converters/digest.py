"""One number for a set of weights, so that two bundles can be told to come from the same checkpoint."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


def weights_sha256(modules: Mapping[str, torch.nn.Module]) -> str:
    """Digest the state dictionaries of some modules: names, types, shapes and values, in sorted order.

    The digest depends neither on the order of registration nor on the file format the weights came from.

    Args:
        modules: the modules, each under a name of the caller's choice that becomes part of the digest.

    Returns:
        SHA-256 as 64 lower-case hexadecimal digits.
    """
    digest = hashlib.sha256()
    for prefix in sorted(modules):
        state = modules[prefix].state_dict()
        for name in sorted(state):
            tensor = state[name]
            if not hasattr(tensor, "numel"):
                continue  # `get_extra_state` may return anything; it holds no weights
            shape = ",".join(str(size) for size in tensor.shape)
            digest.update(f"{prefix}/{name}|{tensor.dtype}|{shape}\n".encode())
            digest.update(_bytes_of(tensor))
    return digest.hexdigest()


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    """The tensor's values as raw bytes in row-major order, whatever its type (numpy has no bfloat16)."""
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    view: memoryview = flat.view(torch.uint8).numpy().data
    return view
