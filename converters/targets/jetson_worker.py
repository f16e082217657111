"""The child that makes a Jetson's graph of a prepared one: it loads, runs and measures, and can die of either."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from edgekit.adapting import unit_rows
from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters import children
from edgekit.converters.graph import store
from edgekit.converters.quantize.methods import calibration, float16
from edgekit.converters.targets import (
    explicit_int8,
    half,
    islands,
    jetson_chips,
    jetson_graph,
    prepare_worker,
    rounding,
)
from edgekit.errors import ConversionError
from edgekit.fidelity import agreement

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgekit.converters.quantize.methods.calibration import How
    from edgekit.converters.quantize.methods.records import Range

REQUEST, ANSWER = "jetson.json", "jetson-made.json"
_FITTED = "fitted.onnx"
_SHOWN = 4
_KIB = 1024  # the unit of Linux's figure
_PORTABLE = 17
_CALIBRATIONS: tuple[How, ...] = ("minmax", "percentile", "entropy")


@dataclass(frozen=True)
class Request:
    """What to make of ``chip.onnx``.

    Attributes:
        chip: name of the family.
        tower: image or text.
        precision: fp32, fp16 or w8a8.
        calibration: inputs that ranges are measured on, as the graph takes them.
        search: inputs that nodes are chosen by.
        reference: float embeddings of `search`.
        parts: further inputs to run, by the name under which their rows are stored.
        goal: centred cosine that is aimed at.
        out: name of the graph to write.
    """

    chip: str
    tower: str
    precision: str
    calibration: str
    search: str
    reference: str
    parts: dict[str, str]
    goal: float
    out: str


@dataclass(frozen=True)
class Answer:
    """What was made.

    Attributes:
        facts: for the card.
        peak_bytes: the largest memory of this child.
    """

    facts: dict[str, str]
    peak_bytes: int


class _Tower:
    """A fitted graph, and how near a variant of it comes to the float tower on the inputs that are chosen by."""

    def __init__(self, folder: Path, asked: Request) -> None:
        self.chip = jetson_chips.find(asked.chip)
        self.path = folder / _FITTED
        self.model = store.load(folder / prepare_worker.GRAPH)
        self.changed = jetson_graph.fit(self.model, self.chip, asked.tower)
        copy = onnx.ModelProto()
        copy.CopyFrom(self.model)
        # Ranges are measured with operators of the portable set, whose meaning for these nodes is the same.
        jetson_graph.declare(copy, _PORTABLE)
        store.save(copy, self.path)
        self._search = np.load(asked.search, allow_pickle=False)
        self._reference = np.load(asked.reference, allow_pickle=False)
        self.calibration = np.load(asked.calibration, allow_pickle=False)

    def measure(self, variant: onnx.ModelProto) -> float:
        return agreement(unit_rows(rounding.run(variant, self._search)), self._reference).centred_mean

    def ranges(self, tensors: tuple[str, ...], how: How) -> dict[str, Range]:
        return calibration.measure(self.path, [row[None] for row in self.calibration], tensors, how)


def main(folder: Path) -> None:
    """Make the graph in the work folder, run every part through it, and say what was done."""
    asked = schema.loads(Request, (folder / REQUEST).read_bytes(), REQUEST)
    children.stage(f"{asked.tower} tower: writing it for {asked.chip}")
    tower = _Tower(folder, asked)
    if asked.precision == "w8a8":
        made, facts = _int8(tower, asked)
    elif asked.precision == "fp16":
        made, facts = _half(tower, asked)
    else:
        raise ConversionError(f"precision: {asked.precision!r} is not one of fp16, w8a8")
    jetson_graph.check(made, tower.chip, asked.tower)
    proof = rounding.rounded(made)
    for part, path in asked.parts.items():
        children.stage(f"{asked.tower} tower: running the {part} inputs")
        np.save(folder / f"{part}.rows.npy", rounding.run(proof, np.load(path, allow_pickle=False)), allow_pickle=False)
    done = ", ".join(f"{name} ({count})" for name, count in tower.changed.items() if count)
    store.save(made, folder / asked.out)
    onnx.checker.check_model(str(folder / asked.out), full_check=True)
    known = {"TensorRT": f"{tower.chip.tensorrt} or newer", "operator set": str(tower.chip.opset)}
    facts = {**known, **({"rewritten": done} if done else {}), **facts}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
    write_bytes(folder / ANSWER, schema.dumps(Answer(facts, peak)).encode())


def _half(tower: _Tower, asked: Request) -> tuple[onnx.ModelProto, dict[str, str]]:
    able = half.eligible(tower.model)
    children.stage(f"{asked.tower} tower: measuring ranges")
    large = _out_of_range(tower, able)
    children.stage(f"{asked.tower} tower: choosing what stays in float32")

    def measure(kept: Collection[str]) -> float:
        return tower.measure(rounding.rounded(half.typed(tower.model, {*kept, *large})))

    alone = tower.measure(rounding.rounded(half.typed(tower.model, ())))
    free = [name for name in able if name not in large]
    choice = islands.choose(islands.parts_of(tower.model, free), measure, asked.goal)
    kept = {*large, *(name for part in choice.kept for name in part.nodes)}
    total = len(tower.model.graph.node)
    facts = {
        "all that can be in float16": f"centred cosine {alone:.5f} on the inputs that were chosen by",
        "chosen": f"centred cosine {choice.reached:.5f}, {len(able) - len(kept)} of {total} nodes in float16",
        "kept in float32": _shown([part.name for part in choice.kept]),
        "beyond float16's range": _shown(sorted(large)),
        "computed": "every float16 result rounded where it is made, sums in float32",
    }
    return half.typed(tower.model, kept), facts


def _out_of_range(tower: _Tower, able: tuple[str, ...]) -> set[str]:
    """Name the nodes whose results come near the end of float16's range: other inputs may pass it."""
    types = half.types_of(tower.model)
    seen = tuple(name for name in able if types.get(name) == half.FLOAT)
    return {name for name, span in tower.ranges(seen, "minmax").items() if span.largest > float16.LIMIT}


