"""Rewrite groups of calls into forms that LiteRT has one operator for, or that survive quantization."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.converters.litert.program import Program, needed, readers, with_constants

if TYPE_CHECKING:
    from typing import Any

    import numpy.typing as npt
    from torch import Tensor

    from edgekit.converters.litert.call import Call

_CLOSE = 1e-5
_MASKED = -1e3
"""A constant of zeros and of values at most this is a mask: nothing a network adds on purpose is as large."""


def rewrite(program: Program, mask: float | None) -> Program:
    """Apply every pattern.

    Args:
        program: as folded.
        mask: least value of an attention mask; None leaves masks as they are.

    Returns:
        A program that computes the same, but for masks.
    """
    program = late_transposes(linear_layers(erf_gelu(program)))
    return program if mask is None else bounded_masks(program, mask)


def erf_gelu(program: Program) -> Program:
    """Replace ``x (1 + erf(x / √2)) / 2``, however it is bracketed, by one GELU.

    Args:
        program: may hold any number of them.

    Returns:
        The program; LiteRT has no erf, and would compute each as thirty operators.
    """
    made = {name: call for call in program.calls for name in call.outputs}
    used = readers(program.calls)
    replaced: dict[str, Call] = {}
    for call in program.calls:
        if call.op == "Erf":
            found = _gelu_around(call, made, used)
            if found:
                result, x = found
                replaced[result.name] = replace(result, op="Gelu", inputs=(x,), attributes={}, constants={})
    calls = tuple(replaced.get(call.name, call) for call in program.calls)
    return needed(replace(program, calls=calls))


def linear_layers(program: Program) -> Program:
    """Turn products with a stored matrix, and the term added to them, into linear layers.

    Args:
        program: with ``MatMul`` and ``Gemm`` calls.

    Returns:
        The program with ``Linear`` calls, named as the products were, whose weights are stored as (outputs, inputs).
    """
    used, constants = readers(program.calls), dict(program.constants)
    calls: dict[str, Call] = {call.name: call for call in program.calls}
    for call in program.calls:
        weight = _stored_matrix(call, constants)
        if weight is None:
            continue
        name = f"{call.inputs[1]}.linear"
        constants.setdefault(name, weight)
        inputs, output, end = [call.inputs[0], name], call.outputs[0], call
        if call.has(2):
            inputs.append(call.inputs[2])
        else:
            term = _added_term(used.get(output, []), output, constants, weight.shape[0])
            if term:
                end, bias = term
                inputs.append(bias)
        linear = replace(call, op="Linear", inputs=tuple(inputs), outputs=end.outputs, attributes={})
        calls.pop(call.name)
        # In the place of the last call of the pattern, where all it reads is there.
        calls[end.name if end is not call else call.name] = with_constants(linear, constants)
    order = {name: i for i, name in enumerate(call.name for call in program.calls)}
    ordered = [calls[name] for name in sorted(calls, key=lambda name: order[name])]
    return needed(replace(program, calls=tuple(ordered), constants=constants))


def late_transposes(program: Program) -> Program:
    """Move a Transpose behind the calls after it that only scale, shift or pad by constants.

    Args:
        program: a convolutional tower transposes its pixels first and pads them, perhaps, before it convolves.

    Returns:
        The program, in which such a transpose stands before the convolution, whose LiteRT form absorbs it.
    """
    used, constants = readers(program.calls), dict(program.constants)
    made: dict[str, Call] = {}
    order: list[str] = []
    for call in program.calls:
        source = next((name for i, name in enumerate(call.inputs) if i not in call.constants), "")
        before = made.get(source)
        if before is None or before.op != "Transpose" or _only(used, source) is None or not _can_precede(call, before):
            new = [call]
        else:
            new = _swapped(before, call, constants)
            order.remove(source)
            made.pop(source)
        for one in new:
            made[one.outputs[0]] = one
            order.append(one.outputs[0])
    calls = tuple(made[name] for name in order)
    return needed(replace(program, calls=calls, constants=constants))


def bounded_masks(program: Program, least: float) -> Program:
    """Raise the values of attention masks to `least`, so that they leave an int8 range for the logits.

    Args:
        program: its masks are constants of zeros and of values at most -1000.
        least: such as -30; far enough below any logit to make its softmax vanish.

    Returns:
        The program with other constants.
    """
    constants = {
        name: value.clamp(min=least) if _is_mask(value) else value for name, value in program.constants.items()
    }
    calls = tuple(with_constants(call, constants) for call in program.calls)
    return replace(program, calls=calls, constants=constants)


def _gelu_around(erf: Call, made: dict[str, Call], used: dict[str, list[Call]]) -> tuple[Call, str] | None:
    """Return the last call of a GELU around an erf, and the name of its x."""
    scaled = made.get(erf.inputs[0])
    x = _scaled_by(scaled, 1 / math.sqrt(2)) if scaled else None
    plus = _only(used, erf.outputs[0])
    if x is None or plus is None or plus.op != "Add" or not _constant_is(plus, 1.0):
        return None
    product = _only(used, plus.outputs[0])
    if product is None or product.op != "Mul":
        return None
    factor = next(name for name in product.inputs if name != plus.outputs[0])
    if factor == x:  # x (1 + erf) and then the half
        half = _only(used, product.outputs[0])
        return (half, x) if half and _scaled_by(half, 0.5) == product.outputs[0] else None
    if factor in made and _scaled_by(made[factor], 0.5) == x:  # (x / 2) (1 + erf)
        return product, x
    after = _only(used, product.outputs[0])
    if _constant_is(product, 0.5) and after and after.op == "Mul" and x in after.inputs:  # x ((1 + erf) / 2)
        return after, x
    return None


def _can_precede(call: Call, transpose: Call) -> bool:
    if call.op == "Pad":
        return len(call.inputs) < 4
    rank = len(transpose.attributes["perm"])
    return (
        call.op in ("Add", "Div", "Mul", "Sub")
        and len(call.constants) == len(call.inputs) - 1
        and all(value.ndim <= rank for value in call.constants.values())
    )


def _swapped(transpose: Call, call: Call, constants: dict[str, Tensor]) -> list[Call]:
    """Return `call` on what `transpose` reads, and `transpose` after it."""
    order = list(transpose.attributes["perm"])
    inverse = [order.index(axis) for axis in range(len(order))]
    inputs = list(call.inputs)
    for position in call.constants:
        value = constants[call.inputs[position]]
        if call.op == "Pad":
            moved = value.reshape(2, -1)[:, inverse].reshape(-1) if position == 1 else value
        else:
            moved = value.reshape([1] * (len(order) - value.ndim) + list(value.shape)).permute(inverse)
        inputs[position] = f"{call.inputs[position]}.{call.name}"
        constants[inputs[position]] = moved.contiguous()
    inputs[inputs.index(transpose.outputs[0])] = transpose.inputs[0]
    first = replace(call, inputs=tuple(inputs), outputs=(f"{call.outputs[0]}.first",))
    return [
        with_constants(first, constants),
        replace(transpose, inputs=first.outputs, outputs=call.outputs),
    ]


def _only(used: dict[str, list[Call]], name: str) -> Call | None:
    found = used.get(name, [])
    return found[0] if len(found) == 1 else None


def _scaled_by(call: Call, factor: float) -> str | None:
    """Return what a Mul or Div scales by `factor`, or None if it is no such call."""
    if call.op == "Div" and 1 in call.constants and _equals(call.constants[1], 1 / factor):
        return call.inputs[0]
    if call.op == "Mul" and _constant_is(call, factor):
        return next(name for i, name in enumerate(call.inputs) if i not in call.constants)
    return None


def _constant_is(call: Call, value: float) -> bool:
    return len(call.constants) == 1 and _equals(next(iter(call.constants.values())), value)


def _equals(found: npt.NDArray[Any], value: float) -> bool:
    return found.size == 1 and abs(float(found.reshape(())) - value) <= _CLOSE * abs(value)


def _stored_matrix(call: Call, constants: dict[str, Tensor]) -> Tensor | None:
    """Return the (outputs, inputs) weight of a product that is a linear layer."""
    if call.op not in ("MatMul", "Gemm") or 1 not in call.constants or 0 in call.constants:
        return None
    plain = all(call.attributes.get(name, 1.0) == 1.0 for name in ("alpha", "beta")) and not call.attributes.get(
        "transA"
    )
    weight = constants[call.inputs[1]]
    if weight.ndim != 2 or not plain or (call.has(2) and (2 not in call.constants or call.constants[2].ndim != 1)):
        return None
    return weight if call.attributes.get("transB") else weight.t().contiguous()


def _added_term(after: list[Call], product: str, constants: dict[str, Tensor], width: int) -> tuple[Call, str] | None:
    """Return the Add that is the product's only reader and adds a stored vector, and the vector's name."""
    if len(after) != 1 or after[0].op != "Add" or len(after[0].constants) != 1:
        return None
    name = next(name for name in after[0].inputs if name != product)
    return (after[0], name) if tuple(constants[name].shape) == (width,) else None


def _is_mask(value: Tensor) -> bool:
    if not value.is_floating_point() or value.numel() == 0 or not bool(value.min() <= _MASKED):
        return False
    return bool(((value == 0) | (value <= _MASKED)).all())
