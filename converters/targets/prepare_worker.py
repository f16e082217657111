"""The child that makes a chip's static graph of a master: what it loads can crash, or leave gigabytes behind."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters import children
from edgekit.converters.graph import store
from edgekit.converters.targets import averages, choices, operators, pooling, rewrites, static

REQUEST, FACTS, GRAPH = "prepare.json", "prepared.json", "chip.onnx"


@dataclass(frozen=True)
class Request:
    """What to make.

    Attributes:
        master: the float graph.
        shape: of its input.
        tower: image or text.
        table: name of the operator table.
        scaling_outside: whether the compiler's own input scales pixels, so that the graph must not.
        biases: whether every product needs a bias; see `rewrites.give_biases`.
        lengths: whether the compiler takes ReduceL2; see `rewrites.spell_lengths_out`.
        argmax: whether the compiler takes ArgMax in the middle of a graph; see `pooling.by_table`.
        choices: whether the compiler takes a Where on a computed condition; see `choices.spell_choices_out`.
        averages: whether the compiler takes averages over a picture; see `averages.spell_averages_out`.
        out: name of the file to write; weights go into one beside it.
    """

    master: str
    shape: tuple[int, ...]
    tower: str
    table: str
    scaling_outside: bool = True
    biases: bool = True
    lengths: bool = True
    argmax: bool = True
    choices: bool = True
    averages: bool = True
    out: str = GRAPH


@dataclass(frozen=True)
class Facts:
    """What was made.

    Attributes:
        input: name of its input.
        dimension: D.
        mean: per channel, in levels of 0..255; empty for a text tower.
        std: per channel, likewise.
        masks: constants of attention masks that were raised.
        biases: biases that were given.
        unknown: operators that the table does not know.
    """

    input: str
    dimension: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    masks: int
    biases: int
    unknown: tuple[str, ...]


def main(folder: Path) -> None:
    """Make the graph in the work folder, and say what was done in ``prepared.json``."""
    asked = schema.loads(Request, (folder / REQUEST).read_bytes(), REQUEST)
    children.stage(f"{asked.tower} tower: making its shape static")
    out = folder / asked.out
    static.fold(Path(asked.master), out, asked.shape)
    model = store.load(out)
    outside = asked.scaling_outside and asked.tower == "image"
    scaling = static.move_scaling_out(model) if outside else static.Scaling((), ())
    masks = rewrites.bound_masks(model)
    rewrites.move_length_out(model)
    biases = rewrites.give_biases(model) if asked.biases else 0
    if not asked.lengths:
        rewrites.spell_lengths_out(model)
    if not asked.averages:
        averages.spell_averages_out(model)
    if not asked.choices:
        choices.spell_choices_out(model)
    if not asked.argmax:
        pooling.by_table(model)
    unknown = operators.check(model, operators.read(asked.table), asked.tower)
    dimension = model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    given = model.graph.input[0].name
    store.save(model, out)
    facts = Facts(given, dimension, scaling.mean, scaling.std, masks, biases, unknown)
    write_bytes(folder / FACTS, schema.dumps(facts).encode())


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1])))
