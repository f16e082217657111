"""Compute a typed graph as a float16 engine does: every float16 result is rounded, and overflows, where it is made.

ONNX Runtime's CPU provider has few float16 kernels: it computes the others in float32, and leaves out the conversion
to float16 between two of them. A product of 90,000 then passes (measured with 1.31.1), which is infinite on a GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph.simplify import set_nodes
from edgekit.converters.targets import half
from edgekit.errors import ConversionError

if TYPE_CHECKING:
    import numpy.typing as npt

# They pass values on, which are rounded already.
_MOVES = frozenset(
    {
        "Concat",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "Pad",
        "Relu",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
        "Where",
    }
)


def rounded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a float32 graph whose results are those of a typed one, operator by operator.

    Inside an operator sums are float32, as tensor cores' are; each result passes through float16 where the typed graph
    holds it so. An engine that joins operators rounds less often, and one that sums in float16 more.

    Args:
        model: typed, weights in memory; it is left as it was.

    Returns:
        A new graph, with float32 in the place of float16.
    """
    types = half.types_of(model)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.value_info[:]
    for tensor in made.graph.initializer:
        if tensor.data_type == half.HALF:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    nodes: list[onnx.NodeProto] = []
    for node in made.graph.node:
        if node.op_type == "Cast":
            for attribute in node.attribute:
                if attribute.name == "to" and attribute.i == half.HALF:
                    attribute.i = half.FLOAT
        nodes.append(node)
        if node.op_type in _MOVES:
            continue
        for position, name in enumerate(node.output):
            if types.get(name) == half.HALF:
                node.output[position] = f"{name}.exact"
                nodes += [
                    helper.make_node("Cast", [f"{name}.exact"], [f"{name}.rounded"], to=half.HALF),
                    helper.make_node("Cast", [f"{name}.rounded"], [name], to=TensorProto.FLOAT),
                ]
    set_nodes(made.graph, nodes)
    return made


def run(model: onnx.ModelProto, inputs: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Run inputs through a graph of batch one, none of its operators joined or left out.

    Args:
        model: weights in memory, one input, one output; without float16, see `rounded`.
        inputs: (n, …).

    Returns:
        (n, D) float32, of any length; infinity and NaN are passed on.

    Raises:
        ConversionError: ONNX Runtime refuses the graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        rows = [session.run(None, {name: np.ascontiguousarray(row[None])})[0] for row in inputs]
    except Exception as error:
        raise ConversionError(f"the graph for the chip cannot be run here: {error}") from error
    return np.concatenate(rows).astype(np.float32, copy=False)
