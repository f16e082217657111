"""The child that hands a master to an engine that takes it as it is: a free batch, a free length, pixels unscaled."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters import children
from edgekit.converters.compress import encoded, int8_weights
from edgekit.converters.graph import store
from edgekit.converters.targets import operators, rewrites

if TYPE_CHECKING:
    import onnx

REQUEST, FACTS, GRAPH = "portable.json", "portable-facts.json", "engine.onnx"


@dataclass(frozen=True)
class Request:
    """What to make.

    Attributes:
        master: the float graph.
        tower: image or text.
        table: name of the operator table.
        small_tables: whether tables of words are stored in 8 bits, with a scale a row, because the engine's own
            converter leaves them in float32.
    """

    master: str
    tower: str
    table: str
    small_tables: bool = False


@dataclass(frozen=True)
class Facts:
    """What was made.

    Attributes:
        input: name of its input.
        shape: of the input; a free dimension has a name.
        output: name of its output.
        dimension: D.
        fills: constants that were stored; see `rewrites.store_fills`.
        tables: that were stored in 8 bits.
        unknown: operators that the table does not know.
    """

    input: str
    shape: tuple[int | str, ...]
    output: str
    dimension: int
    fills: int
    tables: int
    unknown: tuple[str, ...]


def main(folder: Path) -> None:
    """Make ``engine.onnx`` in the work folder, and say what was done in ``portable-facts.json``."""
    asked = schema.loads(Request, (folder / REQUEST).read_bytes(), REQUEST)
    children.stage(f"{asked.tower} tower: reading the float graph")
    model = store.load(Path(asked.master))
    unknown = operators.check(model, operators.read(asked.table), asked.tower)
    fills = rewrites.store_fills(model)
    tables = _store_tables(model) if asked.small_tables else 0
    (given,), (taken,) = model.graph.input, model.graph.output
    shape = tuple(dim.dim_value or dim.dim_param for dim in given.type.tensor_type.shape.dim)
    dimension = taken.type.tensor_type.shape.dim[-1].dim_value
    store.save(model, folder / GRAPH)
    facts = Facts(given.name, shape, taken.name, dimension, fills, tables, unknown)
    write_bytes(folder / FACTS, schema.dumps(facts).encode())


def _store_tables(model: onnx.ModelProto) -> int:
    found = [
        (tensor, value)
        for tensor, value in encoded.large_weights(model)
        if value.ndim > 1 and encoded.is_table(model, tensor.name)
    ]
    for tensor, value in found:
        encoded.replace(model, tensor, int8_weights.encode(value, is_table=True))
    return len(found)


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1])))
