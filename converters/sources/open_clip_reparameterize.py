"""Merge branches that exist only for training, as mobile architectures of timm intend before deployment."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_DEPLOYERS = ("fuse", "reparameterize", "switch_to_deploy")


def reparameterized(encoder: torch.nn.Module) -> torch.nn.Module | None:
    """Copy an image encoder and merge the parallel branches of its timm trunk.

    MobileCLIP's FastViT computes each layer as a sum of convolutions and normalizations that equal one
    convolution; merging them is exact up to rounding, and several times faster on a device.

    Args:
        encoder: the encoder, unchanged; its timm trunk is ``encoder.visual.trunk``.

    Returns:
        The merged copy, or None where nothing can be merged.
    """
    trunk = getattr(getattr(encoder, "visual", None), "trunk", None)
    if trunk is None or not any(hasattr(part, name) for part in trunk.modules() for name in _DEPLOYERS):
        return None
    from timm.utils import reparameterize_model

    merged: Any = copy.deepcopy(encoder)
    visual = merged.visual
    visual.trunk = reparameterize_model(visual.trunk, inplace=True)
    result: torch.nn.Module = merged
    return result
