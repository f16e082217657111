"""A tower as a list of calls at one static shape, with everything that does not depend on the input computed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from edgekit.converters.export import first_line
from edgekit.converters.litert.call import Call, read_call
from edgekit.converters.litert.operators import OPERATORS, check_supported
from edgekit.converters.quantize.methods.editor import node_keys
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt
    from torch import Tensor

# What they return depends on lengths only, which are known here.
_OF_LENGTHS = {"Shape", "Size"}
_TORCH_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, KeyError)


@dataclass(frozen=True)
class Program:
    """Calls in an order in which they can run.

    Attributes:
        calls: those that depend on the input, and only what the output needs.
        constants: every value they read that does not depend on the input, by name.
        input: name of the one input.
        output: name of the one output.
    """

    calls: tuple[Call, ...]
    constants: dict[str, Tensor]
    input: str
    output: str


def fold(model: onnx.ModelProto, shape: Sequence[int]) -> Program:
    """Fix the input's shape and compute what does not depend on the input.

    The graph is run once with an arbitrary input, so lengths need no inference of shapes.

    Args:
        model: a portable master with its weights in memory: one input, one output, no control flow.
        shape: of the input: (N, H, W, 3) for pixels, (N, L) for token ids.

    Returns:
        The program for inputs of that shape.

    Raises:
        UnsupportedModelError: an operator has no LiteRT form, or a shape depends on the input's values.
        ConversionError: the graph does not fit the shape.
    """
    calls = [read_call(node, key) for node, key in zip(model.graph.node, node_keys(model), strict=True)]
    check_supported(calls)
    (given,), (taken,) = model.graph.input, model.graph.output
    known = {tensor.name: _tensor(numpy_helper.to_array(tensor)) for tensor in model.graph.initializer}
    values: dict[str, Tensor] = {given.name: _example(given, shape)}
    last_use = {name: index for index, call in enumerate(calls) for name in call.inputs}
    live: list[Call] = []
    with torch.inference_mode():
        for index, call in enumerate(calls):
            filled = with_constants(call, known)
            results = _run(filled, values, known)
            constant = call.op in _OF_LENGTHS or len(filled.constants) == sum(map(bool, call.inputs))
            (known if constant else values).update(zip(call.outputs, results, strict=False))
            if not constant:
                live.append(filled)
            for name in call.inputs:
                if last_use[name] == index:
                    values.pop(name, None)
    if taken.name in known:
        raise ConversionError(f"the output '{taken.name}' does not depend on the input '{given.name}'")
    return needed(Program(tuple(live), known, given.name, taken.name))


def with_constants(call: Call, known: dict[str, Tensor]) -> Call:
    """Return the call with those of its inputs filled in that are known."""
    found = {i: known[name].numpy() for i, name in enumerate(call.inputs) if name in known}
    return replace(call, constants=found)


def needed(program: Program) -> Program:
    """Return the program without calls and constants that its output does not need."""
    wanted, kept = {program.output}, []
    for call in reversed(program.calls):
        if wanted.intersection(call.outputs):
            wanted.update(call.inputs)
            kept.append(call)
    constants = {name: value for name, value in program.constants.items() if name in wanted}
    return replace(program, calls=tuple(reversed(kept)), constants=constants)


def readers(calls: Iterable[Call]) -> dict[str, list[Call]]:
    """Map each value's name to the calls that read it."""
    found: dict[str, list[Call]] = {}
    for call in calls:
        for name in call.inputs:
            found.setdefault(name, []).append(call)
    return found


def _run(call: Call, values: dict[str, Tensor], known: dict[str, Tensor]) -> tuple[Tensor, ...]:
    arguments = [known.get(name, values.get(name)) if name else None for name in call.inputs]
    try:
        result = OPERATORS[call.op](call, *arguments)
    except _TORCH_ERRORS as error:
        raise call.unsupported(f"it cannot be computed at this shape: {first_line(error)}") from error
    results = result if isinstance(result, tuple) else (result,)
    # A constant written in a node may be double; see `dtypes`.
    return tuple(one.float() if one.dtype == torch.float64 else one for one in results)


def _tensor(value: npt.NDArray[np.generic]) -> Tensor:
    # A copy: what ONNX returns is read-only memory of the model, which is freed.
    return torch.from_numpy(np.array(value, np.float32 if value.dtype == np.float64 else None))


def _example(given: onnx.ValueInfoProto, shape: Sequence[int]) -> Tensor:
    dims = given.type.tensor_type.shape.dim
    fits = len(dims) == len(shape) and all(
        not dim.HasField("dim_value") or dim.dim_value == size for dim, size in zip(dims, shape, strict=True)
    )
    if not fits:
        raise ConversionError(f"the input '{given.name}' cannot have the shape {tuple(shape)}")
    # One is a valid token id, and no pixel value matters.
    kind = onnx.helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
    return torch.from_numpy(np.ones(tuple(shape), kind))
