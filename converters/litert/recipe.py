"""A tower's decision as a recipe of ai-edge-quantizer: which operators of a LiteRT file are quantized, and how."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.errors import ConversionError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgekit.converters.quantize.methods.records import Group
    from edgekit.converters.quantize.methods.table import Method

    Rule = dict[str, Any]

TABLE = "EMBEDDING_LOOKUP"
WEIGHTED = frozenset({TABLE, "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
"""The operators whose weights are quantized."""

_BITS = {"int8": 8, "int7": 8, "int8 blocks": 8, "int4": 4, "int4 blocks": 4}
_ACTIVATION_BITS = {"int8": 8, "uint8": 8, "int16": 16, "uint16": 16}
_BLOCK = 32


@dataclass(frozen=True)
class WeightedOperator:
    """An operator of a LiteRT file that reads stored weights.

    Attributes:
        op: LiteRT's name of the operator, one of `WEIGHTED`.
        output: name of the tensor it writes.
        width: numbers that make one output of a FULLY_CONNECTED, or of a row of a table.
    """

    op: str
    output: str
    width: int


@dataclass(frozen=True)
class Recipe:
    """What is quantized.

    Attributes:
        rules: in the quantizer's own format, for each operator of each group.
        skipped: tables that no operator looks up.
    """

    rules: list[Rule]
    skipped: tuple[str, ...]

    @property
    def needs_samples(self) -> bool:
        """Whether the ranges of activations must be measured."""
        return any("activation_tensor_config" in rule["op_config"] for rule in self.rules)


def make_recipe(
    chosen: Sequence[tuple[Group, Method]], scopes: Mapping[str, str], operators: Sequence[WeightedOperator]
) -> Recipe:
    """Write a recipe.

    Where LiteRT has no kernel for exactly what a method means, the nearest one that keeps the promised size is taken:

    - Weights in 7 bits guard against saturating u8 x s8 products, which LiteRT does not use: 8 bits.
    - Blocks of 8 bits become channels. Of 4 bits, FULLY_CONNECTED takes blocks of 32, or channels where its width is no
      multiple of it, against activations quantized at run time (with float activations they would be decoded again at
      every inference, four times slower than float); convolutions keep 8 bits.
    - float16 is how weights are stored. What is computed in it is a setting of the delegate on the device.
    - A table's rows are decoded when they are looked up, in 8 bits or 4, whatever happens to activations.

    Args:
        chosen: groups that are quantized, each with its method; others stay float32.
        scopes: by group name, what its operators are called; see `names.scopes`.
        operators: those of the float file.

    Returns:
        The recipe; its rules are empty when nothing is chosen.

    Raises:
        ConversionError: a group's operators cannot be told apart by their names, or there are none.
        UnsupportedModelError: LiteRT cannot store or compute what a method says.
    """
    owners = _owners(scopes, operators)
    rules: list[Rule] = []
    skipped = []
    for group, method in chosen:
        own = [operator for operator in operators if owners.get(operator.output) == group.name]
        # A static length makes the positions constant, and with them what they look up.
        if not own and group.kind == "table":
            skipped.append(group.name)
        elif not own:
            raise ConversionError(f"group '{group.name}': no operator of the LiteRT file reads its weights")
        for op in sorted({operator.op for operator in own}):
            widths = [operator.width for operator in own if operator.op == op]
            rules.append({"regex": re.escape(scopes[group.name]), "operation": op, **_setting(op, method, widths)})
    return Recipe(rules, tuple(skipped))


def full_integer_recipe() -> Recipe:
    """Write the recipe for processors without floats: int8 weights and activations wherever LiteRT has them.

    Returns:
        The recipe. Pixels are still uint8 and the embedding is still float32; the operators that make one into int8,
        and the other of it, stand at the ends. Tables are int8 too, which a static rule alone would leave float.
    """
    weights, activations = _tensor(8, "INT", "CHANNELWISE"), {**_tensor(8, "INT", "TENSORWISE"), "symmetric": False}
    static = {**_config(weights, "INTEGER"), "activation_tensor_config": activations}
    table = _config(weights, "INTEGER")
    plain = "min_max_uniform_quantize"
    return Recipe(
        [
            {"regex": ".*", "operation": "*", "algorithm_key": plain, "op_config": static},
            {"regex": ".*", "operation": TABLE, "algorithm_key": plain, "op_config": table},
            {"regex": ".*", "operation": "OUTPUT", "algorithm_key": "no_quantize", "op_config": {}},
        ],
        (),
    )


def _owners(scopes: Mapping[str, str], operators: Iterable[WeightedOperator]) -> dict[str, str]:
    """Map the output of each operator to its group."""
    owners: dict[str, str] = {}
    for operator in operators:
        found = [group for group, name in scopes.items() if name in operator.output]
        if len(found) > 1:
            raise ConversionError(
                f"{operator.op} '{operator.output}' carries the names of the groups {', '.join(found)}; "
                "quantize them with one method, or leave them float"
            )
        owners.update((operator.output, group) for group in found)
    return owners


def _setting(op: str, method: Method, widths: Sequence[int]) -> Rule:
    if method.weights == "float16" and method.activations in ("float32", "float16"):
        return {"algorithm_key": "float_casting", "op_config": _config(_tensor(16, "FLOAT", "TENSORWISE"), "FLOAT")}
    if method.weights not in _BITS:
        raise UnsupportedModelError(f"method '{method.name}': LiteRT stores no weights as {method.weights}")
    bits = _BITS[method.weights]
    static = method.activations != "float32" and not method.activations.startswith("dynamic")
    if bits == 4 and op not in (TABLE, "FULLY_CONNECTED"):
        config = _config(_tensor(8, "INT", "CHANNELWISE"), "FLOAT")
    elif bits == 4 and op == "FULLY_CONNECTED" and all(width % _BLOCK == 0 for width in widths):
        config = _config(_tensor(4, "INT", f"BLOCKWISE_{_BLOCK}"), "INTEGER")
    else:
        decoded = method.activations == "float32" and bits == 8 and op != TABLE
        config = _config(_tensor(bits, "INT", "CHANNELWISE"), "FLOAT" if decoded else "INTEGER")
    if static and op != TABLE:
        config["activation_tensor_config"] = _activations(method)
    return {"algorithm_key": "min_max_uniform_quantize", "op_config": config}


def _activations(method: Method) -> Rule:
    if method.activations not in _ACTIVATION_BITS:
        raise UnsupportedModelError(f"method '{method.name}': LiteRT computes no activations as {method.activations}")
    bits = _ACTIVATION_BITS[method.activations]
    # LiteRT's kernels take no offset with 16 bits.
    return {**_tensor(bits, "INT", "TENSORWISE"), "symmetric": bits == 16}


def _config(weights: Rule, compute: str) -> Rule:
    return {
        "weight_tensor_config": weights,
        "compute_precision": compute,
        "explicit_dequantize": compute == "FLOAT",
        "skip_checks": False,
        "min_weight_elements": 0,
    }


def _tensor(bits: int, kind: str, granularity: str) -> Rule:
    return {"num_bits": bits, "symmetric": True, "granularity": granularity, "dtype": kind}
