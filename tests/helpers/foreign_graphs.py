"""Towers as other tools write them, small and made by hand in ONNX, and what they compute in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

HEIGHT, WIDTH, DIMENSION, WORDS, PAD = 4, 6, 5, 120, 0
_RANDOM = np.random.default_rng(11)
MATRIX = _RANDOM.normal(size=(3 * HEIGHT * WIDTH, DIMENSION)).astype(np.float32)
TABLE = _RANDOM.normal(size=(WORDS, DIMENSION)).astype(np.float32)
info = helper.make_tensor_value_info


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    values: dict[str, Any] | None = None,
    opset: int = 17,
) -> Path:
    """Write a graph whose initializers are `values`, by name."""
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in (values or {}).items()]
    graph = helper.make_graph(list(nodes), "foreign", list(inputs), list(outputs), tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def image(path: Path, batch: int | str = "N", matrix: npt.NDArray[np.float32] = MATRIX) -> Path:
    """``image`` float (N, 3, 4, 6) to ``embedding`` (N, 5): the planes, flattened, times the matrix."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["embedding"]),
    ]
    given, made = info("image", 1, [batch, 3, HEIGHT, WIDTH]), info("embedding", 1, [batch, matrix.shape[1]])
    return save(path, nodes, [given], [made], {"matrix": matrix})


def image_rows(pixels: npt.NDArray[np.uint8], mean: Any, std: Any) -> npt.NDArray[np.float64]:
    """The unit rows of `image` for uint8 (N, 4, 6, 3)."""
    planes = ((pixels.astype(np.float64) / 255 - mean) / std).transpose(0, 3, 1, 2)
    return unit(planes.reshape(len(pixels), -1) @ MATRIX.astype(np.float64))


def text(path: Path, ids: int = TensorProto.INT64, mask: int | None = None, length: int | str = "L") -> Path:
    """``input_ids`` and perhaps ``attention_mask``, of those types, to the mean of the rows that the mask keeps."""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
    ]
    inputs = [info("input_ids", ids, ["N", length])]
    if mask is None:
        nodes.append(helper.make_node("ReduceMean", ["rows"], ["text_embeds"], axes=[1], keepdims=0))
    else:
        inputs.append(info("attention_mask", mask, ["N", length]))
        nodes += [
            helper.make_node("Cast", ["attention_mask"], ["weights"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["weights", "last"], ["kept"]),
            helper.make_node("Mul", ["rows", "kept"], ["masked"]),
            helper.make_node("ReduceSum", ["masked", "middle"], ["text_embeds"], keepdims=0),
        ]
    values = {"table": TABLE, "last": np.array([2]), "middle": np.array([1])}
    return save(path, nodes, inputs, [info("text_embeds", 1, ["N", DIMENSION])], values)


def text_rows(ids: npt.NDArray[np.integer], mask: npt.NDArray[Any] | None = None) -> npt.NDArray[np.float64]:
    """The unit rows of `text`."""
    kept = np.ones_like(ids) if mask is None else mask
    return unit((TABLE.astype(np.float64)[ids] * kept[..., None]).sum(axis=1))


def unit(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The rows, each of length one."""
    lengths: npt.NDArray[np.float64] = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths
