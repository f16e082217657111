"""The ways to store and compute a group of weights, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, get_args

from edgekit.converters.quantize.methods import (
    a16w8,
    block_weights,
    correction,
    dynamic_int8,
    float16,
    static_int8,
    stored_weights,
)
from edgekit.converters.quantize.methods.qdq import INT8, UINT8, UINT16
from edgekit.converters.quantize.methods.records import GroupKind
from edgekit.errors import InputError
from edgekit.processor import INT8_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgekit.converters.quantize.methods.editor import Editor
    from edgekit.converters.quantize.methods.groups import Region
    from edgekit.converters.quantize.methods.qdq import Grid
    from edgekit.converters.quantize.methods.records import Range


class Apply(Protocol):
    """Rewrites the nodes of a group; see `float16.apply` for the contract."""

    def __call__(self, editor: Editor, region: Region, ranges: Mapping[str, Range]) -> int:
        """Rewrite what can be rewritten and return how many of the group's nodes were."""


class Rewrite(Protocol):
    """Rewrites one node that reads weights; see `dynamic_int8.apply` for the contract."""

    def __call__(self, editor: Editor, key: str, ranges: Mapping[str, Range]) -> bool:
        """Rewrite the node and say whether that was possible."""


@dataclass(frozen=True)
class Method:
    """One way to store and compute weights.

    Attributes:
        name: key in `METHODS`.
        weights: type in which weights are stored.
        activations: type in which the products' inputs are; ``dynamic`` where the scale is found at run time.
        needs_ranges: whether `apply` uses ranges of the tensors that `tensors` names. Where scales are fixed
            beforehand, and for float16, it refuses to work without; elsewhere they only correct biases.
        kinds: kinds of groups it is for.
        description: one line for people.
        apply: rewrites a group.
        tensors: names what must be measured for a group; nothing where `needs_ranges` is False.
    """

    name: str
    weights: str
    activations: str
    needs_ranges: bool
    kinds: frozenset[GroupKind]
    description: str
    apply: Apply
    tensors: Callable[[Editor, Region], tuple[str, ...]]

    @property
    def smooths(self) -> bool:
        """Whether smoothing helps: one scale holds all channels of an activation."""
        return self.activations in ("dynamic uint8", "uint8", "int8", "uint16")


ALL: frozenset[GroupKind] = frozenset(get_args(GroupKind))
# ONNX Runtime's ConvInteger takes several times as long as its float convolution.
PRODUCTS: frozenset[GroupKind] = frozenset({"attention", "mlp", "head", "other"})
COMPUTED: frozenset[GroupKind] = ALL - {"table"}


def _each(rewrite: Rewrite) -> Apply:
    """Apply to a group what rewrites one node."""

    def apply(editor: Editor, region: Region, ranges: Mapping[str, Range]) -> int:
        return sum(rewrite(editor, key, ranges) for key in editor.order(region.group.nodes))

    return apply


def _nothing(editor: Editor, region: Region) -> tuple[str, ...]:
    return ()


def _means(editor: Editor, region: Region) -> tuple[str, ...]:
    return tuple(name for key in region.group.nodes for name in correction.wanted(editor, key))


def _static_tensors(editor: Editor, region: Region) -> tuple[str, ...]:
    names = [name for key in region.group.nodes for name in static_int8.tensors(editor, key)]
    return (*names, *static_int8.add_tensors(editor, region))


def _held(rewrite: Rewrite, grid: Grid) -> Apply:
    """Apply to a group what rewrites one node, and hold its residual adds."""

    def apply(editor: Editor, region: Region, ranges: Mapping[str, Range]) -> int:
        done = sum(rewrite(editor, key, ranges) for key in editor.order(region.group.nodes))
        static_int8.hold_adds(editor, region, ranges, grid)
        return done

    return apply


def _free(
    name: str, weights: str, activations: str, kinds: frozenset[GroupKind], rewrite: Rewrite, description: str
) -> Method:
    wanted = weights != "float16"
    tensors = _means if wanted else _nothing
    return Method(name, weights, activations, wanted, kinds, description, _each(rewrite), tensors)


