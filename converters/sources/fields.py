"""Fields of configurations that users bring, each checked before anything is computed from it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeGuard

from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


def is_real(value: object) -> TypeGuard[float]:
    """Say whether a value of JSON is a finite number; true and false are none."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def whole(value: object, name: str, where: object, least: int = 1) -> int:
    """Return a whole number.

    Args:
        value: as the configuration has it.
        name: of the field, for the message.
        where: the file, for the message.
        least: smallest that is accepted.

    Returns:
        The number.

    Raises:
        InputError: it is none, or smaller.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        wanted = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise InputError(f"{where}: {name} is {value!r}, {wanted} was expected")
    return value


def real(value: object, name: str, where: object) -> float:
    """Return a finite number; arguments and errors are those of `whole`."""
    if not is_real(value):
        raise InputError(f"{where}: {name} is {value!r}, a number was expected")
    return float(value)


def three(value: object, name: str, where: object, *, positive: bool = False) -> tuple[float, float, float]:
    """Return one number for each of the channels red, green and blue.

    Args:
        value: a number that holds for all, or a list of three.
        name: of the field, for the message.
        where: the file, for the message.
        positive: whether each must be larger than zero.

    Returns:
        The numbers.

    Raises:
        InputError: they are no such numbers.
    """
    values = list(value) if isinstance(value, (list, tuple)) else [value] * 3
    numbers = [float(v) for v in values if is_real(v) and (v > 0 or not positive)]
    if len(values) != 3 or len(numbers) != 3:
        wanted = "positive numbers" if positive else "numbers"
        raise InputError(f"{where}: {name} is {value!r}, one or three {wanted} were expected")
    return numbers[0], numbers[1], numbers[2]


def section(fields: Mapping[str, Any], name: str, where: object) -> dict[str, Any]:
    """Return an object inside an object.

    Args:
        fields: the outer one.
        name: of the field.
        where: the file, for the message.

    Returns:
        The inner one; empty where it is absent or null.

    Raises:
        InputError: the field holds something else.
    """
    found = fields.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError(f"{where}: {name} is {found!r}, an object was expected")
    return found
