"""Self-attention whose matrices are linear layers, so that each can be rounded, cut, or given a low-rank addition."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from edgekit.converters.distill.students.tracing import is_tracing
from edgekit.converters.graph.masks import MASKED


class Attention(nn.Module):
    """softmax(q kᵀ / √d + mask) v over heads of d channels (Vaswani et al. 2017, arXiv 1706.03762)."""

    def __init__(self, width: int, heads: int, head_dim: int) -> None:
        """Make attention from `width` channels to `width` channels; heads may have fewer or more together."""
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.qkv = nn.Linear(width, 3 * heads * head_dim)
        self.out = nn.Linear(heads * head_dim, width)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Attend.

        Args:
            tokens: float32 (N, L, width).
            mask: added to the logits, finite; broadcast to (N, heads, L, L).

        Returns:
            float32 (N, L, width).
        """
        q, k, v = (self._split(x) for x in self.qkv(tokens).chunk(3, dim=-1))
        if is_tracing():
            # Written out, so that the graph has plain products and keeps its lengths free.
            logits = (q * self.head_dim**-0.5) @ k.transpose(-2, -1)
            mixed = (logits if mask is None else logits + mask).softmax(-1) @ v
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        result: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return result

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, heads * d) to (N, heads, L, d)."""
        return x.reshape(x.shape[0], -1, self.heads, self.head_dim).transpose(1, 2)


class OpenClipAttention(Attention):
    """The same with the arguments of `torch.nn.MultiheadAttention`, for open_clip's blocks."""

    def forward(  # type: ignore[override]
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        need_weights: bool = False,
        attn_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, None]:
        """Attend from `query` to itself; `key` and `value` must be the same tensor."""
        if not (query is key and key is value):
            raise ValueError("only attention of a sequence to itself is covered")
        mask = attn_mask
        if mask is not None and mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill(mask, MASKED)
        return super().forward(query, mask), None


def unpacked(block_attention: nn.MultiheadAttention) -> OpenClipAttention:
    """Return attention with the same weights.

    Args:
        block_attention: batch first, with biases, keys and values as wide as queries.

    Returns:
        The copy.

    Raises:
        ValueError: it is of another kind.
    """
    source = block_attention
    plain = source.bias_k is None and not source.add_zero_attn and source.in_proj_bias is not None
    if not plain or source.in_proj_weight is None or not source.batch_first or source.dropout:
        raise ValueError("this kind of attention is not covered")
    made = OpenClipAttention(source.embed_dim, source.num_heads, source.head_dim)
    with torch.no_grad():
        made.qkv.weight.copy_(source.in_proj_weight)
        made.qkv.bias.copy_(source.in_proj_bias)
        made.out.weight.copy_(source.out_proj.weight)
        made.out.bias.copy_(source.out_proj.bias)
    return made


def unpack(module: nn.Module) -> None:
    """Put `OpenClipAttention` in the place of the attention of each of open_clip's plain blocks.

    Args:
        module: changed in place; blocks of another kind, and attention that pools, stay as they are.
    """
    for part in list(module.modules()):
        if type(part).__name__ == "ResidualAttentionBlock" and not hasattr(part, "ln_1_kv"):
            attention = part.attn
            if type(attention) is nn.MultiheadAttention:
                part.attn = unpacked(attention)
