"""Bring results back, each checked by its digest."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.benchmarks.remote import scripts
from edgekit.benchmarks.remote.ssh_errors import BoardError
from edgekit.benchmarks.results import files

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.benchmarks.remote.link import Link

# What a board names its results is neither a path here nor anything that a terminal would obey.
_NAME = re.compile(r"[^/.][^/]{0,199}\.json")
_ATTEMPTS = 3


def collect(link: Link, folder: str, run: str) -> list[tuple[str, bytes]]:
    """Fetch every result of a run.

    Args:
        link: to the board.
        folder: on the board, absolute.
        run: the run's id.

    Returns:
        Name and content of each, in the order of their names.

    Raises:
        BoardError: one arrives with another digest than it has there.
        LinkDownError: the link was cut.
    """
    found: list[tuple[str, bytes]] = []
    for line in link.run(scripts.RESULTS, [folder, run]).decode("utf-8", "surrogateescape").split("\n"):
        digest, _, name = line.partition(" ")
        if not line:
            continue
        if not _NAME.fullmatch(name) or not name.isprintable():
            raise BoardError("failed", f"{name[:60]!a}: the board gives a result a name that no file here may have")
        for _ in range(_ATTEMPTS):
            data = link.run(scripts.FETCH, [folder, run, name])
            if hashlib.sha256(data).hexdigest() == digest:
                found.append((name, data))
                break
        else:
            raise BoardError("failed", f"{name}: arrived {_ATTEMPTS} times with another SHA-256 than it has there")
    return found


def store(results: list[tuple[str, bytes]], board: str, output: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write results here.

    Args:
        results: name and content of each.
        board: whose they are.
        output: folder that exists.

    Returns:
        The files, ``BOARD.json`` or ``BOARD-1.json``, ``BOARD-2.json``, …; and the verdict of each.

    Raises:
        InputError: one is no result of this edgekit's schema, and then none is written; or one cannot be written.
    """
    paths: list[Path] = []
    verdicts = [result.verdict for name, data in results for result in files.loads(data, f"{board}: {name}")]
    for number, (_, data) in enumerate(results, 1):
        path = output / (f"{board}.json" if len(results) == 1 else f"{board}-{number}.json")
        write_bytes(path, data)
        paths.append(path)
    return tuple(paths), tuple(verdicts)
