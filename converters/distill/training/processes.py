"""One process or many: what they tell each other in a step, through Hugging Face Accelerate."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import distributed

from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from edgekit.converters.distill.recipe import Precision

_NAMES = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}
_MODES = {name: mode for mode, name in _NAMES.items()}


@dataclass(frozen=True)
class Agreed:
    """What all processes know before a step.

    Attributes:
        images: in each process's part of the batch.
        texts: likewise.
        stop: whether any process was asked to stop.
        save: whether the first process wants a checkpoint.
        cpu_seconds: of the first process.
    """

    images: tuple[int, ...]
    texts: tuple[int, ...]
    stop: bool
    save: bool
    cpu_seconds: float


class Processes:
    """The processes of this training. Every method must be called by all of them, in the same order.

    Args:
        precision: of the towers' arithmetic while they learn.

    Raises:
        InputError: the precision does not exist on this device.
    """

    def __init__(self, precision: Precision) -> None:
        mode = _mode(precision)
        # Without this, Accelerate looks for a GPU's library in each of several processes on a CPU.
        cpu = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()
        # Running averages are taken care of in `normalization`.
        settings = DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
        self._settings = settings
        self.accelerator = Accelerator(cpu=cpu, mixed_precision=mode, kwargs_handlers=[settings])
        self.rank: int = self.accelerator.process_index
        self.world: int = self.accelerator.num_processes
        self.device: torch.device = self.accelerator.device
        self.precision = _NAMES[mode]

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def wrap(self, module: nn.Module, *, some_unused: bool) -> nn.Module:
        """Wrap a module for training.

        Args:
            module: on this device.
            some_unused: whether some of its parameters never get a gradient.

        Returns:
            The same computation under mixed precision, with float32 outputs and gradients averaged over processes.
        """
        self._settings.find_unused_parameters = some_unused
        with warnings.catch_warnings():
            # Newer releases of PyTorch call this setting by another name that older ones do not know.
            warnings.filterwarnings("ignore", message=".*broadcast_buffers.*", category=FutureWarning)
            wrapped: nn.Module = self.accelerator.prepare_model(module)
        return wrapped

    def wrap_again(self, wrapped: nn.Module, optimizer: Any) -> tuple[nn.Module, Any]:
        """Wrap a module whose layers were changed.

        A parametrization gives a weight a new node in the graph of gradients, which data parallel does not listen to. A
        single process has no need of it.

        Args:
            wrapped: of `wrap`, with several processes; not to be used any more.
            optimizer: PyTorch's own, of the same parameters.

        Returns:
            The module and the optimizer, both prepared.
        """
        module = self.accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False)
        # Else Accelerate keeps the old wrapper, which would go on averaging.
        self.accelerator.free_memory()
        unused = bool(self._settings.find_unused_parameters)
        return self.wrap(module, some_unused=unused), self.accelerator.prepare_optimizer(optimizer)

    def agree(self, images: int, texts: int, stop: bool, save: bool, cpu_seconds: float) -> Agreed:
        """Tell each other about the next step.

        Args:
            images: in this process's part of the batch.
            texts: likewise.
            stop: whether this process was asked to stop.
            save: whether it wants a checkpoint; the first one's wish counts.
            cpu_seconds: it spent; the first one's count.

        Returns:
            The same for all processes.
        """
        if self.world == 1:
            return Agreed((images,), (texts,), stop, save, cpu_seconds)
        own = torch.tensor([images, texts, stop, save, cpu_seconds], dtype=torch.float64, device=self.device)
        found = self._gathered(own).cpu()
        counts = found[:, :2].long().tolist()
        return Agreed(
            images=tuple(count[0] for count in counts),
            texts=tuple(count[1] for count in counts),
            stop=bool(found[:, 2].any()),
            save=bool(found[0, 3]),
            cpu_seconds=float(found[0, 4]),
        )

    def gather(self, parts: Sequence[Tensor], counts: Sequence[Sequence[int]]) -> list[Tensor]:
        """Put the rows of all processes together, the gradient kept for this one's own, in a single exchange.

        Args:
            parts: of this process, each (n, ...) float32 or int64; of one shape but for n in all processes.
            counts: for each part, n of each process.

        Returns:
            For each part, the rows of all processes, in the order of their ranks.
        """
        if self.world == 1 or not parts:
            return list(parts)
        # Integers travel as pairs of floats of the same bits: nothing computes with them on the way.
        own = torch.cat([_bits(part.detach()).flatten() for part in parts])
        widths = [_bits(part.detach()[:0]).shape[1:].numel() for part in parts]
        lengths = [sum(n[rank] * width for n, width in zip(counts, widths, strict=True)) for rank in range(self.world)]
        padded = own.new_zeros(max(lengths))
        padded[: len(own)] = own
        everything = self._gathered(padded)
        found, starts = [], [0] * self.world
        for part, n, width in zip(parts, counts, widths, strict=True):
            rows = []
            for rank in range(self.world):
                flat = everything[rank, starts[rank] : starts[rank] + n[rank] * width]
                starts[rank] += n[rank] * width
                rows.append(part if rank == self.rank else _unbits(flat, part))
            found.append(torch.cat(rows))
        return found

    def everyone(self, own: Tensor) -> Tensor:
        """Return (processes, ...) the same tensor of each process."""
        return own[None] if self.world == 1 else self._gathered(own.to(self.device))

    def from_first(self, payload: bytes) -> bytes:
        """Return the first process's bytes."""
        if self.world == 1:
            return payload
        size = torch.tensor([len(payload)], device=self.device)
        distributed.broadcast(size, 0)
        data = torch.zeros(int(size), dtype=torch.uint8, device=self.device)
        if self.first:
            data = torch.frombuffer(bytearray(payload or b"\0"), dtype=torch.uint8)[: len(payload)].to(self.device)
        distributed.broadcast(data, 0)
        return data.cpu().numpy().tobytes()

    def end(self) -> None:
        """Leave the group of processes."""
        if self.world > 1:
            self.accelerator.end_training()

    def _gathered(self, own: Tensor) -> Tensor:
        rows = [torch.empty_like(own) for _ in range(self.world)]
        distributed.all_gather(rows, own.contiguous())
        return torch.stack(rows)


