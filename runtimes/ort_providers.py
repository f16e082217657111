"""Options of ONNX Runtime's execution providers, as data: names, values and ranges, checked before a session is made.

Some providers ignore a name that they do not know, so a typing error would change nothing and say nothing.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["choice", "flag", "integer", "number", "text"]
"""What a value is. A flag is 0 or 1, and may be written true or false; a number may have a fraction."""

_FLAGS = {"0": False, "1": True, "false": False, "true": True}
_NEAR = 3


@dataclass(frozen=True)
class ProviderOption:
    """One option.

    Attributes:
        name: the provider's own.
        kind: of its value.
        meaning: what it does, for messages and documentation.
        values: of a choice, all of them; of a flag, how the provider writes no and yes where that is not 0 and 1.
        low: least integer or number; None for no limit.
        high: largest integer or number; None for no limit.
    """

    name: str
    kind: Kind
    meaning: str
    values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ProviderTable:
    """The options of one provider.

    Attributes:
        device: edgekit's name of the provider, such as ``coreml``.
        provider: onnxruntime's name, such as ``CoreMLExecutionProvider``.
        source: where the options are documented.
        strictness: what a session that may not use the processor beside it can expect of this provider.
        options: all of them.
        defaults: what edgekit gives where the user gives nothing, as (name, value) pairs.
        pool: the option that sets the threads of a pool of its own; empty where the provider has none.
    """

    device: str
    provider: str
    source: str
    strictness: str
    options: tuple[ProviderOption, ...]
    defaults: tuple[tuple[str, str], ...] = ()
    pool: str = ""


def resolve(table: ProviderTable, given: Mapping[str, str]) -> dict[str, str]:
    """Check a user's options and put them over edgekit's defaults.

    Args:
        table: of the provider.
        given: values by the provider's own names.

    Returns:
        What the provider is given: every value in the form that it reads.

    Raises:
        InputError: a name is unknown, or a value is none that it takes; the message names what is near, or allowed.
    """
    known = {option.name: option for option in table.options}
    found = dict(table.defaults)
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name.lower(), [one.lower() for one in known], n=_NEAR, cutoff=0.5)
            close = [one for one in known if one.lower() in near]
            hint = f"did you mean {' or '.join(close)}? " if close else ""
            raise InputError(
                f"the provider {table.device} has no option {name!r}; {hint}It has {', '.join(sorted(known))}"
            )
        found[name] = written(table, known[name], value)
    return found


def written(table: ProviderTable, option: ProviderOption, value: str) -> str:
    """Return a value as its provider reads it.

    Args:
        table: of the provider, for messages.
        option: whose value it is.
        value: as the user wrote it.

    Returns:
        The same value in the provider's form.

    Raises:
        InputError: it is not of the option's kind, or out of its range.
    """
    if option.kind == "flag" and value.lower() in _FLAGS:
        return (option.values or ("0", "1"))[_FLAGS[value.lower()]]
    if option.kind == "choice" and value in option.values:
        return value
    if option.kind == "text" and value:
        return value
    if option.kind in ("integer", "number") and _is_number(value, option) and _within(float(value), option):
        return value
    raise InputError(f"the option {option.name} of the provider {table.device} takes {allowed(option)}, not {value!r}")


def allowed(option: ProviderOption) -> str:
    """Say what an option takes, in words for a message."""
    if option.kind == "flag":
        return "0 or 1"
    if option.kind == "choice":
        return ", ".join(option.values)
    if option.kind == "text":
        return "a text that is not empty"
    name = "an integer" if option.kind == "integer" else "a number"
    low = "" if option.low is None else f" from {option.low:g}"
    high = "" if option.high is None else f" up to {option.high:g}"
    return f"{name}{low}{high}"


def _is_number(value: str, option: ProviderOption) -> bool:
    # Only what C++ reads the same way: Python's own int and float also take '1_000', ' 1' and 'nan'.
    return bool(
        re.fullmatch(r"-?\d+" if option.kind == "integer" else r"-?\d+(\.\d+)?([eE][-+]?\d+)?", value, re.ASCII)
    )


def _within(value: float, option: ProviderOption) -> bool:
    return (option.low is None or value >= option.low) and (option.high is None or value <= option.high)
