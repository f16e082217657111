"""Make `torchvision` importable where its compiled operators do not match the installed PyTorch."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

# PyTorch forgets a schema when the library object that defined it is collected.
_kept_alive: list[object] = []


def prepare() -> None:
    """Import torchvision, declaring the operator schemas it asks for when only those are missing.

    A CPU build of PyTorch beside a CUDA build of torchvision is a common pair on workstations; torchvision's
    compiled operators then do not load, and its Python part stops at ``operator torchvision::nms does not
    exist``. Image transforms, all that is needed here, use none of those operators. Where torchvision imports,
    or is absent, nothing is changed. Call it before importing ``open_clip`` or ``timm``; calling it again does
    nothing.

    Raises:
        RuntimeError: torchvision cannot be imported for another reason.
    """
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if _kept_alive or "operator torchvision::" not in str(error):
            raise
        _forget_partial_import()
        _declare_schemas()
        importlib.import_module("torchvision")


def _declare_schemas() -> None:
    """Define the two schemas that torchvision attaches Python code to at import."""
    import torch

    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept_alive.append(library)


def _forget_partial_import() -> None:
    """Drop what the failed import left behind, so that the next one starts over."""
    for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
        del sys.modules[name]
