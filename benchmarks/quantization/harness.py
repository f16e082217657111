"""Run towers through edgekit's runtimes: their embeddings, and their latency in one interleaved run."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import numpy as np

from edgekit.bundle.members import mapped
from edgekit.runtimes import registry
from edgekit.runtimes.protocol import Artifact, Blob, SessionSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.runtimes.protocol import Session

PAUSE = 0.05
"""Seconds between two contenders, in which threads that wait actively give up."""


def open_file(path: Path, runtime: str, kind: str, threads: int) -> Session:
    """Open one model file, its weights beside it, on the CPU."""
    sidecars = {p.name: Blob(mapped(p), p) for p in path.parent.glob(f"{path.name}*") if p != path}
    artifact = Artifact(path.name, kind, Blob(mapped(path), path), sidecars)
    return registry.get(runtime).open(artifact, "cpu", SessionSettings(threads=threads, spinning=False))


def size(path: Path) -> int:
    """Return the bytes of a model file and the weights beside it."""
    return sum(p.stat().st_size for p in path.parent.glob(f"{path.name}*"))


def embed(session: Session, batches: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.float32]:
    """Return one float32 row for each batch of one."""
    name, out = session.inputs[0].name, session.outputs[0].name
    rows = [session.run({name: batch})[out] for batch in batches]
    return np.concatenate(rows).astype(np.float32)


def interleaved(
    sessions: Mapping[str, tuple[Session, Sequence[npt.NDArray[np.generic]]]], rounds: int
) -> dict[str, list[float]]:
    """Time sessions side by side, in an order drawn anew for each round.

    Args:
        sessions: per contender, its session and inputs of batch one; round i takes input i.
        rounds: how many, after one that is not counted.

    Returns:
        Seconds per round and contender.
    """
    draw, names = random.Random(0), list(sessions)  # noqa: S311
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1, rounds):
        draw.shuffle(names)
        for name in names:
            session, batches = sessions[name]
            given = {session.inputs[0].name: batches[number % len(batches)]}
            time.sleep(PAUSE)
            start = time.perf_counter()
            session.run(given)
            if number >= 0:
                times[name].append(time.perf_counter() - start)
    return times
