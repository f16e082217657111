"""Interleaved blocks: every contender takes its turn in each round, in an order drawn anew.

A block is a few queries of one contender one after another, on the same samples as the others' blocks of that round.
The figure of a block is the median of its queries, and blocks are what the bootstrap draws from: queries of one block
have the clock and the neighbours of that moment in common, so that they are not independent of each other.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from edgekit.ratios import ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgekit.benchmarks.versus.answering import Answer

# A bootstrap of fewer medians cannot tell its own width.
LEAST = 8
# A block of the fastest contender lasts about so long, so that a moment's disturbance hits a part of it only.
_BLOCK_MS = 200.0
_FEWEST, _MOST = 3, 200


class Rested(Protocol):
    """A contender that can be asked, and waited for until its threads rest."""

    def ask(self, sample: int, *, tell: bool = False) -> Answer:
        """Ask one query."""

    def rest(self) -> None:
        """Return once its threads have come to rest."""


@dataclass
class Rounds:
    """What the rounds found.

    Attributes:
        blocks: by contender, each block's median in milliseconds, in the order of the rounds.
        queries: of a block.
        seconds: that the rounds took.
        ended: what ended them.
        orders: in which the contenders took their turns, by round.
    """

    blocks: dict[str, list[float]]
    queries: int
    seconds: float = 0.0
    ended: Literal["narrow", "time"] = "time"
    orders: list[tuple[str, ...]] = field(default_factory=list)


def block_size(milliseconds: Sequence[float]) -> int:
    """Choose the queries of a block.

    Args:
        milliseconds: of one query of each contender.

    Returns:
        At least three, so that the first of a block, which finds the caches cold, does not decide its median.
    """
    return max(_FEWEST, min(_MOST, math.ceil(_BLOCK_MS / max(min(milliseconds), 1e-3))))


def interleave(
    contenders: Mapping[str, Rested],
    samples: int,
    queries: int,
    *,
    seconds: float,
    goal: float,
    on_round: Callable[[Rounds], None] = lambda found: None,
    seed: int = 0,
) -> Rounds:
    """Take turns until every interval is narrow enough, or time is up.

    That the width ends the run leaves its coverage as it is for many rounds (Chow and Robbins 1965, Ann. Math. Statist.
    36:457).

    Args:
        contenders: by name, the one that the others are compared with first; at least two.
        samples: distinct ones; blocks of one round have the same.
        queries: of a block.
        seconds: after which no round begins any more; at least eight rounds are done.
        goal: width of the 95 % interval of each ratio, relative to the ratio, that ends the run.
        on_round: called after each round.
        seed: of the orders.

    Returns:
        What was found.
    """
    names = list(contenders)
    found = Rounds({name: [] for name in names}, queries)
    draw = np.random.default_rng(seed)
    begin = time.perf_counter()
    while True:
        order = tuple(str(name) for name in draw.permutation(names))
        first = len(found.orders) * queries
        for name in order:
            contender = contenders[name]
            times = [contender.ask((first + i) % samples).ns / 1e6 for i in range(queries)]
            found.blocks[name].append(median(times))
            contender.rest()
        found.orders.append(order)
        found.seconds = time.perf_counter() - begin
        on_round(found)
        if len(found.orders) < LEAST:
            continue
        if narrow(found.blocks, goal):
            found.ended = "narrow"
            return found
        if found.seconds >= seconds:
            return found


def narrow(blocks: Mapping[str, Sequence[float]], goal: float) -> bool:
    """Say whether the interval of every ratio over the first contender is at most `goal` wide, relative to it."""
    base, *others = blocks.values()
    ratios = [ratio(other, base) for other in others]
    return all(one.high - one.low <= goal * one.median for one in ratios)
