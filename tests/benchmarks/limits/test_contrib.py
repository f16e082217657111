"""Shapes of ONNX Runtime's own operators, against the engine where it runs them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from edgekit.benchmarks.limits.contrib import attribute, second
from edgekit.benchmarks.limits.shapes import tensors
from weightless import FLOAT, INT8, INT64, UINT8, graph

MS = "com.microsoft"
SCALE = {"s": np.float32(0.1), "z": np.uint8(3), "w": np.int8(0)}


def _node(op: str, inputs: list[str], **attributes: Any) -> Any:
    return helper.make_node(op, inputs, ["y"], domain=MS, **attributes)


@pytest.mark.parametrize(
    ("node", "inputs", "shapes", "wanted"),
    [
        (_node("Gelu", ["x"]), {"x": (FLOAT, (2, 3))}, {}, (2, 3)),
        (_node("FusedMatMul", ["x", "b"], transA=1), {"x": (FLOAT, (2, 4, 3))}, {"b": (FLOAT, (4, 5))}, (2, 3, 5)),
        (_node("FusedMatMul", ["x", "b"], transB=1), {"x": (FLOAT, (7, 4))}, {"b": (FLOAT, (5, 4))}, (7, 5)),
        (
            _node("MatMulNBits", ["x", "b", "q"], K=64, N=48, bits=4, block_size=32),
            {"x": (FLOAT, (2, 7, 64))},
            {"b": (UINT8, (48, 2, 16)), "q": (FLOAT, (96,))},
            (2, 7, 48),
        ),
        (
            _node("DynamicQuantizeMatMul", ["x", "b", "s"]),
            {"x": (FLOAT, (2, 7, 6))},
            {"b": (INT8, (6, 5))},
            (2, 7, 5),
        ),
        (
            _node("MatMulIntegerToFloat", ["x", "b", "s", "s"]),
            {"x": (UINT8, (7, 6))},
            {"b": (INT8, (6, 5))},
            (7, 5),
        ),
        (
            _node("GatherBlockQuantized", ["b", "x", "q"], block_size=32, quantize_axis=1, bits=4),
            {"x": (INT64, (2, 9))},
            {"b": (UINT8, (11, 16)), "q": (FLOAT, (11, 1))},
            (2, 9, 32),
        ),
        (
            _node("Attention", ["x", "b", "c"], num_heads=2),
            {"x": (FLOAT, (2, 9, 8))},
            {"b": (FLOAT, (8, 24)), "c": (FLOAT, (24,))},
            (2, 9, 8),
        ),
        (
            _node("QLinearAdd", ["x", "s", "z", "b", "s", "z", "s", "z"]),
            {"x": (UINT8, (2, 1, 4))},
            {"b": (UINT8, (3, 4))},
            (2, 3, 4),
        ),
    ],
    ids=lambda value: value.op_type if hasattr(value, "op_type") else "",
)
def test_the_shape_is_known(node: Any, inputs: Any, shapes: Any, wanted: tuple[int, ...]) -> None:
    model = graph([node], inputs, ["y"], shapes, SCALE)
    found = tensors(model, {name: shape for name, (_, shape) in inputs.items()})["y"]
    assert found.shape == wanted
    floats = node.op_type not in ("QLinearAdd",)
    assert found.kind == (FLOAT if floats else UINT8)


@pytest.mark.parametrize(
    "node",
    [
        _node("FusedMatMul", ["x", "missing"]),
        _node("Attention", ["x", "missing"]),
        _node("QLinearAdd", ["x", "s", "z", "missing", "s", "z", "s", "z"]),
        _node("GatherBlockQuantized", ["x", "missing", "s"]),
        _node("GatherBlockQuantized", ["x", "x", "s"], gather_axis=1),
        _node("FusedMatMul", ["x"]),
        _node("Gelu", ["missing"]),
        _node("Nothing", []),
    ],
    ids=lambda node: f"{node.op_type} {list(node.input)}",
)
def test_what_is_missing_leaves_it_unknown(node: Any) -> None:
    found = tensors(graph([node], {"x": (FLOAT, (2, 3))}, ["y"], values=SCALE), {"x": (2, 3)})
    assert found["y"].shape is None


def test_a_vector_has_no_product_here() -> None:
    found = tensors(graph([_node("FusedMatMul", ["x", "x"])], {"x": (FLOAT, (3,))}, ["y"]), {"x": (3,)})
    assert found["y"].shape is None


def test_attributes_and_positions() -> None:
    node = _node("MatMulNBits", ["x"], K=64)
    assert (attribute(node, "K", 0), attribute(node, "N", 7)) == (64, 7)
    assert [second(_node(op, [])) for op in ("QGemm", "QLinearConv", "MatMulInteger")] == [3, 3, 1]
