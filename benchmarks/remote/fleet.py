"""Boards, from a fleet file or from addresses on the command line."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import strict_fields, strict_yaml
from edgekit.benchmarks.remote import address, scripts, telling
from edgekit.benchmarks.remote.records import Board
from edgekit.bundle import schema
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.remote.records import Address

EXAMPLE = """\
# Boards that `edgekit bench BUNDLE --fleet boards.yaml` runs on, all at the same time.
boards:
  - name: pi5                        # names the board's files and its row in the report
    ssh: ssh://pi@pi5.local          # ssh://user@host[:port][/folder]; aliases of ~/.ssh/config work
    notes: Raspberry Pi 5, 8 GB, active cooler
  - name: orin
    ssh: ssh://nvidia@10.0.0.7:2222/data/edgekit
    python: /opt/edge/bin/python     # an environment that is there already, used as it is
    meters: [ina3221, thermal]       # default: those that are found
    env: {OMP_NUM_THREADS: "4"}
  - name: radxa
    ssh: ssh://radxa
    venv: /usr/bin/python3.11        # makes the new environment; default: the newest one from 3.10 on
    wheels: wheels/aarch64           # offline: `pip download` for that board, beside this file
    extras: [bench, litert]          # default: [bench]
"""
_KIND = strict_yaml.Kind("fleet file", "fleet files", "bench", "begin it with 'boards:'")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_INTERPRETER = re.compile(r"(/[A-Za-z0-9._+@=,-]+)+")
_EXTRA = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_METER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# Set by the run itself.
_OWN_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "HOME", scripts.RUN_VARIABLE, telling.VARIABLE)
# Files of the results folder that are no board's.
_TAKEN = ("fleet", "report")


@dataclass(frozen=True)
class _Entry:
    name: str
    ssh: str
    python: str = ""
    venv: str = ""
    wheels: str = ""
    extras: tuple[str, ...] = ("bench",)
    meters: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict, metadata=schema.OPTIONAL)
    notes: str = ""


@dataclass(frozen=True)
class _File:
    boards: tuple[_Entry, ...]


def read(path: Path) -> tuple[Board, ...]:
    """Read a fleet file; `EXAMPLE` shows every field.

    Args:
        path: YAML file; ``wheels`` in it is relative to its folder.

    Returns:
        Its boards, at least one, each with another name and address.

    Raises:
        InputError: the message names the file, the field, what is wrong, what to write instead, and the line.
        MissingDependencyError: PyYAML is absent.
    """
    document = strict_yaml.load(path, _KIND)
    places = strict_fields.Places(path, document)
    entries = strict_fields.record(_File, document.value, places).boards
    if not entries:
        raise InputError(places.message("boards", "has no board"))
    boards: list[Board] = []
    for i, entry in enumerate(entries):
        where = f"boards[{i}]"
        for name, problem in _problems(entry, path.absolute().parent):
            raise InputError(places.message(f"{where}.{name}", problem))
        board = _board(entry, places, where)
        for other in boards:
            same = other.address.machine == board.address.machine
            for name, twice in (("name", other.name.lower() == board.name.lower()), ("ssh", same)):
                if twice:
                    raise InputError(places.message(f"{where}.{name}", f"is that of {other.name} too"))
        boards.append(board)
    return tuple(boards)


def from_addresses(texts: Sequence[str], python: str = "", wheels: Path | None = None) -> tuple[Board, ...]:
    """Make boards of addresses, named by their hosts.

    Args:
        texts: addresses, each another one.
        python: interpreter whose environment is used on each; empty: a new environment.
        wheels: folder here with the wheels for a new environment; None: the boards' own index.

    Returns:
        A board per address.

    Raises:
        InputError: an address is none or is given twice, or the interpreter or the folder cannot be used.
    """
    for name, problem in _interpreter_problems(python, "", str(wheels or ""), Path()):
        raise InputError(f"{name}: {problem}")
    folder = None if wheels is None else _folder(str(wheels), Path())
    boards: list[Board] = []
    for text in texts:
        place = address.parse(text)
        # Of the IPv6 address '::' nothing is left.
        plain = re.sub(r"[^A-Za-z0-9._-]", "-", place.host).strip("-.") or "board"
        taken = {*_TAKEN, *(board.name.lower() for board in boards)}
        name = next(n for i in range(len(texts) + len(_TAKEN) + 1) if (n := _nth(plain, i)).lower() not in taken)
        board = Board(name, place, python, "own" if python else "new", folder)
        if any(board.address.machine == other.address.machine for other in boards):
            raise InputError(f"{place}: is given twice; two runs at once on one board would disturb each other")
        boards.append(board)
    return tuple(boards)


def _nth(name: str, i: int) -> str:
    return f"{name[:58]}-{i + 1}" if i else name[:58]


def _board(entry: _Entry, places: strict_fields.Places, where: str) -> Board:
    wheels = _folder(entry.wheels, places.path.absolute().parent) if entry.wheels else None
    return Board(
        entry.name,
        _address(entry.ssh, places, where),
        entry.python or entry.venv,
        "own" if entry.python else "new",
        wheels,
        entry.extras,
        entry.meters,
        tuple(entry.env.items()),
        entry.notes,
    )


def _address(text: str, places: strict_fields.Places, where: str) -> Address:
    try:
        return address.parse(text)
    except InputError as error:
        raise InputError(places.message(f"{where}.ssh", str(error))) from error


def _problems(entry: _Entry, home: Path) -> list[tuple[str, str]]:
    """Return what is wrong with an entry, as (field, what it is and what to do)."""
    found: list[tuple[str, str]] = []
    if not _NAME.fullmatch(entry.name) or entry.name.lower() in _TAKEN:
        what = "begin with a letter or digit; letters, digits and . _ - are taken, but neither 'fleet' nor 'report'"
        found.append(("name", f"{entry.name[:40]!a} cannot name files here; {what}"))
    found += _interpreter_problems(entry.python, entry.venv, entry.wheels, home)
    if entry.python and entry.extras != ("bench",):
        found.append(("extras", "are installed into a new environment, but 'python' takes the one that is there"))
    for name, words, pattern in (("extras", entry.extras, _EXTRA), ("meters", entry.meters, _METER)):
        found += [(f"{name}[{i}]", f"{w[:40]!a} is no name") for i, w in enumerate(words) if not pattern.fullmatch(w)]
    for variable, value in entry.env.items():
        if not _VARIABLE.fullmatch(variable):
            found.append(("env", f"{variable[:40]!a} is no name of an environment variable"))
        elif variable in _OWN_VARIABLES:
            found.append((f"env.{variable}", "is set by the run itself; leave it out"))
        elif not value.isprintable():
            found.append((f"env.{variable}", "holds a control character"))
    if not entry.notes.replace("\n", " ").isprintable():
        found.append(("notes", "hold a control character"))
    return found


def _folder(text: str, home: Path) -> Path:
    # '~' of a user who is not there stays as it is, and is then no folder.
    return home / os.path.expanduser(text)  # noqa: PTH111


def _interpreter_problems(python: str, venv: str, wheels: str, home: Path) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, path in (("python", python), ("venv", venv)):
        if path and not _INTERPRETER.fullmatch(path):
            what = "is no absolute path of an interpreter; letters, digits and . _ + @ = , - are taken"
            found.append((name, f"{path[:60]!a} {what}"))
    if python and venv:
        found.append(("venv", "makes a new environment, but 'python' takes the one that is there; leave one out"))
    if python and wheels:
        found.append(("wheels", "are for a new environment, but 'python' takes the one that is there; leave one out"))
    folder = _folder(wheels, home)
    if wheels and not any(folder.glob("*.whl")):
        found.append(("wheels", f"{folder} holds no wheel; fill it by pip download --only-binary=:all: -d {folder} …"))
    return found
