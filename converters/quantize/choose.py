"""Which option each group takes: all the best trades between loss and cost, from the most faithful to the cheapest.

The loss of a tower is, to first order, the sum of its groups' losses, and so is its time. Choosing one option per group
so that the cost is least within a bound on the loss is the multiple-choice knapsack problem. Its linear relaxation is
solved by a Lagrangian sweep (Everett 1963; for this problem Sinha and Zoltners 1979): of each group only the options on
the lower convex hull of (loss, cost) matter, and taking the hulls' edges in the order of their slopes passes through
decisions of which each is the cheapest possible at its own loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Option:
    """One way to store and compute a group.

    Attributes:
        name: of the method; empty for float32.
        loss: at least 0; what it does to the embeddings, in a unit that adds up over groups.
        cost: what it costs, in a unit that adds up over groups; negative where it saves against float32.
    """

    name: str
    loss: float
    cost: float


@dataclass(frozen=True)
class Choice:
    """One option for each group.

    Attributes:
        options: group name to option.
        loss: sum of the options' losses.
        cost: sum of the options' costs.
    """

    options: dict[str, Option]
    loss: float
    cost: float


def front(groups: Mapping[str, Sequence[Option]]) -> tuple[Choice, ...]:
    """Return the best trades.

    The result depends only on the options, not on their order or on that of the groups.

    Args:
        groups: the options of each group, at least one each.

    Returns:
        Choices of rising loss and falling cost; at the loss of each, no choice is cheaper. The first has the least
        loss, the last the least cost.

    Raises:
        ValueError: a group has no option, or a loss is negative or not a number.
    """
    hulls = {name: hull(groups[name]) for name in sorted(groups)}
    taken = {name: line[0] for name, line in hulls.items()}
    choices = [_sum(taken)]
    edges = [
        (_slope(line[i], line[i + 1]), name, line[i + 1]) for name, line in hulls.items() for i in range(len(line) - 1)
    ]
    # A hull is convex, so a group's own edges keep their order in this sort.
    for _, name, option in sorted(edges, key=lambda edge: (edge[0], edge[1], edge[2].loss)):
        taken = {**taken, name: option}
        choices.append(_sum(taken))
    return tuple(choices)


def last_that_passes(count: int, passes: Callable[[int], bool | None]) -> int:
    """Find the cheapest choice of a front that passes, trying few: the last one first, then halving what is between.

    Args:
        count: number of choices, at least 1, from the most faithful to the cheapest; the first is taken to pass.
        passes: whether the choice at an index passes; None when it could not be tried any more.

    Returns:
        The largest index that was found to pass; 0 where none was.
    """
    low, high = 0, count - 1
    index = high
    while low < high:
        found = passes(index)
        if found is None:
            return low
        if found:
            low = index
        else:
            high = index - 1
        index = (low + high + 1) // 2
    return low


def hull(options: Sequence[Option]) -> tuple[Option, ...]:
    """Return the options on the lower convex hull of (loss, cost), by rising loss and falling cost.

    Args:
        options: of one group, at least one.

    Returns:
        At least one option; the first has the least loss (and of those the least cost).

    Raises:
        ValueError: there is no option, or a loss is negative or not a number.
    """
    if not options:
        raise ValueError("a group needs at least one option")
    if not all(option.loss >= 0 and option.cost == option.cost for option in options):
        raise ValueError("an option's loss must be at least 0, and its cost a number")
    line: list[Option] = []
    for option in sorted(options, key=lambda o: (o.loss, o.cost, o.name)):
        if line and option.cost >= line[-1].cost:
            continue
        while len(line) > 1 and _slope(line[-2], line[-1]) >= _slope(line[-1], option):
            line.pop()
        line.append(option)
    return tuple(line)


def _slope(a: Option, b: Option) -> float:
    """Cost per loss on the way from `a` to `b`; the steeper it falls, the better the trade."""
    gap = b.loss - a.loss
    return (b.cost - a.cost) / gap if gap > 0 else float("-inf")


def _sum(taken: Mapping[str, Option]) -> Choice:
    return Choice(dict(taken), sum(o.loss for o in taken.values()), sum(o.cost for o in taken.values()))
