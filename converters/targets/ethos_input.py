"""Let an int8 file take pixels as they are: uint8 that is requantized, in place of a cast to float32 and a rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.atomic import write_bytes

if TYPE_CHECKING:
    from pathlib import Path


def take_pixels(path: Path) -> bool:
    """Join the cast of uint8 pixels and the quantization after it into one requantization, in place.

    An Ethos-U has no float32, so that both operators run on the processor, over every pixel. A uint8 tensor of scale 1
    and zero point 0 is the pixel's own number, and LiteRT's QUANTIZE takes one integer type into another.

    Args:
        path: a LiteRT file with one subgraph.

    Returns:
        Whether the file began with the pair.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    (graph,) = model.subgraphs
    (pixels,) = graph.inputs
    kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    cast = _only_reader(graph, pixels)
    if cast is None or _kind(model, cast, kinds) != "CAST" or graph.tensors[pixels].type != schema.TensorType.UINT8:
        return False
    rounding = _only_reader(graph, cast.outputs[0])
    if rounding is None or _kind(model, rounding, kinds) != "QUANTIZE":
        return False
    rounding.inputs = [pixels]
    graph.operators = [one for one in graph.operators if one is not cast]
    scaled = schema.QuantizationParametersT()
    scaled.scale, scaled.zeroPoint = [1.0], [0]
    graph.tensors[pixels].quantization = scaled
    write_bytes(path, bytes(flatbuffer_utils.convert_object_to_bytearray(model)))
    return True


def _only_reader(graph: Any, tensor: int) -> Any:
    readers = [one for one in graph.operators if tensor in list(one.inputs)]
    return readers[0] if len(readers) == 1 else None


def _kind(model: Any, operator: Any, kinds: dict[int, str]) -> str:
    code = model.operatorCodes[operator.opcodeIndex]
    return kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
