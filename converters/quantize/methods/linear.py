"""MatMul and Gemm seen alike: an activation times a matrix, plus perhaps a bias."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.quantize.methods.editor import attribute

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.converters.quantize.methods.editor import Editor


@dataclass(frozen=True)
class Linear:
    """One product of activations with stored weights.

    Attributes:
        source: tensor of the activations, (..., K).
        weight: float32 (K, N).
        name: of the stored weights.
        bias: tensor to be added to the product, or an empty string.
        output: tensor of the result, (..., N).
    """

    source: str
    weight: npt.NDArray[np.float32]
    name: str
    bias: str
    output: str


def read(editor: Editor, key: str) -> Linear | None:
    """Describe a node as a `Linear`.

    Args:
        editor: the graph.
        key: of the node.

    Returns:
        The description; None where the node is neither MatMul nor Gemm, its weights are not a stored matrix, or it
        transposes its activations.

    Raises:
        ConversionError: the weights hold infinity or NaN.
    """
    node = editor.node(key)
    if node.op_type not in ("MatMul", "Gemm") or not editor.is_constant(node.input[1]):
        return None
    weight = editor.value(node.input[1])
    if weight.ndim != 2 or attribute(node, "transA", 0):
        return None
    bias = ""
    if node.op_type == "Gemm":
        weight = weight.T if attribute(node, "transB", 0) else weight
        weight = (weight * np.float32(attribute(node, "alpha", 1))).astype(np.float32, copy=False)
        bias = node.input[2] if len(node.input) > 2 else ""
        beta = attribute(node, "beta", 1)
        if bias and beta != 1:
            if not editor.is_constant(bias):
                return None
            bias = editor.constant(f"{bias}.beta", editor.value(bias) * np.float32(beta))
    return Linear(node.input[0], weight, node.input[1], bias, node.output[0])


def merged_bias(editor: Editor, found: Linear) -> tuple[Linear, str]:
    """Take over a stored bias that an Add after a product of two axes adds; engines merge the two into a Gemm.

    Args:
        editor: the graph.
        found: what `read` gave; its node must be removed by the caller, the Add's name is the second result.

    Returns:
        The product with its bias and the output of the Add, and the key of that Add; `found` and an empty string where
        there is none.
    """
    readers = editor.readers(found.output)
    if found.bias or len(readers) != 1 or readers[0].op_type != "Add" or editor.is_output(found.output):
        return found, ""
    add = readers[0]
    bias = next((name for name in add.input if name != found.output), found.output)
    if not editor.is_constant(bias) or editor.value(bias).shape != (found.weight.shape[1],):
        return found, ""
    if editor.rank(found.source) != 2:
        return found, ""
    return replace(found, bias=bias, output=add.output[0]), editor.key_of(add)


def product(editor: Editor, linear: Linear) -> str:
    """Return the name under which the product without its bias goes, and add the bias to it where there is one."""
    if not linear.bias:
        return linear.output
    plain = editor.free(f"{linear.output}.product")
    editor.add("Add", [plain, linear.bias], linear.output)
    return plain
