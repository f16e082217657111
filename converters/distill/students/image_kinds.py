"""Build an image tower from its plan, with random weights: one function for each kind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edgekit.converters.distill.students import conv, inherit, onnx_files, openclip, trunks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import nn

    from edgekit.converters.distill.students.plan import ImagePlan


def build_image(plan: ImagePlan, folder: Path) -> nn.Module:
    """Build an image tower with random weights.

    Args:
        plan: what to build.
        folder: the student's.

    Returns:
        float32 (N, 3, H, W) normalized planes to float32 (N, D).
    """
    return KINDS[plan.kind](plan, folder)


def _conv(plan: ImagePlan, _folder: Path) -> nn.Module:
    return conv.ConvEncoder(plan.width, plan.layers, min(_size(plan)), plan.dimension)


def _hybrid(plan: ImagePlan, _folder: Path) -> nn.Module:
    return trunks.hybrid(plan.width, plan.layers, plan.dimension)


def _vit(plan: ImagePlan, _folder: Path) -> nn.Module:
    return trunks.vit(_size(plan), plan.patch, plan.width, plan.layers, plan.heads, plan.dimension)


def _timm(plan: ImagePlan, _folder: Path) -> nn.Module:
    return trunks.timm_model(json.loads(plan.config)["name"], _size(plan), plan.dimension)


def _open_clip(plan: ImagePlan, _folder: Path) -> nn.Module:
    tower = openclip.image_module(plan.config)
    if plan.cut is not None:
        inherit.cut_to(tower, plan.cut)
    return tower


def _onnx(plan: ImagePlan, folder: Path) -> nn.Module:
    return onnx_files.image_module(folder, plan.spec)


KINDS: Mapping[str, Callable[[ImagePlan, Path], nn.Module]] = {
    "conv": _conv,
    "hybrid": _hybrid,
    "onnx": _onnx,
    "open_clip": _open_clip,
    "timm": _timm,
    "vit": _vit,
}
"""Functions of a plan and the student's folder."""


def _size(plan: ImagePlan) -> tuple[int, int]:
    return plan.spec.height, plan.spec.width
