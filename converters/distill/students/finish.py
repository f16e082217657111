"""What is left when the training is over: a plain module."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from torch.nn.utils import parametrize

from edgekit.converters.distill.students.adapt import merged
from edgekit.converters.distill.students.rounding import remove_rounding
from edgekit.converters.distill.students.trunks import deployed

if TYPE_CHECKING:
    from torch import nn


def finish(module: nn.Module) -> nn.Module:
    """Copy a module as it is to be exported.

    Rounding is removed and leaves the float weights; low-rank additions and probes are written into the weights;
    parallel branches of mobile architectures become one convolution each.

    Args:
        module: what was trained; unchanged.

    Returns:
        The copy, in evaluation mode, without gradients.
    """
    plain = copy.deepcopy(module)
    _own_classes(plain)
    remove_rounding(plain)
    return deployed(merged(plain).eval()).requires_grad_(False)


def _own_classes(plain: nn.Module) -> None:
    """Part a copy from its original: PyTorch keeps a parametrized weight's property in a class that copies share."""
    for part in plain.modules():
        if parametrize.is_parametrized(part):
            kind = type(part)
            members = {name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")}
            part.__class__ = type(kind.__name__, kind.__bases__, members)
