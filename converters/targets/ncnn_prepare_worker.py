"""The child that makes ncnn's form of a master: static, in float32 alone, its table of words beside it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters import children
from edgekit.converters.graph import store
from edgekit.converters.targets import ncnn_graph, operators, rewrites, static

REQUEST, FACTS, GRAPH, TABLE = "ncnn.json", "ncnn-facts.json", "chip.onnx", "words.npy"


@dataclass(frozen=True)
class Request:
    """What to make.

    Attributes:
        master: the float graph.
        shape: of its input.
        tower: image or text.
    """

    master: str
    shape: tuple[int, ...]
    tower: str


@dataclass(frozen=True)
class Facts:
    """What was made.

    Attributes:
        input: name of the contract's input.
        inputs: names of the graph's inputs, in order.
        dimension: D.
        masks: constants of attention masks that were raised.
        unknown: operators that the table does not know.
    """

    input: str
    inputs: tuple[str, ...]
    dimension: int
    masks: int
    unknown: tuple[str, ...]


def main(folder: Path) -> None:
    """Make ``chip.onnx`` and the table in the work folder, and say what was done in ``ncnn-facts.json``."""
    asked = schema.loads(Request, (folder / REQUEST).read_bytes(), REQUEST)
    children.stage(f"{asked.tower} tower: making its shape static")
    out = folder / GRAPH
    static.fold(Path(asked.master), out, asked.shape)
    model = store.load(out)
    given = model.graph.input[0].name
    # float16 arithmetic, which some processors offer, has no -10000 beside numbers of any precision.
    masks = rewrites.bound_masks(model)
    rewrites.move_length_out(model)
    if asked.tower == "image":
        ncnn_graph.float_pixels(model)
    else:
        np.save(folder / TABLE, ncnn_graph.take_table_out(model), allow_pickle=False)
        ncnn_graph.compute_in_float(model)
        ncnn_graph.anchor_batches(model)
    ncnn_graph.sums_as_means(model)
    ncnn_graph.forget_values(model)
    unknown = operators.check(model, operators.read("ncnn"), asked.tower)
    dimension = model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    inputs = tuple(value.name for value in model.graph.input)
    store.save(model, out)
    write_bytes(folder / FACTS, schema.dumps(Facts(given, inputs, dimension, masks, unknown)).encode())


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1])))
