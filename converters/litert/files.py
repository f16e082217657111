"""Read what a LiteRT file consists of."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from edgekit.converters.litert.recipe import WEIGHTED, WeightedOperator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def count_operators(path: Path) -> dict[str, int]:
    """Count the operators of a LiteRT file by kind, such as ``{"CONV_2D": 33}``."""
    counts = Counter(name for name, _, _ in _operators(path))
    return dict(sorted(counts.items()))


def weighted_operators(path: Path) -> list[WeightedOperator]:
    """Return the operators of a float LiteRT file whose second input is stored in it."""
    found = []
    for name, operator, (model, tensors) in _operators(path):
        if name in WEIGHTED and len(operator.inputs) > 1:
            weight = tensors[operator.inputs[1]]
            if model.buffers[weight.buffer].data is not None:
                output = tensors[operator.outputs[0]].name.decode()
                found.append(WeightedOperator(name, output, int(weight.shape[-1])))
    return found


def _operators(path: Path) -> Iterator[tuple[str, Any, Any]]:
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    model = flatbuffer_utils.read_model(str(path))
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            # Files made before the schema grew past 127 operators have the code in the older field.
            name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            yield name, operator, (model, graph.tensors)