def _int8(tower: _Tower, asked: Request) -> tuple[onnx.ModelProto, dict[str, str]]:
    able = explicit_int8.products(tower.model)
    if not able:
        raise ConversionError(f"the {asked.tower} tower has no product with stored weights; use --precision fp16")
    children.stage(f"{asked.tower} tower: calibrating")
    names = explicit_int8.tensors(tower.model, able)
    spans = {how: tower.ranges(names, how) for how in _CALIBRATIONS}

    def made(kept: Collection[str], how: How) -> onnx.ModelProto:
        nodes = [name for name in able if name not in kept]
        return explicit_int8.apply(tower.model, nodes, spans[how], stored=tower.chip.stored_int8)

    found = {how: tower.measure(made((), how)) for how in _CALIBRATIONS}
    best = max(_CALIBRATIONS, key=lambda how: (np.nan_to_num(found[how], nan=-2.0), how))
    children.stage(f"{asked.tower} tower: choosing what stays in float32")
    parts = islands.parts_of(tower.model, able)
    choice = islands.choose(parts, lambda kept: tower.measure(made(kept, best)), asked.goal)
    kept = {name for part in choice.kept for name in part.nodes}
    facts = {
        "all in int8": ", ".join(f"centred cosine {value:.5f} by {how}" for how, value in found.items()),
        "chosen": f"centred cosine {choice.reached:.5f}, {len(able) - len(kept)} of {len(able)} products in int8",
        "kept in float32": _shown([part.name for part in choice.kept]),
        "calibration": f"{best} on {len(tower.calibration)} inputs",
    }
    return made(kept, best), facts


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "none"


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1])))
