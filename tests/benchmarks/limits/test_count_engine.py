"""Counts held against ONNX Runtime itself.

Where everything is 1, each multiplication adds 1 to some number of the output: the sum of the output is the number of
multiplications, whatever the shapes, strides, groups and turned sides are. Shapes and bytes are those of the arrays
that the engine makes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper

from edgekit.benchmarks.limits.count_onnx import count
from edgekit.benchmarks.limits.shapes import tensors
from weightless import FLOAT, INT8, INT64, UINT8, graph

MS = "com.microsoft"
SIDE = st.integers(1, 5)


def _run(model: onnx.ModelProto, given_: dict[str, Any]) -> list[Any]:
    """Return the outputs, whatever types the engine makes them of."""
    untyped = onnx.ModelProto()
    untyped.CopyFrom(model)
    untyped.ir_version = 8
    del untyped.graph.output[:]
    untyped.graph.output.extend(onnx.ValueInfoProto(name=output.name) for output in model.graph.output)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(untyped.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, given_))


def _checked(node: Any, x: Any, b: Any, kind: int = FLOAT) -> None:
    """The counted operations, the shape and the bytes of one node on ones are what the engine did."""
    model = graph([node], {"x": (kind, x.shape)}, ["y"], values={"b": b})
    (y,) = _run(model, {"x": x})
    work = count(model, {"x": x.shape})
    assert work.flops == 2 * float(y.sum(dtype=np.float64))
    assert tensors(model, {"x": x.shape})["y"].shape == y.shape
    assert (work.weights, work.transfer) == (b.nbytes, x.nbytes + y.nbytes)
    assert (work.activations, work.uncounted) == (0, {})


def _ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


@settings(deadline=None, max_examples=25)
@given(st.data(), st.integers(1, 3))
def test_convolutions_of_any_shape(data: Any, dimensions: int) -> None:
    batch, groups, each, filters = (data.draw(SIDE) for _ in range(4))
    kernel = [data.draw(st.integers(1, 3)) for _ in range(dimensions)]
    dilations = [data.draw(st.integers(1, 2)) for _ in range(dimensions)]
    sides = [(k - 1) * d + 1 + data.draw(st.integers(0, 4)) for k, d in zip(kernel, dilations, strict=True)]
    strides = [data.draw(st.integers(1, 3)) for _ in range(dimensions)]
    node = helper.make_node("Conv", ["x", "b"], ["y"], group=groups, strides=strides, dilations=dilations)
    _checked(node, _ones(batch, groups * each, *sides), _ones(groups * filters, each, *kernel))


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_transposed_convolutions_of_any_shape(data: Any) -> None:
    batch, groups, each, filters, height, width = (data.draw(SIDE) for _ in range(6))
    kernel = [data.draw(st.integers(1, 3)) for _ in range(2)]
    strides = [data.draw(st.integers(1, 3)) for _ in range(2)]
    node = helper.make_node("ConvTranspose", ["x", "b"], ["y"], group=groups, strides=strides)
    _checked(node, _ones(batch, groups * each, height, width), _ones(groups * each, filters, *kernel))


@settings(deadline=None, max_examples=25)
@given(st.lists(SIDE, max_size=2), st.lists(SIDE, max_size=2), SIDE, SIDE, SIDE, st.booleans())
def test_products_of_any_rank(left: list[int], right: list[int], m: int, k: int, n: int, one: bool) -> None:
    """Broadcast as NumPy does, a side of 1 beside any other."""
    shorter = min(len(left), len(right))
    for i in range(1, shorter + 1):
        right[-i] = 1 if one else left[-i]
    node = helper.make_node("MatMul", ["x", "b"], ["y"])
    _checked(node, _ones(*left, m, k), _ones(*right, k, n))


@settings(deadline=None, max_examples=30)
@given(SIDE, SIDE, SIDE, st.booleans(), st.booleans(), st.sampled_from(["Gemm", "FusedMatMul"]))
def test_products_with_turned_sides(m: int, k: int, n: int, turn_a: bool, turn_b: bool, op: str) -> None:
    domain = MS if op == "FusedMatMul" else ""
    node = helper.make_node(op, ["x", "b"], ["y"], domain=domain, transA=int(turn_a), transB=int(turn_b))
    _checked(node, _ones(*((k, m) if turn_a else (m, k))), _ones(*((n, k) if turn_b else (k, n))))


@settings(deadline=None, max_examples=30)
@given(SIDE, SIDE, SIDE, st.sampled_from([(np.uint8, UINT8), (np.int8, INT8)]))
def test_products_of_codes(m: int, k: int, n: int, left: Any) -> None:
    dtype, kind = left
    model = graph(
        [helper.make_node("MatMulInteger", ["x", "b"], ["y"])],
        {"x": (kind, (m, k))},
        ["y"],
        values={"b": np.ones((k, n), np.int8)},
    )
    work = count(model, {"x": (m, k)})
    if dtype is np.uint8:  # the engine has no kernel for both sides signed
        (y,) = _run(model, {"x": np.ones((m, k), dtype)})
        assert work.flops == 2 * int(y.sum())
        assert work.transfer == m * k + y.nbytes
    assert work.weights == k * n


EQUATIONS = [
    *("ij,jk->ik", "bij,jk->bik", "bij,bjk->bik", "bhid,bhjd->bhij"),
    *("ij,ij->", "ij,kj->ki", "i,j->ij", "abc,cd->dab"),
]


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(EQUATIONS), st.lists(SIDE, min_size=8, max_size=8))
def test_sums_of_products_in_einsteins_notation(equation: str, sides: list[int]) -> None:
    letters = sorted(set(equation) - set(",->"))
    sizes = dict(zip(letters, sides, strict=False))
    left, right = equation.partition("->")[0].split(",")
    shapes = [tuple(sizes[letter] for letter in term) for term in (left, right)]
    _checked(helper.make_node("Einsum", ["x", "b"], ["y"], equation=equation), _ones(*shapes[0]), _ones(*shapes[1]))


CODES = {"s": np.float32(0.5), "z": np.uint8(1)}
OTHERS = {"t": np.float32(0.5), "u": np.uint8(1), "v": np.float32(0.5), "w": np.uint8(1)}
WIDE, HEADS = np.ones((64, 48), np.int8), {"num_heads": 2}
# Each of ONNX Runtime's own operators whose shape is known, its input `x`, and what it needs beside that.
OWN: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [
    ("Gelu", _ones(2, 3), {}, {}),
    ("QuickGelu", _ones(2, 3), {}, {}),
    ("FastGelu", _ones(2, 3, 8), {"bias": _ones(8)}, {}),
    ("BiasGelu", _ones(2, 3, 8), {"bias": _ones(8)}, {}),
    ("SkipLayerNormalization", _ones(2, 3, 8), {"skip": _ones(2, 3, 8), "gamma": _ones(8), "beta": _ones(8)}, {}),
    ("QLinearSigmoid", np.ones((2, 3), np.uint8), {**CODES, "t": np.float32(0.5), "u": np.uint8(1)}, {}),
    ("QLinearAdd", np.ones((4, 1, 3), np.uint8), {**CODES, "b": np.ones((2, 3), np.uint8), **OTHERS}, {}),
    ("QLinearMul", np.ones((1, 3), np.uint8), {**CODES, "b": np.ones((5, 4, 3), np.uint8), **OTHERS}, {}),
    ("DynamicQuantizeMatMul", _ones(2, 7, 64), {"b": WIDE, "s": np.float32(0.1)}, {}),
    ("MatMulIntegerToFloat", np.ones((7, 64), np.uint8), {"b": WIDE, "s": np.float32(1), "t": np.float32(1)}, {}),
    ("Attention", _ones(2, 9, 8), {"b": _ones(8, 24), "c": _ones(24)}, HEADS),
    ("MultiHeadAttention", _ones(2, 9, 8), {"key": _ones(2, 5, 8), "value": _ones(2, 5, 8)}, HEADS),
    (
        "MatMulNBits",
        _ones(3, 64),
        {"b": np.ones((48, 2, 16), np.uint8), "s": _ones(96)},
        {"K": 64, "N": 48, "bits": 4, "block_size": 32},
    ),
    (
        "GatherBlockQuantized",
        np.ones((2, 5), np.int64),
        {"b": np.ones((11, 16), np.uint8), "s": _ones(11, 1)},
        {"block_size": 32, "quantize_axis": 1, "bits": 4},
    ),
]


@pytest.mark.parametrize(("op", "x", "beside", "attributes"), OWN, ids=[one[0] for one in OWN])
def test_shapes_of_its_own_operators_are_those_it_makes(
    op: str, x: Any, beside: dict[str, Any], attributes: dict[str, Any]
) -> None:
    names = ["b", "x", "s"] if op == "GatherBlockQuantized" else ["x", *beside]
    node = helper.make_node(op, names, ["y"], domain=MS, **attributes)
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    model = graph([node], {"x": (kind, x.shape)}, ["y"], values=beside)
    (y,) = _run(model, {"x": x})
    found = tensors(model, {"x": x.shape})["y"]
    assert (found.shape, found.kind) == (y.shape, helper.np_dtype_to_tensor_dtype(y.dtype))


@settings(deadline=None, max_examples=25)
@given(SIDE, st.integers(2, 6), st.integers(1, 4), st.integers(2, 12), st.integers(1, 8))
def test_bytes_are_those_of_the_arrays(n: int, size: int, filters: int, rows: int, looked: int) -> None:
    """A small net with a table, a convolution, a branch and a product; the arrays are those that the engine makes."""
    assume(looked <= rows)
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Add", ["r", "c"], ["a"]),
        helper.make_node("Flatten", ["a"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
        helper.make_node("Gather", ["t", "i"], ["g"]),
    ]
    values = {
        "k": _ones(filters, 2, 2, 2),
        "w": _ones(filters * (size - 1) ** 2, 3),
        "t": _ones(rows, 7),
    }
    inputs = {"x": (FLOAT, (n, 2, size, size)), "i": (INT64, (looked,))}
    given_ = {"x": _ones(n, 2, size, size), "i": np.zeros(looked, np.int64)}
    outputs = ["y", "g"]
    inner = ["c", "r", "a", "f"]
    made = dict(zip(inner + outputs, _run(graph(nodes, inputs, inner + outputs, values=values), given_), strict=True))
    work = count(graph(nodes, inputs, outputs, values=values), {name: shape for name, (_, shape) in inputs.items()})
    # `c` is read twice, the others once; each is written once.
    assert work.activations == sum(made[name].nbytes * (3 if name == "c" else 2) for name in inner)
    assert work.transfer == sum(array.nbytes for array in (*given_.values(), *(made[name] for name in outputs)))
    assert work.weights == values["k"].nbytes + values["w"].nbytes + looked * 7 * 4
    assert work.least_bytes == work.weights + work.transfer
    # Every number that the product reads is the same one.
    assert work.flops == 2 * float(made["c"].sum() + made["y"].sum() / made["f"].max())
