"""Checkpoints that appear whole or not at all, and are believed only if their digest is right."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from edgekit.atomic import atomic_file
from edgekit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

# One may be damaged by what ends a machine at once; the one before was written long ago.
KEPT = 2
_NAME = re.compile(r"step-(\d{9})\.checkpoint")
_DIGITS = 64


@dataclass(frozen=True)
class Found:
    """The newest checkpoint that is whole.

    Attributes:
        payload: for `unpack`; empty where there is none.
        notices: on those that were damaged.
    """

    payload: bytes
    notices: tuple[str, ...]


def save(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write a checkpoint and remove all but the last two.

    Args:
        folder: of the checkpoints; made where it is missing.
        step: steps made, in the file's name.
        state: tensors, numbers, strings, lists and dictionaries.

    Raises:
        InputError: the folder cannot be written to.
        OSError: the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    with atomic_file(folder / f"step-{step:09d}.checkpoint") as stream:
        stream.write(hashlib.sha256(payload).hexdigest().encode())
        stream.write(payload)
    for path in _paths(folder)[:-KEPT]:
        path.unlink(missing_ok=True)


def newest(folder: Path) -> Found:
    """Read the newest checkpoint; one that is damaged gives way to the one before.

    Args:
        folder: of the checkpoints; need not exist.

    Returns:
        Its bytes, and what was found damaged; the damaged files are removed.
    """
    notices: list[str] = []
    for path in reversed(_paths(folder)):
        data = path.read_bytes()
        payload = data[_DIGITS:]
        if payload and hashlib.sha256(payload).hexdigest().encode() == data[:_DIGITS]:
            return Found(payload, tuple(notices))
        notices.append(f"{path.name}: damaged, its digest is wrong; it was removed, and an earlier state taken")
        path.unlink()
    return Found(b"", tuple(notices))


def unpack(payload: bytes) -> dict[str, Any]:
    """Open a checkpoint's bytes; no code in them is run.

    Args:
        payload: of `newest`.

    Returns:
        What was saved, its tensors on the CPU.
    """
    state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    return state


def check_identity(state: dict[str, Any], identity: str, folder: Path) -> None:
    """Refuse a checkpoint of another recipe.

    Args:
        state: has ``identity``.
        identity: expected.
        folder: for the message.

    Raises:
        InputError: they differ.
    """
    if state.get("identity") != identity:
        raise InputError(
            f"{folder}: holds the checkpoints of another recipe, or of other teachers; take another output, or remove"
            " this folder to begin anew"
        )


def _paths(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
