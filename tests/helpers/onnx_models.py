"""Small ONNX models made by hand, with weights wherever a test wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.runtimes.protocol import Artifact, Blob

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

WEIGHTS = "weights.bin"
_RANDOM = np.random.default_rng(5)
MATRIX = _RANDOM.normal(size=(48, 3)).astype(np.float32)
TABLE = _RANDOM.normal(size=(7, 3)).astype(np.float32)
SIDECAR = b"padding!" + MATRIX.tobytes() + TABLE.tobytes()


def expected(given: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
    """What `two_inputs` computes."""
    pixels = given["pixels"].astype(np.float64).reshape(len(given["pixels"]), -1)
    total = pixels @ MATRIX + TABLE[given["ids"].astype(np.int64)].astype(np.float64).sum(axis=1)
    return {"sum": total.astype(np.float32), "first": total[:, :1].astype(np.float32)}


def external(name: str, array: npt.NDArray[np.float32], location: str, offset: int, length: int | None) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=array.shape)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="offset", value=str(offset))
    if length is not None:
        tensor.external_data.add(key="length", value=str(length))
    return tensor


def two_inputs(batch: int | str = "N", length: int | str = "L", *, location: str = WEIGHTS) -> bytes:
    """``sum`` = flattened pixels @ MATRIX + the sum of the TABLE's rows for ids; ``first`` = its first column."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"], name="flatten"),
        helper.make_node("MatMul", ["flat", "matrix"], ["product"], name="multiply"),
        helper.make_node("Gather", ["table", "ids"], ["rows"], name="gather"),
        helper.make_node("ReduceSum", ["rows", "axis"], ["words"], name="reduce", keepdims=0),
        helper.make_node("Add", ["product", "words"], ["sum"], name="add"),
        helper.make_node("Slice", ["sum", "zero", "one", "axis"], ["first"], name="slice"),
    ]
    tensors = [
        external("matrix", MATRIX, location, 8, MATRIX.nbytes),
        external("table", TABLE, location, 8 + MATRIX.nbytes, None),
        *(numpy_helper.from_array(np.array([v], np.int64), n) for n, v in (("zero", 0), ("one", 1), ("axis", 1))),
    ]
    graph = helper.make_graph(
        nodes,
        "two inputs",
        [
            helper.make_tensor_value_info("pixels", TensorProto.UINT8, [batch, 4, 4, 3]),
            helper.make_tensor_value_info("ids", TensorProto.INT32, [batch, length]),
        ],
        [
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [batch, 3]),
            helper.make_tensor_value_info("first", TensorProto.FLOAT, [batch, 1]),
        ],
        tensors,
    )
    return model_of(graph).SerializeToString(deterministic=True)


def model_of(graph: onnx.GraphProto, **fields: list[onnx.FunctionProto]) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **fields)


def artifact(folder: Path, model: bytes, sidecars: Mapping[str, bytes] | None = None) -> Artifact:
    """Write `sidecars` into `folder` and return the artifact that has them on disk."""
    for name, data in (sidecars or {}).items():
        (folder / name).write_bytes(data)
    blobs = {name: Blob(memoryview(data), folder / name) for name, data in (sidecars or {}).items()}
    return Artifact("test.onnx", "onnx", Blob(memoryview(model)), blobs)
