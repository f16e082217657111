"""Batch norms: what runs as at inference, and running averages over processes.

With several processes each batch norm normalizes with the statistics of its own process's part of the batch, as
PyTorch's data parallel does (synchronized batch norm does not exist on a CPU, and would cost an exchange per layer).
The running averages, which inference uses, are averaged over the processes for evaluations and for the weights that
are delivered; in between each process keeps its own, so that a step costs nothing and a resumed run goes on bit by bit.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from edgekit.converters.distill.training.processes import Processes


def set_training(module: nn.Module) -> None:
    """Switch to training, but leave frozen parts as at inference, their batch norms' averages included."""
    module.train()
    for child in module.modules():
        parameters = list(child.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            child.eval()


def averages(module: nn.Module) -> list[Tensor]:
    """Return the running means and variances of all batch norms, in order."""
    norms = [child for child in module.modules() if isinstance(child, _BatchNorm)]
    pairs = [(norm.running_mean, norm.running_var) for norm in norms]
    return [buffer for pair in pairs for buffer in pair if buffer is not None]


def of_all_processes(module: nn.Module, processes: Processes) -> Tensor:
    """Return float32 (processes, values) the running averages of each process."""
    own = averages(module)
    flat = torch.cat([buffer.flatten() for buffer in own]) if own else torch.zeros(0, device=processes.device)
    return processes.everyone(flat.float())


def put(module: nn.Module, values: Tensor) -> None:
    """Write running averages into the batch norms.

    Args:
        module: with batch norms.
        values: (values,), one row of `of_all_processes`.
    """
    start = 0
    for buffer in averages(module):
        part = values[start : start + buffer.numel()]
        buffer.copy_(part.reshape(buffer.shape))
        start += buffer.numel()


@contextmanager
def as_delivered(module: nn.Module, processes: Processes) -> Iterator[None]:
    """Let the module run as it would be delivered: at inference, with averages over all processes."""
    with torch.no_grad():
        every = of_all_processes(module, processes)
        own = every[processes.rank].clone()
        module.eval()
        if processes.world > 1:
            put(module, every.mean(0))
    try:
        yield
    finally:
        with torch.no_grad():
            put(module, own)
        set_training(module)
