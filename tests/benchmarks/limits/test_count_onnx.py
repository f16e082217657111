"""Work counted from ONNX graphs, against counts by hand and published ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from edgekit.benchmarks.limits.count_onnx import count
from weightless import FLOAT, INT8, INT64, UINT8, graph, vision_transformer

MS = "com.microsoft"
SCALE = {"s": np.float32(0.1), "z": np.uint8(3), "w": np.int8(0), "f": np.zeros(5, np.float32)}


def _node(op: str, inputs: list[str], domain: str = "", output: str = "y", **attributes: Any) -> Any:
    return helper.make_node(op, inputs, [output], domain=domain, **attributes)


@pytest.mark.parametrize(
    ("node", "inputs", "weights", "flops", "kind"),
    [
        (_node("MatMul", ["x", "b"]), (FLOAT, (2, 7, 6)), (FLOAT, (6, 5)), 2 * 2 * 7 * 6 * 5, "fp32"),
        (_node("MatMul", ["x", "b"]), (FLOAT, (6,)), (FLOAT, (6, 5)), 2 * 6 * 5, "fp32"),
        (_node("Gemm", ["x", "b"], transA=1, transB=1), (FLOAT, (6, 7)), (FLOAT, (5, 6)), 2 * 7 * 6 * 5, "fp32"),
        # 8 filters of 3x3 over 4 channels, at 16 x 16 places.
        (
            _node("Conv", ["x", "b"], pads=[1, 1, 1, 1]),
            (FLOAT, (1, 4, 16, 16)),
            (FLOAT, (8, 4, 3, 3)),
            2 * 8 * 256 * 4 * 9,
            "fp32",
        ),
        # Depthwise: each channel has its own filter.
        (
            _node("Conv", ["x", "b"], group=4, strides=[2, 2]),
            (FLOAT, (3, 4, 9, 9)),
            (FLOAT, (4, 1, 3, 3)),
            2 * 3 * 4 * 16 * 9,
            "fp32",
        ),
        (
            _node("ConvTranspose", ["x", "b"], strides=[2, 2]),
            (FLOAT, (1, 4, 5, 5)),
            (FLOAT, (4, 6, 2, 2)),
            2 * 4 * 25 * 6 * 4,
            "fp32",
        ),
        (_node("MatMulInteger", ["x", "b"]), (UINT8, (7, 6)), (INT8, (6, 5)), 2 * 7 * 6 * 5, "u8s8"),
        (_node("MatMulInteger", ["x", "b"]), (INT8, (7, 6)), (INT8, (6, 5)), 2 * 7 * 6 * 5, "s8s8"),
        (_node("MatMulInteger", ["x", "b"]), (UINT8, (7, 6)), (UINT8, (6, 5)), 2 * 7 * 6 * 5, "u8u8"),
        (
            _node("ConvInteger", ["x", "b"]),
            (UINT8, (1, 4, 5, 5)),
            (INT8, (6, 4, 1, 1)),
            2 * 6 * 25 * 4,
            "u8s8",
        ),
        (
            _node("QLinearMatMul", ["x", "s", "z", "b", "s", "w", "s", "z"]),
            (UINT8, (7, 6)),
            (INT8, (6, 5)),
            2 * 7 * 6 * 5,
            "u8s8",
        ),
        (
            _node("QLinearConv", ["x", "s", "z", "b", "s", "w", "s", "z"]),
            (UINT8, (1, 4, 5, 5)),
            (INT8, (6, 4, 3, 3)),
            2 * 6 * 9 * 4 * 9,
            "u8s8",
        ),
        (
            _node("DynamicQuantizeMatMul", ["x", "b", "s"], MS),
            (FLOAT, (7, 6)),
            (INT8, (6, 5)),
            2 * 7 * 6 * 5,
            "u8s8",
        ),
        (
            _node("MatMulNBits", ["x", "b", "s"], MS, K=64, N=48, bits=4, block_size=32, accuracy_level=4),
            (FLOAT, (7, 64)),
            (UINT8, (48, 2, 16)),
            2 * 7 * 64 * 48,
            "nbits4",
        ),
        (
            _node("MatMulNBits", ["x", "b", "s"], MS, K=64, N=48, bits=8, block_size=32),
            (FLOAT, (7, 64)),
            (UINT8, (48, 2, 32)),
            2 * 7 * 64 * 48,
            "fp32",
        ),
        # Three projections of 8 to 8, then scores and sums over 9 tokens.
        (
            _node("Attention", ["x", "b"], MS, num_heads=2),
            (FLOAT, (2, 9, 8)),
            (FLOAT, (8, 24)),
            2 * (2 * 9 * 8 * 24) + 2 * (2 * 9 * 9 * 8) + 2 * (2 * 9 * 9 * 8),
            "fp32",
        ),
        (_node("Einsum", ["x", "b"], equation="bij, jk -> bik"), (FLOAT, (2, 7, 6)), (FLOAT, (6, 5)), 840, "fp32"),
    ],
    ids=lambda value: value.op_type if hasattr(value, "op_type") else "",
)
def test_one_operation_by_hand(node: Any, inputs: Any, weights: Any, flops: int, kind: str) -> None:
    found = count(graph([node], {"x": inputs}, ["y"], {"b": weights}, SCALE), {"x": inputs[1]})
    assert [(one.op, one.flops, one.kind, one.name) for one in found.operations] == [(node.op_type, flops, kind, "y")]
    assert found.uncounted == {}
    assert found.kinds == {kind: flops}


def test_attention_of_separate_inputs() -> None:
    node = _node("MultiHeadAttention", ["x", "k", "v"], MS, num_heads=2)
    inputs = {"x": (FLOAT, (1, 3, 8)), "k": (FLOAT, (1, 5, 8)), "v": (FLOAT, (1, 5, 8))}
    found = count(graph([node], inputs, ["y"]), {name: shape for name, (_, shape) in inputs.items()})
    assert found.flops == 2 * (2 * 3 * 5 * 8)


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (_node("LSTM", ["x", "b", "b"], hidden_size=4), (1, 2, 3)),
        (_node("Einsum", ["x", "x", "x"], equation="ij,jk,kl->il"), (4, 4)),
        (_node("Einsum", ["x", "x"], equation="...i,ij->...j"), (4, 4)),
        (_node("MatMul", ["x", "missing"]), (4, 4)),
        (_node("Attention", ["x"], MS), (1, 4, 4)),
        (_node("MultiHeadAttention", ["x", "x"], MS), (1, 4, 4)),
    ],
    ids=lambda value: value.op_type if hasattr(value, "op_type") else "",
)
def test_what_cannot_be_counted_is_told(node: Any, shape: tuple[int, ...]) -> None:
    found = count(graph([node], {"x": (FLOAT, shape)}, ["y"], {"b": (FLOAT, (1, 16, 3))}), {"x": shape})
    assert found.uncounted == {node.op_type: 1}
    assert found.operations == ()


def _quantized_conv(tail: list[Any]) -> Any:
    nodes = [
        _node("QuantizeLinear", ["x", "s", "z"], output="q"),
        _node("DequantizeLinear", ["q", "s", "z"], output="d"),
        _node("DequantizeLinear", ["b", "s", "w"], output="k"),
        _node("Conv", ["d", "k"], output="c"),
        *tail,
    ]
    return graph(nodes, {"x": (FLOAT, (1, 4, 5, 5))}, ["y"], {"b": (INT8, (6, 4, 1, 1))}, SCALE)


def test_a_convolution_is_of_int8_where_engines_fuse_it() -> None:
    """Between a dequantized input and a quantized output, with a clamp at most; else it is computed in float."""
    fused = [_node("Clip", ["c"], output="l"), _node("QuantizeLinear", ["l", "s", "z"])]
    ends = [_node("Relu", ["c"])]
    forks = [_node("QuantizeLinear", ["c", "s", "z"]), _node("Relu", ["c"], output="r")]
    kinds = [count(_quantized_conv(tail), {"x": (1, 4, 5, 5)}).operations[0].kind for tail in (fused, ends, forks)]
    assert kinds == ["u8s8", "fp32", "fp32"]


def test_a_product_of_codes_is_of_int8_and_one_of_decoded_weights_alone_is_not() -> None:
    both = [
        _node("QuantizeLinear", ["x", "s", "z"], output="q"),
        _node("DequantizeLinear", ["q", "s", "z"], output="d"),
        _node("DequantizeLinear", ["b", "s", "w"], output="k"),
        _node("MatMul", ["d", "k"]),
    ]
    alone = [_node("DequantizeLinear", ["b", "s", "w"], output="k"), _node("MatMul", ["x", "k"])]
    given = {"x": (FLOAT, (7, 6))}
    kinds = [
        count(graph(nodes, given, ["y"], {"b": (INT8, (6, 5))}, SCALE), {"x": (7, 6)}).operations[0].kind
        for nodes in (both, alone)
    ]
    assert kinds == ["u8s8", "fp32"]


def test_bytes_by_hand() -> None:
    nodes = [_node("MatMul", ["x", "b"], output="m"), _node("Add", ["m", "f"], output="a"), _node("Mul", ["a", "m"])]
    found = count(graph(nodes, {"x": (FLOAT, (7, 6))}, ["y"], {"b": (FLOAT, (6, 5))}, {"f": SCALE["f"]}), {"x": (7, 6)})
    assert found.weights == 4 * (30 + 5)
    assert found.transfer == 4 * (42 + 35)
    assert found.activations == 4 * 35 * (3 + 2)  # m is written once and read twice, a once
    assert found.least_bytes == found.weights + found.transfer


@pytest.mark.parametrize(
    ("rows", "expected"), [(9, 9 * 12 * 4), (5000, 1000 * 12 * 4)], ids=["looked up", "more rows than there are"]
)
def test_of_a_table_only_the_rows_that_are_looked_up(rows: int, expected: int) -> None:
    node = _node("Gather", ["b", "x"])
    found = count(graph([node], {"x": (INT64, (1, rows))}, ["y"], {"b": (FLOAT, (1000, 12))}), {"x": (1, rows)})
    assert found.weights == expected


def test_a_table_that_is_read_across_its_rows_is_read_whole() -> None:
    nodes = [_node("Gather", ["b", "x"], axis=1), _node("Gather", ["b", "x"], output="z")]
    found = count(graph(nodes, {"x": (INT64, (2,))}, ["y", "z"], {"b": (FLOAT, (1000, 12))}), {"x": (2,)})
    assert found.weights == 4 * 12_000


def test_vit_b_32_has_the_published_count() -> None:
    """4.41 GMACs, as open_clip's table of its models' profiles says for ViT-B-32's image tower."""
    found = count(vision_transformer(768, 12, 32, 224, 512), {"planes": (1, 3, 224, 224)})
    assert found.flops / 2e9 == pytest.approx(4.41, rel=0.01)
    assert found.weights / 4e6 == pytest.approx(87.8, rel=0.01)  # million parameters
    assert found.uncounted == {}
    by_hand = 2 * (49 * 768 * 3072 + 12 * (50 * 768 * 768 * 12 + 2 * 50 * 50 * 768) + 768 * 512)
    assert found.flops == by_hand


def test_a_batch_multiplies_the_work_but_not_the_weights() -> None:
    def build(batch: int) -> Any:
        nodes = [_node("Conv", ["x", "b"])]
        return count(
            graph(nodes, {"x": (FLOAT, ("N", 4, 5, 5))}, ["y"], {"b": (FLOAT, (6, 4, 1, 1))}), {"x": (batch, 4, 5, 5)}
        )

    one, many = build(1), build(8)
    assert many.flops == 8 * one.flops
    assert many.weights == one.weights
    assert many.transfer == 8 * one.transfer
