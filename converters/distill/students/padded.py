"""A text tower that only takes full texts, made to take shorter ones."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Padded(nn.Module):
    """Pads ids to the context length, for towers in which padding takes part."""

    def __init__(self, base: nn.Module, context_length: int, pad_id: int) -> None:
        """Wrap `base`, which takes int64 (N, `context_length`)."""
        super().__init__()
        self.base = base
        self.context_length, self.pad_id = context_length, pad_id
        last = getattr(base, "last", "")
        self.last = f"base.{last}" if last else ""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Map int64 (N, L) to float32 (N, D)."""
        missing = self.context_length - int(ids.shape[1])
        if missing:
            ids = functional.pad(ids, (0, missing), value=self.pad_id)
        rows: torch.Tensor = self.base(ids)
        return rows
