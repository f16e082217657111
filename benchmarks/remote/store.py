"""Send files to a board's store, where each is known by its digest; what is there whole is not sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.remote import scripts
from edgekit.benchmarks.remote.ssh_errors import BoardError, ScriptError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgekit.benchmarks.remote.link import Link
    from edgekit.benchmarks.remote.payload import Payload

WHOLE = -1
_ATTEMPTS = 3


def present(link: Link, folder: str, payloads: Iterable[Payload]) -> dict[str, int]:
    """Say what a board has already.

    Args:
        link: to it.
        folder: on the board, absolute.
        payloads: what it needs.

    Returns:
        By digest, the bytes of it that are there, or `WHOLE` where it is whole (its digest was computed there now).
    """
    digests = list(dict.fromkeys(payload.digest for payload in payloads))
    found: dict[str, int] = dict.fromkeys(digests, 0)
    for line in link.run(scripts.FIND, [folder, *digests]).decode(errors="replace").splitlines():
        digest, _, size = line.partition(" ")
        if digest in found:
            found[digest] = WHOLE if size == "whole" else int(size)
    return found


def send(link: Link, folder: str, payload: Payload, have: int, on_bytes: Callable[[int], None]) -> None:
    """Send one file, or the rest of it.

    Args:
        link: to the board.
        folder: on the board, absolute.
        payload: what to send.
        have: bytes of it that are there, from an attempt before.
        on_bytes: called with how many bytes of the file are there.

    Raises:
        BoardError: the board's disk is full, or what arrives is never what was sent.
        ScriptError: the board cannot write for another reason.
        LinkDownError: the link was cut.
    """
    for _ in range(_ATTEMPTS):
        offset = have if 0 <= have <= payload.size else 0
        try:
            if offset < payload.size or not offset:
                link.send(payload.path, offset, f"{folder}/objects/{payload.digest}.part", on_bytes)
            if link.run(scripts.SEAL, [folder, payload.digest]).split() == [b"whole"]:
                on_bytes(payload.size)
                return
        except ScriptError as error:
            raise full(error, folder) from error
        # What was there from before was something else, or the file here changed meanwhile.
        have = 0
    raise BoardError(
        "failed", f"{payload.path.name}: arrived {_ATTEMPTS} times with another SHA-256 than was sent; is it changing?"
    )


def place(link: Link, folder: str, run: str, payload: Payload, interpreter: str) -> None:
    """Give a file that is there its name in the run's folder; an archive is unpacked by `interpreter`."""
    words = [folder, run, payload.digest, payload.name, interpreter if payload.folder else ""]
    try:
        link.run(scripts.PLACE, words)
    except ScriptError as error:
        raise full(error, folder) from error


def full(error: ScriptError, folder: str) -> ScriptError | BoardError:
    """Tell a full disk from other failures."""
    if error.full_disk:
        return BoardError(
            "disk-full", f"{folder}: the board's disk is full; make room, or name a folder on another one"
        )
    return error
