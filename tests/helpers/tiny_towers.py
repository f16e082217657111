"""Two tiny towers that follow the graph contract, written by hand in ONNX, and the same arithmetic in NumPy.

The image tower cuts 32 x 32 pixels into 16 patches of 8 x 8 (a convolution), applies ReLU and projects to 16 numbers;
its weights lie in external data, as those of a large model do. The text tower averages the embeddings of the tokens
that are not padding and projects them; its weights are in the graph. Neither shares a line with the code under test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

SIZE, PATCH, CHANNELS, DIMENSION, WIDTH, PAD_ID = 32, 8, 8, 16, 12, 0
MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
Floats = npt.NDArray[np.float32]
Values = dict[str, "npt.NDArray[Any]"]


@dataclass(frozen=True)
class Weights:
    """patches (8, 3, 8, 8), image (128, 16), table (vocabulary, 12), text (12, 16), all float32."""

    patches: Floats
    image: Floats
    table: Floats
    text: Floats


def weights(seed: int, vocabulary: int) -> Weights:
    random = np.random.default_rng(seed)
    shapes = (CHANNELS, 3, PATCH, PATCH), ((SIZE // PATCH) ** 2 * CHANNELS, DIMENSION)
    patches, image, table, text = (
        random.normal(size=shape).astype(np.float32) for shape in (*shapes, (vocabulary, WIDTH), (WIDTH, DIMENSION))
    )
    return Weights((patches / 14).astype(np.float32), (image / 8).astype(np.float32), table, text)


def embed_pixels(w: Weights, pixels: npt.NDArray[np.uint8]) -> Floats:
    """(N, 32, 32, 3) RGB to (N, 16) unit rows."""
    x = (pixels.astype(np.float64) / 255 - MEAN) / STD
    side = SIZE // PATCH
    cut = x.reshape(len(x), side, PATCH, side, PATCH, 3)
    features = np.maximum(np.einsum("nyaxbc,kcab->nkyx", cut, w.patches.astype(np.float64)), 0)
    return _unit(features.reshape(len(x), -1) @ w.image)


def embed_ids(w: Weights, ids: npt.NDArray[np.int32]) -> Floats:
    """(N, L) token ids to (N, 16) unit rows."""
    used = (ids != PAD_ID)[..., None]
    return _unit((w.table.astype(np.float64)[ids] * used).sum(1) / np.maximum(used.sum(1), 1) @ w.text)


def save_image_tower(
    path: Path, w: Weights, *, batch: int | str = "batch", location: str = "", not_a_number: bool = False
) -> tuple[str, ...]:
    """Write ``path`` and its data file.

    Args:
        path: of the graph.
        w: the weights.
        batch: length of the first dimension, or a name.
        location: where the graph says its data is; a data file beside it when empty.
        not_a_number: make every output NaN.

    Returns:
        Names of the data files beside `path`; none when `location` points elsewhere.
    """
    scale = np.array(1 / (255 * np.array(STD)), np.float32)
    shift = np.array(-np.array(MEAN) / STD, np.float32)
    if not_a_number:
        shift[:] = np.nan
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["normal"]),
        helper.make_node("Transpose", ["normal"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "patches"], ["cut"], strides=[PATCH, PATCH]),
        helper.make_node("Relu", ["cut"], ["positive"]),
        helper.make_node("Flatten", ["positive"], ["features"]),
        helper.make_node("MatMul", ["features", "projection"], ["projected"]),
        *_unit_nodes(),
    ]
    large = {"patches": w.patches, "projection": w.image}
    small: Values = {"scale": scale, "shift": shift, "least": np.array(1e-12, np.float32)}
    name = f"{path.name}.data"
    stored, data = _external(large, location or name)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [batch, SIZE, SIZE, 3])
    _save(path, nodes, pixels, batch, [*stored, *_inline(small)])
    if location:
        return ()
    path.with_name(name).write_bytes(data)
    return (name,)


def save_text_tower(path: Path, w: Weights, *, batch: int | str = "batch") -> None:
    """Write ``path``; see `save_image_tower`."""
    nodes = [
        helper.make_node("Gather", ["table", "token_ids"], ["rows"]),
        helper.make_node("Equal", ["token_ids", "pad"], ["is_pad"]),
        helper.make_node("Not", ["is_pad"], ["is_used"]),
        helper.make_node("Cast", ["is_used"], ["flat_mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["flat_mask", "last"], ["mask"]),
        helper.make_node("Mul", ["rows", "mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "middle"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "middle"], ["used"], keepdims=0),
        helper.make_node("Max", ["used", "one"], ["count"]),
        helper.make_node("Div", ["sum", "count"], ["average"]),
        helper.make_node("MatMul", ["average", "projection"], ["projected"]),
        *_unit_nodes(),
    ]
    values: Values = {
        "table": w.table,
        "projection": w.text,
        "pad": np.array(PAD_ID, np.int32),
        "last": np.array([2], np.int64),
        "middle": np.array([1], np.int64),
        "one": np.array(1, np.float32),
        "least": np.array(1e-12, np.float32),
    }
    ids = helper.make_tensor_value_info("token_ids", TensorProto.INT32, [batch, "length"])
    _save(path, nodes, ids, batch, _inline(values))


def _unit_nodes() -> list[onnx.NodeProto]:
    return [
        helper.make_node("ReduceL2", ["projected"], ["length_found"], axes=[1], keepdims=1),
        helper.make_node("Max", ["length_found", "least"], ["divisor"]),
        helper.make_node("Div", ["projected", "divisor"], ["embedding"]),
    ]


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    source: onnx.ValueInfoProto,
    batch: int | str,
    tensors: list[onnx.TensorProto],
) -> None:
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, DIMENSION])
    graph = helper.make_graph(nodes, path.stem, [source], [out], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _inline(values: Values) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(value, name) for name, value in values.items()]


def _external(values: dict[str, Floats], location: str) -> tuple[list[onnx.TensorProto], bytes]:
    tensors, data = [], b""
    for name, value in values.items():
        tensor = onnx.TensorProto(name=name, data_type=TensorProto.FLOAT, dims=value.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, number in (("location", location), ("offset", len(data)), ("length", value.nbytes)):
            tensor.external_data.add(key=key, value=str(number))
        tensors.append(tensor)
        data += value.astype("<f4").tobytes()
    return tensors, data


def _unit(rows: npt.NDArray[np.float64]) -> Floats:
    unit: Floats = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit
