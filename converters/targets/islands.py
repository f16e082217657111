"""Choose which groups of nodes stay in float32: as few as keep a tower's promise, found by measuring."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    import onnx

    Measure = Callable[[Collection[str]], float]

T = TypeVar("T")

MOST = 48
"""Groups at most: each costs a measurement."""
_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})


@dataclass(frozen=True)
class Part:
    """Nodes that are decided together.

    Attributes:
        name: what a person knows it by.
        nodes: their first outputs.
    """

    name: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        kept: parts that stay in float32, the most sensitive first.
        reached: centred cosine on the data that was chosen by.
        plain: the same with no part in float32.
        measured: how many times a graph was run.
    """

    kept: tuple[Part, ...]
    reached: float
    plain: float
    measured: int


def parts_of(model: onnx.ModelProto, nodes: Sequence[str]) -> tuple[Part, ...]:
    """Divide nodes into runs that end with a product or a convolution.

    Args:
        model: the float graph.
        nodes: first outputs of those that have a choice, in the graph's order.

    Returns:
        At most `MOST` parts, in the graph's order; neighbours are joined where there would be more.
    """
    by_output = {node.output[0]: node for node in model.graph.node}
    runs: list[list[str]] = [[]]
    for name in nodes:
        runs[-1].append(name)
        if by_output[name].op_type in _WEIGHTED:
            runs.append([])
    runs = [run for run in runs if run]
    step = math.ceil(len(runs) / MOST)
    joined = [[name for run in runs[start : start + step] for name in run] for start in range(0, len(runs), step or 1)]
    return tuple(Part(_called(by_output[run[0]], by_output[run[-1]]), tuple(run)) for run in joined)


def choose(parts: Sequence[Part], measure: Measure, goal: float) -> Choice:
    """Find the fewest parts that have to stay in float32.

    Each part's loss is measured with that part alone reduced. The most sensitive ones are kept, as many as a bisection
    finds to be needed; then those that turn out not to be needed are given up again, the least sensitive first.

    Args:
        parts: to choose among.
        measure: returns the centred cosine, or NaN, with the nodes given in float32 and all others reduced.
        goal: to be reached.

    Returns:
        The choice; where even all parts in float32 miss the goal, that choice.
    """
    counter = _Counter(measure)
    plain = counter((), parts)
    if plain >= goal or not parts:
        return Choice((), plain, plain, counter.times)
    loss = {part.name: counter(tuple(other for other in parts if other is not part), parts) for part in parts}
    order = sorted(parts, key=lambda part: -math.inf if math.isnan(loss[part.name]) else loss[part.name])
    count = fewest(order, lambda some: counter(some, parts), goal)
    kept, reached = given_up(order[:count], reversed(order[: count - 1]), lambda some: counter(some, parts), goal)
    return Choice(tuple(kept), reached, plain, counter.times)


def fewest(order: Sequence[T], value: Callable[[Sequence[T]], float], goal: float, too_few: int = 0) -> int:
    """Return how many of an order have to be taken to reach a goal, by bisection.

    Args:
        order: what to take, the first first.
        value: of what is taken; more is taken to be no worse.
        goal: to be reached.
        too_few: how many are known not to reach it; -1 where even none may.

    Returns:
        The count; all where none is known to reach the goal.
    """
    low, high = too_few, len(order)
    while high - low > 1:
        middle = (low + high) // 2
        if value(order[:middle]) >= goal:
            high = middle
        else:
            low = middle
    return high


def given_up(
    taken: Sequence[T], tries: Iterable[T], value: Callable[[Sequence[T]], float], goal: float
) -> tuple[list[T], float]:
    """Give up again what turns out not to be needed.

    Args:
        taken: that reaches the goal together; where it does not, all is kept.
        tries: of it, in the order in which each is tried without.
        value: of what is kept.
        goal: that has to stay reached.

    Returns:
        What is kept, and its value.
    """
    kept, reached = list(taken), value(taken)
    if not reached >= goal:
        return kept, reached
    for one in tries:
        fewer = [other for other in kept if other != one]
        found = value(fewer)
        if found >= goal:
            kept, reached = fewer, found
    return kept, reached


class _Counter:
    """Measures each choice once."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._seen: dict[frozenset[str], float] = {}

    @property
    def times(self) -> int:
        return len(self._seen)

    def __call__(self, kept: Sequence[Part], parts: Sequence[Part]) -> float:
        key = frozenset(part.name for part in kept)
        if key not in self._seen:
            self._seen[key] = self._measure({name for part in kept for name in part.nodes})
        return self._seen[key]


def _called(first: onnx.NodeProto, last: onnx.NodeProto) -> str:
    names = [f"{node.op_type} {node.name or node.output[0]}" for node in (first, last)]
    return names[0] if first is last else f"{names[0]} to {names[1]}"
