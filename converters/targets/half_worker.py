"""The child that computes what a float32 graph gives on a chip that computes it in float16, and writes it so typed."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters import children
from edgekit.converters.graph import store
from edgekit.converters.targets import half, rounding

REQUEST, ANSWER = "half.json", "half-made.json"
_KIB = 1024  # the unit of Linux's figure


@dataclass(frozen=True)
class Request:
    """What to compute.

    Attributes:
        model: name of the float32 graph in the work folder.
        out: name of the typed graph to write; empty where the chip's own compiler chooses the type.
        parts: inputs as the graph takes them, by the name under which their rows are stored.
    """

    model: str
    out: str
    parts: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """Largest resident memory of the child, in bytes."""

    peak_bytes: int


def main(folder: Path) -> None:
    """Write ``PART.rows.npy`` for each part, and the typed graph where one is asked for."""
    asked = schema.loads(Request, (folder / REQUEST).read_bytes(), REQUEST)
    typed = half.typed(store.load(folder / asked.model), ())
    rounded = rounding.rounded(typed)
    if asked.out:
        store.save(typed, folder / asked.out)
    for part, path in asked.parts.items():
        children.stage(f"computing the {part} inputs, every result rounded to float16")
        rows = rounding.run(rounded, np.load(path, allow_pickle=False))
        np.save(folder / f"{part}.rows.npy", rows, allow_pickle=False)
    answer = Answer(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB)
    write_bytes(folder / ANSWER, schema.dumps(answer).encode())


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1])))
