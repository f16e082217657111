"""A small image tower for Qualcomm's simulator: float, and quantized as the vendor's own configuration does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.runtimes.protocol import Artifact, Blob

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

_RANDOM = np.random.default_rng(0)
_FILTER = (_RANDOM.normal(size=(8, 3, 3, 3)) * 0.2).astype(np.float32)
_MATRIX = (_RANDOM.normal(size=(8, 16)) * 0.3).astype(np.float32)
PIXELS = [_RANDOM.integers(0, 256, (1, 32, 32, 3), np.uint8) for _ in range(6)]


def tower(*, reduce_l2: bool) -> onnx.ModelProto:
    """``pixels`` uint8 (1, 32, 32, 3) to ``embedding`` float32 (1, 16), unit rows."""
    length = (
        [helper.make_node("ReduceL2", ["rows"], ["length"], name="length", axes=[1], keepdims=1)]
        if reduce_l2
        else [
            helper.make_node("Mul", ["rows", "rows"], ["squares"], name="squares"),
            helper.make_node("ReduceSum", ["squares", "axis"], ["sum"], name="sum", keepdims=1),
            helper.make_node("Sqrt", ["sum"], ["length"], name="length"),
        ]
    )
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Sub", ["float", "mean"], ["centred"], name="centre"),
        helper.make_node("Mul", ["centred", "scale"], ["scaled"], name="scale"),
        helper.make_node("Transpose", ["scaled"], ["planes"], name="planes", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "filter"], ["maps"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["maps"], ["positive"], name="relu"),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"], name="pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="flat"),
        helper.make_node("MatMul", ["flat", "matrix"], ["rows"], name="rows"),
        *length,
        helper.make_node("Div", ["rows", "length"], ["embedding"], name="unit"),
    ]
    arrays = {
        "filter": _FILTER,
        "matrix": _MATRIX,
        "mean": np.full((1, 1, 1, 3), 127.5, np.float32),
        "scale": np.full(1, 1 / 64, np.float32),
        "axis": np.array([1], np.int64),
    }
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, 32, 32, 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 16])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items() if name in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def quantized(folder: Path, *, reduce_l2: bool, bits: int = 16) -> Artifact:
    """Return the tower with activations of so many bits and weights of 8."""
    model, out = folder / "float.onnx", folder / "quantized.onnx"
    onnx.save(tower(reduce_l2=reduce_l2), str(model))
    quantize_file(model, out, PIXELS, bits)
    return artifact(out.read_bytes())


def quantize_file(model: Path, out: Path, rows: Sequence[npt.NDArray[np.uint8]], bits: int) -> None:
    """Quantize a static tower as the vendor's configuration does, its ranges taken from `rows`, each (1, H, W, 3)."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config, qnn_preprocess_model

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(rows)

        def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
            pixels = next(self.left, None)
            return None if pixels is None else {"pixels": pixels}

    prepared = str(model.with_name("prepared.onnx"))
    source = prepared if qnn_preprocess_model(str(model), prepared) else str(model)
    kind = QuantType.QUInt16 if bits == 16 else QuantType.QUInt8
    config = get_qnn_qdq_config(source, Reader(), activation_type=kind, weight_type=QuantType.QUInt8)
    quantize(source, str(out), config)


def artifact(model: bytes) -> Artifact:
    """Return a model in memory."""
    return Artifact("tower.onnx", "onnx", Blob(memoryview(model)))
