"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, overload

import click

from edgekit.errors import InputError, TextError
from edgekit.golden import TOWERS
from edgekit.policies import POLICIES
from edgekit.runtimes.protocol import SessionSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgekit.golden import TowerName

F = TypeVar("F", bound="Callable[..., object]")

PATH = click.Path(path_type=Path)


def load_options(command: F) -> F:
    """Add the options of `edgekit.load`: ``--option`` is given to the command as ``engine_options``.

    Variant, runtime and device take one name, or one for each tower (``image=qnn,text=cpu``): `per_tower` reads them.
    """
    for option in (
        engine_option,
        threads_option,
        click.option(
            "--policy",
            type=click.Choice(POLICIES),
            help="Place each tower by itself, by this.  [default: both as one, the fastest]",
        ),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="Device, as the runtime calls it; or each tower's: image=qnn,text=cpu.",
        ),
        click.option("--runtime", help="Runtime to use, or each tower's.  [default: the fastest that passes]"),
        click.option("--variant", help="Variant to use, or each tower's.  [default: the fastest that passes]"),
    ):
        command = option(command)
    return command


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def threads_option(command: F) -> F:
    """Add ``--threads``."""
    return click.option(
        "--threads",
        type=click.IntRange(0),
        help="Threads of one inference; 0: one per core.  [default: 0, or as tuned]",
    )(command)


def engine_option(command: F) -> F:
    """Add ``--option``, given to the command as ``engine_options``."""
    return click.option(
        "--option",
        "engine_options",
        multiple=True,
        metavar="NAME=VALUE",
        help="Setting that only one engine has, such as x64quantprecision=1; repeatable.",
    )(command)


@overload
def per_tower(given: str) -> str | dict[TowerName, str]: ...
@overload
def per_tower(given: None) -> None: ...
def per_tower(given: str | None) -> str | dict[TowerName, str] | None:
    """Read one name, or one for each tower.

    Args:
        given: such as ``cpu``, or ``image=qnn,text=cpu``; None where the option was not given.

    Returns:
        The name, or names by tower.

    Raises:
        InputError: a tower stands twice, or a part names none.
    """
    if given is None or not given.startswith(tuple(f"{name}=" for name in TOWERS)):
        return given
    found: dict[TowerName, str] = {}
    for part in given.split(","):
        name, _, value = part.partition("=")
        tower = next((one for one in TOWERS if one == name.strip()), None)
        if tower is None or tower in found or not value.strip():
            raise InputError(f"{given}: write each tower once, such as image=NAME,text=NAME")
        found[tower] = value.strip()
    return found


def settings(threads: int | None, engine_options: Sequence[str] = ()) -> SessionSettings | None:
    """Return session settings for the shared options.

    Args:
        threads: as given, or None.
        engine_options: as given, each ``NAME=VALUE``.

    Returns:
        The settings; None when nothing was given, so that `edgekit.load` may use what ``edgekit tune`` chose.

    Raises:
        InputError: an option is not ``NAME=VALUE``.
    """
    pairs = []
    for given in engine_options:
        name, equals, value = given.partition("=")
        if not (name and equals and value):
            raise InputError(f"--option {given}: write it as NAME=VALUE, such as x64quantprecision=1")
        pairs.append((name, value))
    if threads is None and not pairs:
        return None
    return SessionSettings(threads=threads or 0, options=tuple(pairs))


def lines_of(path: Path, what: str) -> list[str]:
    """Read a list of labels or texts.

    Args:
        path: a UTF-8 file.
        what: what a line is, for messages.

    Returns:
        The lines that are not blank, without surrounding white space.

    Raises:
        InputError: the file cannot be read or is not UTF-8.
        TextError: it holds no line.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    found = [line for line in lines if line]
    if not found:
        raise TextError(f"{path}: holds no {what}; write one on each line")
    return found
