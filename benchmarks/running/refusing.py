"""Checks that every kind of request makes before anything is started."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def refuse(problems: Iterable[str]) -> None:
    """Refuse a request for the first thing that is wrong with it.

    Args:
        problems: sentences that say what is wrong and what to do.

    Raises:
        InputError: there is one.
    """
    for problem in problems:
        raise InputError(problem)


def not_among(name: str, value: str, known: tuple[str, ...]) -> Iterator[str]:
    """Give the problem of a word that is none of those known.

    Args:
        name: of the option.
        value: as it was given.
        known: words.

    Yields:
        At most one sentence.
    """
    if value not in known:
        yield f"{name} {value}: give one of {', '.join(known)}"


def not_above_zero(name: str, amount: float) -> Iterator[str]:
    """Give the problem of an amount that is not finite, or not above 0.

    Args:
        name: of the option.
        amount: as it was given.

    Yields:
        At most one sentence.
    """
    if not (math.isfinite(amount) and amount > 0):
        yield f"{name} {amount:g}: give a number above 0"
