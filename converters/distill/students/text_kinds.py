"""Build a text tower from its plan, with random weights: one function for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.converters.distill.students import inherit, onnx_files, openclip, static, transformer
from edgekit.converters.distill.students.padded import Padded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import nn

    from edgekit.converters.distill.students.plan import TextPlan


def build_text(plan: TextPlan, folder: Path) -> nn.Module:
    """Build a text tower with random weights.

    Args:
        plan: what to build.
        folder: the student's.

    Returns:
        int64 (N, L) ids to float32 (N, D), for any L up to the plan's context length.
    """
    module = KINDS[plan.kind](plan, folder)
    return Padded(module, plan.context_length, plan.pad_id) if plan.full_length else module


def build_static(plan: TextPlan) -> static.StaticText:
    """Build a static text tower with random weights."""
    return static.make_static(
        plan.vocabulary,
        dimension=plan.dimension,
        pad_id=plan.pad_id,
        context_length=plan.context_length,
        width=plan.width,
        layers=plan.layers,
        heads=plan.heads,
    )


def _static(plan: TextPlan, _folder: Path) -> nn.Module:
    return build_static(plan)


def _transformer(plan: TextPlan, _folder: Path) -> nn.Module:
    return transformer.TextTransformer(
        plan.vocabulary,
        plan.factor,
        plan.width,
        plan.layers,
        plan.heads,
        plan.context_length,
        plan.dimension,
        plan.pad_id,
    )


def _open_clip(plan: TextPlan, _folder: Path) -> nn.Module:
    tower = openclip.text_module(plan.config)
    if plan.cut is not None:
        inherit.cut_to(tower, plan.cut)
    return tower


def _onnx(_plan: TextPlan, folder: Path) -> nn.Module:
    return onnx_files.text_module(folder)


KINDS: Mapping[str, Callable[[TextPlan, Path], nn.Module]] = {
    "onnx": _onnx,
    "open_clip": _open_clip,
    "static": _static,
    "transformer": _transformer,
}
"""Functions of a plan and the student's folder."""
