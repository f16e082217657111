"""Models on which an engine ends the process or computes something else without a word, told before they run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.runtimes.litert_engine import Engine
    from edgekit.runtimes.litert_placement import Node

# Operators whose int8 weights tflite-runtime 2.14 takes for zeros when they have a scale per channel and the result is
# float32. Converters give them the version that has no such scales, so the engine does not refuse them itself. Its
# convolutions are right. Each is proven in tests/runtimes/test_litert_defects.py.
_CHANNEL_BLIND = frozenset({"BATCH_MATMUL", "EMBEDDING_LOOKUP", "FULLY_CONNECTED"})


def problem(engine: Engine, interpreter: Any, nodes: tuple[Node, ...]) -> str:
    """Say what makes a model unsafe for an engine.

    Args:
        engine: to run it.
        interpreter: holds the model; its memory need not be allocated.
        nodes: the model's nodes.

    Returns:
        What is wrong and what to do, or an empty string.
    """
    raw = interpreter._interpreter
    scales = {number: _scales(raw, number) for number in range(raw.NumTensors(0))}
    for number, found in scales.items():
        # A mask of minus infinity, quantized: both engines abort while they prepare the node that reads it.
        if not all(map(math.isfinite, found)):
            return (
                f"the tensor {raw.TensorName(number, 0)!r} is quantized by a scale that is not finite, on which the "
                "engine would end the process; replace the infinity in the model by a finite value and quantize again"
            )
    if engine.scales_channels:
        return ""
    blind = [node for node in nodes if node.op in _CHANNEL_BLIND and _is_float(raw, node)]
    for node in blind:
        if any(len(scales[tensor]) > 1 for tensor in node.reads if tensor >= 0):
            return (
                f"{engine.package} {engine.version} takes the weights of {node.op} for zeros, as they have a scale per "
                "channel; use ai-edge-litert, or quantize with one scale per tensor"
            )
    return ""


def _scales(raw: Any, number: int) -> list[float]:
    return [float(scale) for scale in raw.TensorQuantizationParameters(number, 0)[0]]


def _is_float(raw: Any, node: Node) -> bool:
    return any(getattr(raw.TensorType(tensor, 0), "__name__", "") == "float32" for tensor in node.writes)
