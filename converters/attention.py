"""Multi-head attention written out, so that a traced graph keeps its length and batch free."""

from __future__ import annotations

import copy
import math

import torch
from torch.nn import functional

from edgekit.converters.graph.masks import MASKED


class PlainAttention(torch.nn.Module):
    """What `torch.nn.MultiheadAttention` computes in evaluation mode, sharing its weights.

    PyTorch's own module turns lengths into Python numbers on the way, and a traced graph then only runs at the
    traced length; it also leaves about twenty shape operators per layer. Formula: softmax(q kᵀ / √d + mask) v.
    """

    def __init__(self, source: torch.nn.MultiheadAttention) -> None:
        super().__init__()
        if source.bias_k is not None or source.add_zero_attn:
            raise ValueError("extra key and value rows are not covered")
        self.heads = source.num_heads
        self.head_dim = source.head_dim
        self.width = source.embed_dim
        self.scale = 1.0 / math.sqrt(source.head_dim)
        self.batch_first = source.batch_first
        self.in_proj_weight = source.in_proj_weight
        self.q_proj_weight = source.q_proj_weight
        self.k_proj_weight = source.k_proj_weight
        self.v_proj_weight = source.v_proj_weight
        self.in_proj_bias = source.in_proj_bias
        self.out_proj = source.out_proj

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend; arguments and results are those of `torch.nn.MultiheadAttention.forward` for batched input."""
        if not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        rows = query.shape[0]
        q, k, v = (self._heads(x, rows) for x in self._project(query, key, value))
        logits = (q * self.scale) @ k.transpose(-2, -1)
        if attn_mask is not None:
            logits = logits + self._broadcast(_additive(attn_mask, logits), rows)
        if key_padding_mask is not None:
            logits = logits + _additive(key_padding_mask, logits)[:, None, None, :]
        weights = logits.softmax(dim=-1)
        output = self.out_proj((weights @ v).transpose(1, 2).reshape(rows, -1, self.width))
        if not self.batch_first:
            output = output.transpose(0, 1)
        if not need_weights:
            return output, None
        return output, weights.mean(dim=1) if average_attn_weights else weights

    def _project(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if self.in_proj_weight is not None and query is key and key is value:
            projected = functional.linear(query, self.in_proj_weight, self.in_proj_bias)
            q, k, v = torch.split(projected, self.width, dim=-1)
            return q, k, v
        if self.in_proj_weight is not None:
            weights = self.in_proj_weight.chunk(3)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        inputs = (query, key, value)
        q, k, v = (functional.linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True))
        return q, k, v

    def _heads(self, x: torch.Tensor, rows: int) -> torch.Tensor:
        """(N, L, D) to (N, heads, L, D / heads)."""
        return x.reshape(rows, -1, self.heads, self.head_dim).transpose(1, 2)

    def _broadcast(self, mask: torch.Tensor, rows: int) -> torch.Tensor:
        """A mask is (L, S) for all, or (N * heads, L, S)."""
        return mask if mask.dim() == 2 else mask.reshape(rows, self.heads, mask.shape[1], mask.shape[2])


def written_out(module: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of a module, on the same weights, whose attention is `PlainAttention`.

    Args:
        module: any module; unchanged.

    Returns:
        The copy, or `module` itself where it holds no attention of PyTorch that can be replaced.
    """
    if not any(_replaceable(part) for part in module.modules()):
        return module
    tensors = (*module.parameters(), *module.buffers())
    result = copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
    for part in list(result.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, torch.nn.MultiheadAttention) and _replaceable(child):
                setattr(part, name, PlainAttention(child).eval())
    return result


def _replaceable(part: torch.nn.Module) -> bool:
    return type(part) is torch.nn.MultiheadAttention and part.bias_k is None and not part.add_zero_attn


def _additive(mask: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A Boolean mask is true where attention is forbidden; a float mask is added as it is."""
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, MASKED)
