"""A student cut out of the teacher: the layers, channels, heads and neurons that matter most, with their weights.

TinyCLIP (Wu et al. 2023, arXiv 2309.12314) inherits so, by hand-picked layers or by learnt masks. Here the ranking
needs no training: the magnitude of weights (Han et al. 2015, arXiv 1506.02626), or how far the embedding moves, to
first order, when a weight is set to zero (Molchanov et al. 2019, arXiv 1906.10771).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from edgekit.converters.distill.students.blocks import body_of
from edgekit.converters.distill.students.checks import at_least
from edgekit.converters.distill.students.plan import Sizes
from edgekit.errors import InputError
from edgekit.text.cleaning import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgekit.bundle.manifest import Cleaning
    from edgekit.converters.distill.recipe import Importance
    from edgekit.converters.distill.students.reference import Reference

    Batches = Callable[[], Sequence[torch.Tensor]]

_TEXTS, _ROWS = 128, 32


@dataclass(frozen=True)
class Kept:
    """What stays of a transformer; all indices rise.

    Attributes:
        channels: of the tokens.
        layers: blocks.
        heads: of each block that stays.
        hidden: neurons of each block that stays.
    """

    channels: torch.Tensor
    layers: tuple[int, ...]
    heads: tuple[torch.Tensor, ...]
    hidden: tuple[torch.Tensor, ...]


def source_of(reference: Reference, where: str) -> str:
    """Return which open_clip model the teacher is.

    Args:
        reference: the first teacher.
        where: the part of the recipe, for messages.

    Returns:
        What follows ``open_clip:``.

    Raises:
        InputError: the teacher is given as something else, such as a bundle, which holds no blocks to choose from.
    """
    spec = reference.open_clip()
    if not spec:
        manifest = reference.manifest
        uri = manifest.source.uri if manifest is not None else ""
        hint = uri if uri.startswith("open_clip:") else "open_clip:NAME:WEIGHTS"
        raise InputError(
            f"{where}.arch inherit: needs the teacher's own blocks, which a bundle does not hold; name the teacher by "
            f"its source in teachers.model, such as {hint}"
        )
    return spec


def sizes_of(tower: nn.Module, where: str, width: int, layers: int, heads: int) -> Sizes:
    """Return the sizes of what is inherited.

    Args:
        tower: the teacher's.
        where: the part of the recipe, for messages.
        width: channels wanted; 0 keeps all. Neurons go down in the same proportion, and heads where they are not given.
        layers: blocks wanted; 0 keeps all.
        heads: wanted of each block; 0 follows the width.

    Returns:
        The sizes.

    Raises:
        InputError: the teacher has fewer.
        UnsupportedModelError: it is no transformer that can be cut.
    """
    body = body_of(tower)
    first = body.blocks[0]
    own = Sizes(body.width, len(body.blocks), first.heads, first.hidden)
    width = width or own.width
    wanted = Sizes(
        width,
        layers or own.layers,
        heads or max(1, round(own.heads * width / own.width)),
        max(1, round(own.hidden * width / own.width)),
    )
    for field in ("width", "layers", "heads"):
        most = getattr(own, field)
        if not 0 < getattr(wanted, field) <= most:
            raise InputError(f"{where}.{field}: must be between 1 and the teacher's {most}")
    return wanted


def rank(tower: nn.Module, sizes: Sizes, importance: Importance, batches: Batches) -> Kept:
    """Choose what stays.

    Args:
        tower: the teacher's, in evaluation mode; its weights are not changed.
        sizes: how much stays.
        importance: ``magnitude`` takes evenly spaced layers, the first and the last among them, and else what has the
            largest weights; ``taylor`` ranks layers too.
        batches: inputs of the tower, for ``taylor``.

    Returns:
        The indices.
    """
    body = body_of(tower)
    if importance == "taylor":
        scores = _taylor(tower, batches())
    else:
        scores = {parameter: parameter.detach().square() for parameter in tower.parameters()}
    if importance == "taylor" and sizes.layers < len(body.blocks):
        totals = torch.tensor([sum(float(s.sum()) for s in block.writing(scores)) for block in body.blocks])
        layers = tuple(_best(totals, sizes.layers).tolist())
    else:
        layers = evenly(len(body.blocks), sizes.layers)
    blocks = [body.blocks[i] for i in layers]
    return Kept(
        _best(body.channel_scores(scores), sizes.width),
        layers,
        tuple(_best(block.head_scores(scores), sizes.heads) for block in blocks),
        tuple(_best(block.hidden_scores(scores), sizes.hidden) for block in blocks),
    )


def evenly(of: int, count: int) -> tuple[int, ...]:
    """Return `count` of the numbers 0..`of` - 1, evenly spaced, the first and the last among them where there are two.

    Args:
        of: how many there are.
        count: how many are wanted, at least 1 and at most `of`.

    Returns:
        Rising indices.
    """
    if count == 1:
        return (of - 1,)
    return tuple(round(i * (of - 1) / (count - 1)) for i in range(count))


def cut(tower: nn.Module, kept: Kept) -> None:
    """Reduce a tower to what stays, in place.

    Args:
        tower: a transformer of open_clip.
        kept: what stays.
    """
    body = body_of(tower)
    for block, heads, hidden in zip((body.blocks[i] for i in kept.layers), kept.heads, kept.hidden, strict=True):
        block.cut(kept.channels, heads, hidden)
    body.cut(kept.channels, kept.layers)


def cut_to(tower: nn.Module, sizes: Sizes) -> None:
    """Reduce a tower of random weights to the sizes of one that was cut, in place.

    Args:
        tower: a transformer of open_clip.
        sizes: of what is left.
    """
    every = torch.arange
    layers = range(sizes.layers)
    heads, hidden = (tuple(every(count) for _ in layers) for count in (sizes.heads, sizes.hidden))
    cut(tower, Kept(every(sizes.width), tuple(layers), heads, hidden))
    if sizes.vocabulary:
        cut_table(tower, range(sizes.vocabulary))


def cut_table(tower: Any, kept: Sequence[int]) -> None:
    """Keep some rows of a text tower's token table, in place.

    Args:
        tower: of open_clip.
        kept: ids, rising, so that the end of text stays the largest id where it was.
    """
    table: nn.Embedding = tower.token_embedding
    at_least("vocabulary", len(kept), 1)
    with torch.no_grad():
        table.weight = nn.Parameter(table.weight[list(kept)].clone())
    table.num_embeddings = len(kept)
    if tower.eos_id in kept:
        tower.eos_id = list(kept).index(tower.eos_id)


def id_batches(tokenizer_json: str, cleaning: Cleaning, texts: Sequence[str]) -> Sequence[torch.Tensor]:
    """Return ids of some texts.

    Args:
        tokenizer_json: of the `tokenizers` library, with padding.
        cleaning: what is done to a text before.
        texts: at least one.

    Returns:
        Batches of int64 (N, L), 128 texts at most, evenly spaced among those given.

    Raises:
        InputError: there are no texts.
    """
    from tokenizers import Tokenizer

    if not texts:
        raise InputError("student.text.importance: taylor needs texts; give data.texts, or take magnitude")
    tokenizer = Tokenizer.from_str(tokenizer_json)
    count = min(_TEXTS, len(texts))
    chosen = [texts[i * len(texts) // count] for i in range(count)]
    ids = [tokenizer.encode(clean(text, cleaning)).ids for text in chosen]
    return torch.split(torch.tensor(ids, dtype=torch.int64), _ROWS)


def _taylor(tower: nn.Module, batches: Sequence[torch.Tensor]) -> dict[nn.Parameter, torch.Tensor]:
    """Return (w ∂f/∂w)² for each weight, f a random direction of the unit embeddings, summed over batches."""
    generator = torch.Generator().manual_seed(0)
    tower.requires_grad_(True)
    parameters = list(tower.parameters())
    scores = {parameter: torch.zeros_like(parameter) for parameter in parameters}
    with torch.enable_grad():
        for batch in batches:
            rows = nn.functional.normalize(tower(batch), dim=-1)
            along = (rows * torch.randn(rows.shape, generator=generator)).sum()
            gradients = torch.autograd.grad(along, parameters, allow_unused=True)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    scores[parameter] += (parameter.detach() * gradient).square()
    return scores


def _best(scores: torch.Tensor, count: int) -> torch.Tensor:
    """Return the indices of the largest scores, rising."""
    return torch.topk(scores, count).indices.sort().values
