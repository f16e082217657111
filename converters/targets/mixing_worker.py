"""The child that measures which steps of a prepared graph lose most in 8 bits; see `mixing` and `emulated`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.adapting import unit_rows
from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters import children
from edgekit.converters.graph import store
from edgekit.converters.quantize.methods import calibration
from edgekit.converters.targets import emulated, fused, mixing, prepare_worker, static
from edgekit.converters.targets.mixing import Mix, Sensitivity
from edgekit.fidelity import agreement

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.converters.targets.emulated import Switchable

REQUEST, ANSWER = "mixing.json", "mixed.json"
_RANKING = 4
"""Rows that steps are ranked by; mixes are measured on all."""


@dataclass(frozen=True)
class Request:
    """What to measure of ``chip.onnx``.

    Attributes:
        tower: image or text.
        mean: per channel, in levels of 0..255, that the compiler's own input subtracts; empty for a text tower.
        std: per channel, by which it divides.
        calibration: contract inputs that ranges are measured on.
        search: contract inputs that mixes are chosen by.
        reference: float embeddings of `search`.
        goal: centred cosine that is aimed at.
        symmetric: whether the chip's activations have no zero point.
    """

    tower: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    calibration: str
    search: str
    reference: str
    goal: float
    symmetric: bool


@dataclass(frozen=True)
class Answer:
    """What was measured.

    Attributes:
        plain: centred cosine with every step in 8 bits.
        steps: what each loses alone, in the graph's order.
        mixes: what to keep in 16 bits, from cheap to safe.
    """

    plain: float
    steps: tuple[Sensitivity, ...]
    mixes: tuple[Mix, ...]


class Chip:
    """The emulated chip with one graph, on rows and their float embeddings."""

    def __init__(
        self, made: Switchable, steps: int, rows: npt.NDArray[np.generic], reference: npt.NDArray[np.float32]
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # An optimization would merge the rounding with what is rounded.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        graph = made.model.SerializeToString()
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._given, self._weights = made.model.graph.input[0].name, made.weights
        self._steps, self._rows, self._reference = steps, rows, reference
        self._seen: dict[frozenset[int], float] = {}

    def measure(self, kept: frozenset[int]) -> float:
        """Return the centred cosine with some steps in float, on all rows, -1 for NaN; each choice is run once."""
        if kept not in self._seen:
            self._seen[kept] = self._on(kept, len(self._rows))
        return self._seen[kept]

    def rank(self, kept: frozenset[int]) -> float:
        """Return the same on the first few rows."""
        return self._on(kept, _RANKING)

    def _on(self, kept: frozenset[int], rows: int) -> float:
        switches = np.zeros(self._steps, bool)
        switches[list(kept)] = True
        feeds: dict[str, npt.NDArray[np.generic]] = {
            name: one.exact if one.step in kept else one.rounded for name, one in self._weights.items()
        }
        feeds[emulated.KEPT] = switches
        found = [self._session.run(None, {**feeds, self._given: row[None]})[0] for row in self._rows[:rows]]
        value = agreement(unit_rows(np.concatenate(found)), self._reference[:rows]).centred_mean
        return value if np.isfinite(value) else -1.0


def main(folder: Path) -> None:
    """Measure the graph in the work folder, and say what was found in ``mixed.json``."""
    asked = schema.loads(Request, (folder / REQUEST).read_bytes(), REQUEST)
    children.stage(f"{asked.tower} tower: measuring ranges")
    graph = folder / prepare_worker.GRAPH
    model = store.load(graph)
    steps = fused.steps(model)
    calibrated = static.scaled(np.load(asked.calibration, allow_pickle=False), asked.mean, asked.std)
    ranges = calibration.measure(graph, [row[None] for row in calibrated], emulated.tensors(steps), "minmax")
    made = emulated.switchable(model, steps, ranges, symmetric=asked.symmetric)
    rows = static.scaled(np.load(asked.search, allow_pickle=False), asked.mean, asked.std)
    chip = Chip(made, len(steps), rows, np.load(asked.reference, allow_pickle=False))
    children.stage(f"{asked.tower} tower: measuring what each of {len(steps)} steps loses in 8 bits")
    plain = chip.measure(frozenset())
    found = mixing.sensitivities(steps, chip.rank)
    children.stage(f"{asked.tower} tower: choosing what stays in 16 bits")
    chosen = mixing.mixes(found, chip.measure, mixing.goals(asked.goal))
    write_bytes(folder / ANSWER, schema.dumps(Answer(plain, found, chosen)).encode())


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1])))
