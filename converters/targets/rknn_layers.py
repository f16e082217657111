"""Which layers of a tower stay in float16 on a Rockchip NPU, by its shape: those that hold the sum through all blocks.

A transformer adds each block's result to one running sum. It has a few large values, which take the eight bits of all
others. MiniLM on rk3588, in the simulator, 24 texts: centred cosine 0.875 in int8 (24.1 MB), 0.930 with sums and norms
in float16 (24.3 MB), 0.987 with the products that are added as well (28.6 MB); the tool's own choice of layers keeps
0.933 at its default threshold (31.6 MB). The layers are found by the shape of the graph, not by names.

This file is read inside the toolchain ``rknn`` as well, where edgekit is not installed: it imports nothing of edgekit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

EMPTY = "custom_quantize_layers: {}"
"""What the tool writes into its configuration where no layer was chosen."""

# What stands before the name of a tensor; its figures stand further in.
_ENTRY = "    "
# Operators of the tool's own graph begin with "ex".
_NORMS = frozenset({"exNorm", "LayerNormalization"})
_PRODUCTS = frozenset({"Conv", "Gemm", "MatMul", "exMatMul"})


def running_sum(model: onnx.ModelProto, *, products: bool) -> list[str]:
    """Return the outputs of the layers that hold the running sum.

    Args:
        model: the tool's optimized graph, ``NAME.model`` of its first step; weights need not be loaded.
        products: whether to name the products that are added as well.

    Returns:
        Names in the graph's order: of sums of two computed tensors, of norms, and of products that such a sum reads.
        Empty where the graph has no such sum.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    sums = [
        node for node in model.graph.node if node.op_type == "Add" and sum(name in makers for name in node.input) > 1
    ]
    if not sums:
        return []
    added = {name for node in sums for name in node.input if name in makers and makers[name].op_type in _PRODUCTS}
    chosen = []
    for node in model.graph.node:
        of_sum = node in sums or node.op_type in _NORMS
        chosen += [name for name in node.output if of_sum or (products and name in added)]
    return chosen


def quantized(text: str, names: list[str]) -> list[str]:
    """Return those of some layers that the tool would quantize.

    Args:
        text: ``NAME.quantization.cfg`` of the tool's first step.
        names: outputs of layers.

    Returns:
        The names that the configuration has, in their order.
    """
    known = {line[len(_ENTRY) : -1] for line in text.splitlines() if line.startswith(_ENTRY) and line.endswith(":")}
    return [name for name in names if name in known]


def configured(text: str, names: list[str]) -> str:
    """Return the tool's configuration with layers in float16.

    Args:
        text: ``NAME.quantization.cfg`` of the tool's first step.
        names: outputs of layers that it quantizes.

    Returns:
        The text with the layers named.

    Raises:
        ValueError: the configuration has no place for them, as another version of the tool may write it.
    """
    if EMPTY not in text:
        raise ValueError(f"the tool's configuration has no '{EMPTY}'")
    lines = [f"    {name}: float16" for name in names]
    return text.replace(EMPTY, "\n".join(["custom_quantize_layers:", *lines])) if lines else text