def _static(name: str, weights: str, grid: Grid, rewrite: Rewrite, description: str) -> Method:
    return Method(name, weights, grid.dtype, True, COMPUTED, description, _held(rewrite, grid), _static_tensors)


_METHODS = (
    _free(
        "float16_weights",
        "float16",
        "float32",
        ALL,
        stored_weights.apply_float16,
        "weights stored as float16, computed as float32",
    ),
    _free(
        "int8_weights",
        "int8",
        "float32",
        ALL,
        stored_weights.apply_int8,
        "weights stored as int8, one scale a channel or table row, computed as float32",
    ),
    Method(
        "float16",
        "float16",
        "float16",
        True,
        COMPUTED,
        "computed as float16, with islands of float32 where its range does not suffice; for GPUs",
        float16.apply,
        float16.tensors,
    ),
    _free(
        "dynamic_int8",
        "int8",
        "dynamic uint8",
        PRODUCTS,
        dynamic_int8.apply,
        "products in int8, the activations' scale found at run time over the whole batch",
    ),
    _free(
        "dynamic_int8_7bit",
        "int7",
        "dynamic uint8",
        PRODUCTS,
        dynamic_int8.apply_7bit,
        "as dynamic_int8, with weights in 7 bits for processors whose u8 x s8 sums saturate",
    ),
    _static(
        "static_int8",
        "int8",
        UINT8,
        static_int8.apply_u8s8,
        "products and convolutions in int8, the activations' scale fixed by calibration (QDQ)",
    ),
    _static(
        "static_int8_7bit",
        "int7",
        UINT8,
        static_int8.apply_u8s7,
        "as static_int8, with weights in 7 bits for processors whose u8 x s8 sums saturate",
    ),
    _static(
        "static_int8_s8s8",
        "int8",
        INT8,
        static_int8.apply_s8s8,
        "as static_int8, with signed activations, for engines that know no other",
    ),
    _static("a16w8", "int8", UINT16, a16w8.apply, "activations in 16 bits, weights in 8 (QDQ), for NPUs"),
    _free(
        "int8_blocks",
        "int8 blocks",
        "dynamic int8 blocks",
        PRODUCTS | {"table"},
        block_weights.apply_int8,
        "8 bit weights with a scale every 128, activations in int8 blocks at run time",
    ),
    _free(
        "int4_weights",
        "int4 blocks",
        "dynamic int8 blocks",
        PRODUCTS | {"table"},
        block_weights.apply_int4,
        "4 bit weights with a scale every 32, activations in int8 blocks at run time",
    ),
    _free(
        "int4_weights_128",
        "int4 blocks",
        "dynamic int8 blocks",
        PRODUCTS,
        block_weights.apply_int4_128,
        "4 bit weights with a scale every 128, activations in int8 blocks at run time",
    ),
)

METHODS: Mapping[str, Method] = {method.name: method for method in _METHODS}
"""Every method by its name."""

SATURATES: Mapping[str, bool] = {kind.name: kind.saturates for kind in sorted(INT8_CLASSES, key=lambda kind: kind.name)}
"""Instruction sets, and whether their u8 x s8 products are added in pairs in 16 bits, which saturate."""


def for_instructions(method: str, instructions: str) -> str:
    """Return the variant of a method that computes right on an instruction set.

    Args:
        method: a key of `METHODS`.
        instructions: a key of `SATURATES`.

    Returns:
        The name of the same method with weights in 7 bits where sums would saturate and there is one; else `method`.

    Raises:
        InputError: `method` or `instructions` is no such key.
    """
    if method not in METHODS:
        raise InputError(f"method '{method}' does not exist; there are {', '.join(METHODS)}")
    if instructions not in SATURATES:
        raise InputError(f"instruction set '{instructions}' is unknown; choose one of {', '.join(SATURATES)}")
    narrow = f"{method}_7bit"
    return narrow if SATURATES[instructions] and narrow in METHODS else method
