"""The parts of an open_clip transformer by their role, and how to leave some of each out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from edgekit.converters.distill.students.attention import Attention
from edgekit.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Scores = Mapping[nn.Parameter, torch.Tensor]


@dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
        part: open_clip's ``ResidualAttentionBlock`` with `Attention`.
    """

    part: Any

    @property
    def heads(self) -> int:
        """Attention heads."""
        return int(self.part.attn.heads)

    @property
    def hidden(self) -> int:
        """Neurons of the perceptron."""
        return int(self.part.mlp.c_fc.out_features)

    def writing(self, scores: Scores) -> Sequence[torch.Tensor]:
        """Return the scores of the two matrices that write into the tokens, (width, inputs) each."""
        return scores[self.part.attn.out.weight], scores[self.part.mlp.c_proj.weight]

    def channel_scores(self, scores: Scores) -> torch.Tensor:
        """Return (width,): everything in this block that reads or writes a channel."""
        reading = scores[self.part.attn.qkv.weight].sum(0) + scores[self.part.mlp.c_fc.weight].sum(0)
        attention, perceptron = self.writing(scores)
        return reading + attention.sum(1) + perceptron.sum(1)

    def head_scores(self, scores: Scores) -> torch.Tensor:
        """Return (heads,): the queries, keys and values of a head and what it writes."""
        attention = self.part.attn
        given = scores[attention.qkv.weight].reshape(3, attention.heads, -1).sum((0, 2))
        return given + scores[attention.out.weight].reshape(-1, attention.heads, attention.head_dim).sum((0, 2))

    def hidden_scores(self, scores: Scores) -> torch.Tensor:
        """Return (hidden,): what a neuron reads and writes."""
        return scores[self.part.mlp.c_fc.weight].sum(1) + scores[self.part.mlp.c_proj.weight].sum(0)

    def cut(self, channels: torch.Tensor, heads: torch.Tensor, hidden: torch.Tensor) -> None:
        """Leave out everything else, in place."""
        attention: Attention = self.part.attn
        size = attention.head_dim
        within = (heads[:, None] * size + torch.arange(size)).reshape(-1)
        whole = attention.heads * size
        thrice = torch.cat([within, whole + within, 2 * whole + within])
        cut_linear(attention.qkv, thrice, channels)
        cut_linear(attention.out, channels, within)
        attention.heads = len(heads)
        cut_linear(self.part.mlp.c_fc, hidden, channels)
        cut_linear(self.part.mlp.c_proj, channels, hidden)
        for norm in (self.part.ln_1, self.part.ln_2):
            cut_norm(norm, channels)
        for scale in (self.part.ls_1, self.part.ls_2):
            if hasattr(scale, "gamma"):
                cut_tensor(scale, "gamma", channels, 0)


@dataclass(frozen=True)
class Body:
    """A whole tower.

    Attributes:
        blocks: in order.
        holder: module whose ``resblocks`` they are, and which has ``width`` and ``layers``.
        channels: (module, name, axis) of each parameter outside the blocks with an axis of channels.
        norms: normalizations outside the blocks.
        head: the linear layer at the end.
    """

    blocks: tuple[Block, ...]
    holder: Any
    channels: tuple[tuple[nn.Module, str, int], ...]
    norms: tuple[nn.LayerNorm, ...]
    head: nn.Linear

    @property
    def width(self) -> int:
        """Channels of a token."""
        return int(self.head.in_features)

    def channel_scores(self, scores: Scores) -> torch.Tensor:
        """Return (width,): everything that reads or writes a channel."""
        last: Any = self.head.weight
        total: torch.Tensor = scores[last].sum(0)
        for module, name, axis in self.channels:
            parameter: Any = getattr(module, name)
            score = scores[parameter]
            total = total + score.sum(tuple(other for other in range(score.ndim) if other != axis % score.ndim))
        for block in self.blocks:
            total = total + block.channel_scores(scores)
        return total

    def cut(self, channels: torch.Tensor, layers: Sequence[int]) -> None:
        """Leave out the other channels outside the blocks, and the other blocks, in place."""
        for module, name, axis in self.channels:
            cut_tensor(module, name, channels, axis)
        for norm in self.norms:
            cut_norm(norm, channels)
        cut_linear(self.head, torch.arange(self.head.out_features), channels)
        self.holder.resblocks = nn.ModuleList(self.blocks[i].part for i in layers)
        self.holder.width, self.holder.layers = len(channels), len(layers)


def body_of(tower: nn.Module) -> Body:
    """Find the parts of a tower.

    Args:
        tower: `OpenClipImage` or `OpenClipText`.

    Returns:
        Its parts.

    Raises:
        UnsupportedModelError: it is no plain transformer of open_clip's own.
    """
    inner: Any = getattr(tower, "visual", tower)
    holder = getattr(inner, "transformer", None)
    head: Any = getattr(tower, "head", None)
    parts = list(getattr(holder, "resblocks", ()))
    plain = parts and all(isinstance(getattr(part, "attn", None), Attention) and not _unusual(part) for part in parts)
    if not plain or not isinstance(head, nn.Linear) or getattr(inner, "attn_pool", None) is not None:
        raise UnsupportedModelError(
            "arch inherit: only vision transformers and text transformers of open_clip's own can be cut; this tower is "
            "another architecture: take another arch"
        )
    blocks = tuple(Block(part) for part in parts)
    channels: list[tuple[Any, str, int]] = [(inner, "positional_embedding", 1)]
    if inner is tower:
        channels.append((inner.token_embedding, "weight", 1))
        norms: list[Any] = [inner.ln_final]
    else:
        channels += [(inner.conv1, "weight", 0), (inner, "class_embedding", 0)]
        norms = [norm for norm in (inner.ln_pre, inner.ln_post) if isinstance(norm, nn.LayerNorm)]
    return Body(blocks, holder, tuple(channels), tuple(norms), head)


def cut_linear(layer: nn.Linear, outputs: torch.Tensor, inputs: torch.Tensor) -> None:
    """Keep some outputs and inputs of a layer, in place."""
    cut_tensor(layer, "weight", outputs, 0)
    cut_tensor(layer, "weight", inputs, 1)
    if layer.bias is not None:
        cut_tensor(layer, "bias", outputs, 0)
    layer.out_features, layer.in_features = len(outputs), len(inputs)


def cut_norm(norm: nn.LayerNorm, channels: torch.Tensor) -> None:
    """Keep some channels of a normalization, in place."""
    for name in ("weight", "bias"):
        if getattr(norm, name) is not None:
            cut_tensor(norm, name, channels, 0)
    norm.normalized_shape = (len(channels),)


def cut_tensor(module: nn.Module, name: str, kept: torch.Tensor, axis: int) -> None:
    """Keep some indices of a parameter along one axis, in place."""
    old: nn.Parameter = getattr(module, name)
    with torch.no_grad():
        setattr(module, name, nn.Parameter(old.detach().index_select(axis, kept).clone()))


def _unusual(part: nn.Module) -> bool:
    """A block with more than attention, a perceptron and their norms and scales."""
    known = {"ln_1", "attn", "ls_1", "ln_2", "mlp", "ls_2"}
    names = {name for name, _ in part.named_children()}
    return names != known or {name for name, _ in part.mlp.named_children()} != {"c_fc", "gelu", "c_proj"}  # type: ignore[union-attr]