def share_gradient(value: Tensor, world: int) -> Tensor:
    """Return `value` with its gradient divided by `world`, exactly as large as before.

    A parameter that each process uses on the global batch gets the whole gradient in each; rows only get it in the
    process that made them.

    Args:
        value: any tensor.
        world: number of processes.

    Returns:
        The same values.
    """
    fixed = value.detach()
    return fixed + (value - fixed) / world


def bounds(count: int, rank: int, world: int) -> tuple[int, int]:
    """Return the range of `count` items that a process works on; ranges of all processes are the whole, in order."""
    return count * rank // world, count * (rank + 1) // world


def sizes(count: int, world: int) -> list[int]:
    """Return how many of `count` items each process works on."""
    return [stop - start for start, stop in (bounds(count, rank, world) for rank in range(world))]


def _bits(rows: Tensor) -> Tensor:
    rows = rows.reshape(len(rows), -1) if rows.numel() else rows.reshape(len(rows), rows.shape[1:].numel())
    return rows if rows.dtype == torch.float32 else rows.contiguous().view(torch.float32)


def _unbits(flat: Tensor, like: Tensor) -> Tensor:
    if like.dtype != torch.float32:
        flat = flat.clone().view(like.dtype)
    return flat.reshape(-1, *like.shape[1:])


def _mode(precision: Precision) -> str:
    gpu = torch.cuda.is_available()
    if precision == "auto":
        return "bf16" if gpu and torch.cuda.is_bf16_supported() else "no"
    if precision == "float16" and not gpu:
        raise InputError("training.precision: float16 needs a GPU; write auto, float32 or bfloat16")
    return _MODES[precision]
