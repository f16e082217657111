"""Which steps have to stay in 16 bits: by what each loses alone in 8 bits, for what it costs to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.converters.targets import islands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgekit.converters.targets.fused import Step

    # Centred cosine with the steps given, by number, in float and all others in 8 bits; -1 where a row is not finite.
    Measure = Callable[[frozenset[int]], float]

_TRIES = 12  # each costs a run on all rows


@dataclass(frozen=True)
class Sensitivity:
    """What a step loses.

    Attributes:
        name: of the step.
        nodes: first outputs of its nodes.
        loss: 1 - mean centred cosine where it alone is in 8 bits.
        size: numbers that it reads as weights and writes for others.
    """

    name: str
    nodes: tuple[str, ...]
    loss: float
    size: int


@dataclass(frozen=True)
class Mix:
    """Steps that stay in 16 bits.

    Attributes:
        goal: centred cosine that was to be reached.
        reached: that was.
        steps: their names, the most sensitive for its size first; empty where 8 bits do.
        nodes: first outputs of their nodes.
        size: numbers that they read as weights and write.
    """

    goal: float
    reached: float
    steps: tuple[str, ...]
    nodes: tuple[str, ...]
    size: int


def goals(goal: float) -> tuple[float, ...]:
    """Return what to aim at, in order: the goal, then half and a quarter of its loss.

    The emulated chip is none of the vendor's: a mix that reaches the goal here can miss it there.

    Args:
        goal: mean centred cosine, below 1.

    Returns:
        Three goals.
    """
    return (goal, 1 - (1 - goal) / 2, 1 - (1 - goal) / 4)


def sensitivities(steps: Sequence[Step], measure: Measure) -> tuple[Sensitivity, ...]:
    """Measure each step alone in 8 bits.

    Args:
        steps: of `fused.steps`.
        measure: the emulated chip.

    Returns:
        A figure for each step, in the order of `steps`.
    """
    every = frozenset(range(len(steps)))
    return tuple(
        Sensitivity(step.name, step.nodes, max(0.0, 1 - measure(every - {number})), step.size)
        for number, step in enumerate(steps)
    )


def mixes(found: Sequence[Sensitivity], measure: Measure, wanted: Sequence[float]) -> tuple[Mix, ...]:
    """Find, for each goal, the steps that have to stay in 16 bits.

    Steps are taken in the order of what each loses for its size, as many as a bisection finds to be needed; then the
    largest of them are given up again where they turn out not to be needed.

    Args:
        found: of `sensitivities`.
        measure: the emulated chip.
        wanted: goals, rising.

    Returns:
        A mix for each goal, without repetition; where all steps in float miss a goal, they are that goal's mix.
    """
    order = sorted(range(len(found)), key=lambda number: (-found[number].loss / max(1, found[number].size), number))
    made: list[Mix] = []
    seen: set[frozenset[int]] = set()
    too_few = -1

    def value(kept: Sequence[int]) -> float:
        return measure(frozenset(kept))

    for goal in wanted:
        count = islands.fewest(order, value, goal, too_few)
        # What was too few for a lower goal is too few for the next.
        too_few = count - 1
        largest = sorted(order[:count], key=lambda number: -found[number].size)[:_TRIES]
        kept, reached = islands.given_up(order[:count], largest, value, goal)
        if frozenset(kept) not in seen:
            seen.add(frozenset(kept))
            made.append(_mix(found, kept, goal, reached))
    return tuple(made)


def _mix(found: Sequence[Sensitivity], kept: Sequence[int], goal: float, reached: float) -> Mix:
    chosen = [found[number] for number in kept]
    return Mix(
        goal,
        reached,
        tuple(one.name for one in chosen),
        tuple(name for one in chosen for name in one.nodes),
        sum(one.size for one in chosen),
    )
