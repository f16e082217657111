"""Which result of one folder belongs to which of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.benchmarks.results.comparable import exact, key
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.results.records import Result


@dataclass(frozen=True)
class Pairs:
    """Results matched.

    Attributes:
        both: (old, new) in the order of the old ones.
        missing: what only the old ones have, named by variant, scenario and so on.
        added: what only the new ones have.
    """

    both: tuple[tuple[Result, Result], ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]


def pair(old: Sequence[Result], new: Sequence[Result], across: bool = False) -> Pairs:
    """Match results by variant, runtime, scenario and settings, and by bundle and device unless `across`.

    Args:
        old: results of one file or folder.
        new: of the other. One result on each side belongs together whatever it is.
        across: whether bundle and device may differ.

    Returns:
        The pairs, and what is left over on each side.

    Raises:
        InputError: two results of one side are of the same thing, or nothing matches.
    """
    if len(old) == 1 and len(new) == 1:
        return Pairs(((old[0], new[0]),), (), ())
    before, after = _by_key(old, across, "old"), _by_key(new, across, "new")
    both = tuple((result, after[name]) for name, result in before.items() if name in after)
    if not both:
        sides = (
            f"the {side} ones are of {'; '.join(map(_name, found))}" for side, found in (("old", old), ("new", new))
        )
        raise InputError(f"no old result matches a new one: {', '.join(sides)}; --across leaves bundle and device out")
    return Pairs(
        both,
        tuple(_name(result) for name, result in before.items() if name not in after),
        tuple(_name(result) for name, result in after.items() if name not in before),
    )


def _by_key(results: Sequence[Result], across: bool, side: str) -> dict[tuple[str, ...], Result]:
    found: dict[tuple[str, ...], Result] = {}
    for result in results:
        other = found.setdefault(key(result, across), result)
        if other is not result:
            raise InputError(
                f"two {side} results are of the same thing, {_name(result)}: {other.id} and {result.id}; keep one"
            )
    return found


def _name(result: Result) -> str:
    subject, plan = result.subject, result.plan
    work = f"{plan.scenario} {plan.pipeline} batch {plan.batch} threads {plan.threads} streams {plan.streams}"
    # Everything that matching goes by: two that do not match must not read alike.
    rest = [f"{exact(plan.target_qps)} queries/s"] if plan.target_qps else []
    rest += [f"{name}={value}" for name, value in plan.options]
    device = result.context.device
    rest += [part for part in (device.board, device.soc, device.power_mode) if part]
    return f"{subject.bundle} {subject.variant} on {subject.runtime} ({subject.device}), {', '.join([work, *rest])}"
