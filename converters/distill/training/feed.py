"""Batches on the device, made ahead of time where a GPU would have to wait for them."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit.converters.distill.training.held_out import without_held_out

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from edgekit.converters.distill.batches import Bank, ImageBatch, Material, TextBatch
    from edgekit.converters.distill.training.processes import Processes

# On a CPU the towers use every core already.
_AHEAD = 6
_THREADS = 3


@dataclass(frozen=True)
class Batch:
    """This process's part of a step.

    Attributes:
        images: None where the recipe has none.
        texts: None where the recipe has none, or the text tower is kept.
    """

    images: ImageBatch | None
    texts: TextBatch | None


@dataclass(frozen=True)
class Texts:
    """Which texts are trained on.

    Attributes:
        pad_id: of the text tower that learns; None where it is kept, and no texts are wanted.
        some_held_out: whether those of `held_out` are left out.
    """

    pad_id: int | None
    some_held_out: bool


class Feed:
    """Reads batches by their number; on a GPU some steps ahead, in threads.

    Args:
        material: its `images` and `texts` may be called by several threads at once.
        processes: whose rank and device count.
        last: steps that may be asked for; None where that is not known.
        texts: which of them.
    """

    def __init__(self, material: Material, processes: Processes, last: int | None, texts: Texts) -> None:
        self._material, self._processes, self._last, self._wanted = material, processes, last, texts
        self._ahead = 0 if processes.device.type == "cpu" else _AHEAD
        self._pool = ThreadPoolExecutor(_THREADS) if self._ahead else None
        self._waiting: dict[int, Future[Batch]] = {}

    def get(self, step: int) -> Batch:
        """Return the batch of a step, on the device."""
        if self._pool is None:
            return self._make(step)
        stop = step + self._ahead + 1 if self._last is None else min(self._last, step + self._ahead + 1)
        for wanted in range(step, max(stop, step + 1)):
            if wanted not in self._waiting:
                self._waiting[wanted] = self._pool.submit(self._make, wanted)
        return _moved(self._waiting.pop(step).result(), self._processes.device)

    def close(self) -> None:
        """Let go of what was made ahead."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _make(self, step: int) -> Batch:
        rank, world = self._processes.rank, self._processes.world
        texts = None if self._wanted.pad_id is None else self._material.texts(step, rank, world)
        if texts is not None and self._wanted.pad_id is not None and self._wanted.some_held_out:
            texts = without_held_out(texts, self._wanted.pad_id)
        return Batch(self._material.images(step, rank, world), texts)


def on_device(bank: Bank, device: torch.device) -> Bank:
    """Return a bank whose tensors are on the device."""
    ids = None if bank.token_ids is None else bank.token_ids.to(device)
    return replace(bank, token_ids=ids, rows=_all(bank.rows, device))


def _moved(batch: Batch, device: torch.device) -> Batch:
    images, texts = batch.images, batch.texts
    if images is not None:
        planes = None if images.planes is None else _to(images.planes, device)
        images = replace(images, planes=planes, rows=_all(images.rows, device), labels=_to(images.labels, device))
    if texts is not None:
        texts = replace(texts, token_ids=_to(texts.token_ids, device), rows=_all(texts.rows, device))
    return Batch(images, texts)


def _all(rows: tuple[Tensor, ...], device: torch.device) -> tuple[Tensor, ...]:
    return tuple(_to(of, device) for of in rows)


def _to(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device, non_blocking=True)
