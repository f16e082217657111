"""Any frozen record of plain values, made from its type hints by a seeded generator: extremes and hostile text too.

By hand, and not by Hypothesis, which takes a second for a result of a thousand values; a seed repeats a record.
"""

from __future__ import annotations

import sys
import types
from dataclasses import fields, is_dataclass, replace
from functools import cache
from random import Random
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from edgekit.benchmarks.results.records import SCHEMA_VERSION, Result

EXTREMES = (0.0, -0.0, 5e-324, -1e-9, 1.0, 1e16, -1e300, sys.float_info.max, 0.1 + 0.2)
# What a device, a driver or a user may put into a text: control characters, markup, quotes, no character at all.
HOSTILE = (
    *("", "\x00", "\n", "\r\n", "\x1b[2J", "</script><script>alert(1)", "<b>&amp;\"'", "a|b", "=1+1", "@SUM(A1)"),
    *("\u202e", "é", "😀", "`x`", "**x**", "[x](javascript:1)", "-", "' onload='", "%s{0}", "\\", "\t", "\u2028"),
)


def any_result(seed: int, real: bool = False) -> Result:
    """Make a result of the present schema that could be read from a file; see `make`."""
    found = make(Result, seed, real)
    series = tuple(replace(one, values=tuple(float(i) for i in range(len(one.times)))) for one in found.series)
    return replace(found, schema_version=SCHEMA_VERSION, series=series)


def make(kind: Any, seed: int, real: bool = False) -> Any:
    """Make a value of a type hint as the records of edgekit use them.

    Args:
        kind: a dataclass, or a hint of one of its fields.
        seed: of every choice.
        real: numbers are such as a run could measure, 0 or more; else anything that JSON can hold.

    Returns:
        The value; tuples and dicts have up to three items.
    """
    return _make(kind, Random(seed), real)  # noqa: S311


def _make(kind: Any, random: Random, real: bool) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return kind(**{name: _make(hint, random, real) for name, hint in _hints(kind).items()})
    if origin is Literal:
        return random.choice(arguments)
    if origin in (Union, types.UnionType):
        return _make(random.choice(arguments), random, real)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_make(arguments[0], random, real) for _ in range(random.randrange(4)))
    if origin is tuple:
        return tuple(_make(argument, random, real) for argument in arguments)
    if origin is dict:
        return {text(random): _make(arguments[1], random, real) for _ in range(random.randrange(4))}
    return {str: text, int: _integer, float: _real if real else _number, bool: _flag, type(None): _none}[kind](random)


def text(random: Random) -> str:
    """A hostile text, or letters of any script."""
    if random.random() < 0.5:
        return random.choice(HOSTILE)
    return "".join(chr(random.choice((random.randrange(32, 127), random.randrange(0xA0, 0xD7FF)))) for _ in range(6))


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _integer(random: Random) -> int:
    # JSON readers elsewhere keep whole numbers up to 2^53 exactly.
    return random.choice((0, 1, random.randrange(1000), 2**53))


def _number(random: Random) -> float:
    return random.choice((*EXTREMES, random.uniform(-1e6, 1e6)))


def _real(random: Random) -> float:
    return random.choice((0.0, 1.0, random.random(), random.uniform(0, 1e5)))


def _flag(random: Random) -> bool:
    return random.random() < 0.5


def _none(random: Random) -> None:
    """Nothing to choose."""
