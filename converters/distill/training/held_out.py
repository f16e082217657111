"""Texts that a recipe without images is judged on: about one in fifty, by a hash of its tokens, never trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgekit.converters.distill.batches import Bank, Validation

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.distill.batches import Material, TextBatch

_ONE_IN = 50
_WANTED = 1000
# Texts looked through for them.
_SCANNED = 60_000


def without_held_out(batch: TextBatch, pad_id: int) -> TextBatch:
    """Leave the held-out texts out of a batch; one that has no others stays as it is.

    Args:
        batch: of texts.
        pad_id: id of the padding token.

    Returns:
        The others.
    """
    kept = ~_held(_hashes(batch.token_ids, pad_id))
    if bool(kept.all()) or not bool(kept.any()):
        return batch
    return replace(batch, token_ids=batch.token_ids[kept], rows=tuple(of[kept] for of in batch.rows))


def held_out(material: Material, pad_id: int) -> Validation | None:
    """Collect held-out texts from the first steps' batches.

    Args:
        material: of a recipe without images.
        pad_id: id of the padding token.

    Returns:
        No images, and the distinct texts as the bank, at most 1000; None where there are fewer than two.
    """
    seen: set[int] = set()
    parts: list[TextBatch] = []
    found = scanned = step = 0
    while found < _WANTED and scanned < _SCANNED:
        batch = material.texts(step, 0, 1)
        if batch is None:
            break
        hashes = _hashes(batch.token_ids, pad_id)
        fresh = [value not in seen for value in hashes.tolist()]
        # An epoch is over: what comes now was there before.
        if not any(fresh):
            break
        seen.update(hashes.tolist())
        chosen = _held(hashes) & torch.tensor(fresh) & _first(hashes)
        parts.append(replace(batch, token_ids=batch.token_ids[chosen], rows=tuple(of[chosen] for of in batch.rows)))
        found, scanned, step = found + int(chosen.sum()), scanned + len(hashes), step + 1
    return _validation(parts, pad_id) if found > 1 else None


def _validation(parts: list[TextBatch], pad_id: int) -> Validation:
    longest = max(part.token_ids.shape[1] for part in parts)
    padded = [functional.pad(p.token_ids, (0, longest - p.token_ids.shape[1]), value=pad_id) for p in parts]
    rows = tuple(torch.cat([part.rows[index] for part in parts]) for index in range(len(parts[0].rows)))
    ids = torch.cat(padded)
    bank = Bank(("",) * len(ids), ids, 1, rows)
    return Validation(0, (), bank, tuple(of[:0] for of in rows), "held-out texts", "")


def _hashes(token_ids: Tensor, pad_id: int) -> Tensor:
    """Return int64 (N,), the same however many columns of padding there are."""
    factors = _mixed(torch.arange(1, token_ids.shape[1] + 1))
    return _mixed(((token_ids + 1) * factors * (token_ids != pad_id)).sum(1))


def _mixed(values: Tensor) -> Tensor:
    """Return int64 values whose bits depend on all bits, as splitmix64 (Steele et al. 2014); integers wrap around."""
    values = values * -7046029254386353131
    values = (values ^ (values >> 30)) * -4658895280553007687
    values = (values ^ (values >> 27)) * -7723592293110705685
    return values ^ (values >> 31)


def _held(hashes: Tensor) -> Tensor:
    return (hashes & 0x7FFFFFFF) % _ONE_IN == 0


def _first(hashes: Tensor) -> Tensor:
    """Return which rows are the first with their hash."""
    return ~(hashes[:, None] == hashes[None, :]).tril(-1).any(1)
