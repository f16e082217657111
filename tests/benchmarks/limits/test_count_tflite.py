"""Work counted from TensorFlow Lite files made by hand, as the interpreter lays them out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import litert_models
from edgekit.benchmarks.limits import count_tflite
from litert_models import Graph, schema


def _lite(op: str, shapes: list[tuple[int, ...]], out: tuple[int, ...], dtypes: list[str], options: object) -> bytes:
    graph = Graph()
    x = graph.tensor("x", shapes[0], dtypes[0], 0.1 if dtypes[0] != "float32" else 0.0)
    rest = [
        graph.constant(f"w{i}", np.ones(shape, dtype), [0.1] if dtype != "float32" else ())
        for i, (shape, dtype) in enumerate(zip(shapes[1:], dtypes[1:], strict=True))
    ]
    y = graph.tensor("y", out, dtypes[0], 0.1 if dtypes[0] != "float32" else 0.0)
    graph.op(op, [x, *rest], [y], options)
    return graph.model({"x": x}, {"y": y})


def _conv(stride: int = 1) -> object:
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = stride
    options.dilationHFactor = options.dilationWFactor = 1
    options.padding = schema.Padding.VALID
    return options


def _depthwise() -> object:
    options = schema.DepthwiseConv2DOptionsT()
    options.strideH = options.strideW = options.depthMultiplier = 1
    options.dilationHFactor = options.dilationWFactor = 1
    options.padding = schema.Padding.VALID
    return options


@pytest.mark.parametrize(
    ("model", "shape", "flops", "kind"),
    [
        (
            lambda: _lite("CONV_2D", [(1, 9, 9, 4), (8, 3, 3, 4), (8,)], (1, 7, 7, 8), ["float32"] * 3, _conv()),
            (1, 9, 9, 4),
            2 * 49 * 8 * 36,
            "fp32",
        ),
        (
            lambda: _lite(
                "DEPTHWISE_CONV_2D", [(1, 9, 9, 4), (1, 3, 3, 4)], (1, 7, 7, 4), ["float32"] * 2, _depthwise()
            ),
            (1, 9, 9, 4),
            2 * 49 * 4 * 9,
            "fp32",
        ),
        (
            lambda: _lite(
                "FULLY_CONNECTED", [(7, 6), (5, 6)], (7, 5), ["int8", "int8"], schema.FullyConnectedOptionsT()
            ),
            (7, 6),
            2 * 7 * 6 * 5,
            "s8s8",
        ),
        (
            lambda: _lite(
                "BATCH_MATMUL", [(2, 7, 6), (2, 6, 5)], (2, 7, 5), ["float32"] * 2, schema.BatchMatMulOptionsT()
            ),
            (2, 7, 6),
            2 * 2 * 7 * 6 * 5,
            "fp32",
        ),
    ],
    ids=["conv", "depthwise", "dense", "batch"],
)
def test_one_operation_of_a_tflite_file(model: object, shape: tuple[int, ...], flops: int, kind: str) -> None:
    found = count_tflite.count(model(), shape)  # type: ignore[operator]
    assert [(one.flops, one.kind, one.name) for one in found.operations] == [(flops, kind, "y")]
    assert found.weights > 0
    assert found.activations == 0


def test_what_a_tflite_file_adds_is_no_product() -> None:
    found = count_tflite.count(litert_models.adds(2), (2, 3))
    assert (found.operations, found.flops) == ((), 0)


def test_a_transposed_convolution_is_counted_from_its_input() -> None:
    options = schema.TransposeConvOptionsT()
    options.strideH = options.strideW = 2
    options.padding = schema.Padding.VALID
    graph = Graph()
    x, y = graph.tensor("x", (1, 4, 4, 3)), graph.tensor("y", (1, 8, 8, 5))
    size = graph.constant("size", np.array([1, 8, 8, 5], np.int32))
    kernel = graph.constant("kernel", np.ones((5, 2, 2, 3), np.float32))
    graph.op("TRANSPOSE_CONV", [size, kernel, x], [y], options)
    found = count_tflite.count(graph.model({"x": x}, {"y": y}), (1, 4, 4, 3))
    assert found.flops == 2 * (4 * 4 * 3) * 5 * 2 * 2
    assert found.weights == 4 * (5 * 2 * 2 * 3) + 4 * 4


def _dense(left: str, right: str) -> bytes:
    graph = Graph()
    x = graph.tensor("x", (7, 6), left, 0.0 if left == "float32" else 0.1)
    w = graph.constant("w", np.ones((5, 6), right), [0.1] if right != "float32" else ())
    y = graph.tensor("y", (7, 5), left, 0.0 if left == "float32" else 0.1)
    graph.op("FULLY_CONNECTED", [x, w], [y], schema.FullyConnectedOptionsT())
    return graph.model({"x": x}, {"y": y})


@pytest.mark.parametrize(
    ("left", "right", "kind", "stored"),
    [("float32", "float32", "fp32", 120), ("int8", "int8", "s8s8", 30), ("float32", "int8", "s8s8", 30)],
    ids=["float", "int8", "float rounded to int8"],
)
def test_kinds_and_stored_bytes(left: str, right: str, kind: str, stored: int) -> None:
    found = count_tflite.count(_dense(left, right), (7, 6))
    assert (found.kinds, found.weights) == ({kind: 2 * 7 * 6 * 5}, stored)
    assert found.transfer == (42 + 35) * (4 if left == "float32" else 1)


def _lookup(rows: int) -> bytes:
    options = schema.GatherOptionsT()
    options.axis = 0
    graph = Graph()
    ids, y = graph.tensor("ids", (rows,), "int32"), graph.tensor("y", (rows, 12))
    table = graph.constant("table", np.ones((100, 12), np.float32))
    graph.op("GATHER", [table, ids], [y], options)
    return graph.model({"ids": ids}, {"y": y})


@pytest.mark.parametrize(("rows", "expected"), [(9, 9 * 12 * 4), (500, 100 * 12 * 4)], ids=["few", "all and more"])
def test_of_a_table_only_the_rows_that_are_looked_up(rows: int, expected: int) -> None:
    found = count_tflite.count(_lookup(rows), (rows,))
    assert found.weights == expected
    assert found.operations == ()


def test_a_weight_that_two_nodes_read_counts_once() -> None:
    graph = Graph()
    x, middle, y = (graph.tensor(name, (7, 6)) for name in ("x", "middle", "y"))
    w = graph.constant("w", np.ones((6, 6), np.float32))
    graph.op("FULLY_CONNECTED", [x, w], [middle], schema.FullyConnectedOptionsT())
    graph.op("FULLY_CONNECTED", [middle, w], [y], schema.FullyConnectedOptionsT())
    found = count_tflite.count(graph.model({"x": x}, {"y": y}), (7, 6))
    assert [one.name for one in found.operations] == ["middle", "y"]
    assert found.weights == 4 * 36
    assert found.activations == 4 * 42 * 2  # written once, read once


@pytest.mark.parametrize("sides", [(False, False), (True, False), (False, True), (True, True)])
def test_a_product_of_activations_whichever_side_is_turned(sides: tuple[bool, bool]) -> None:
    options = schema.BatchMatMulOptionsT()
    options.adjX, options.adjY = sides
    graph = Graph()
    x = graph.tensor("x", (2, 6, 7) if sides[0] else (2, 7, 6))
    w = graph.constant("w", np.ones((2, 5, 6) if sides[1] else (2, 6, 5), np.float32))
    y = graph.tensor("y", (2, 7, 5))
    graph.op("BATCH_MATMUL", [x, w], [y], options)
    shape = (2, 6, 7) if sides[0] else (2, 7, 6)
    assert count_tflite.count(graph.model({"x": x}, {"y": y}), shape).flops == 2 * 2 * 7 * 6 * 5


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9))
def test_a_free_batch_multiplies_the_work(batch: int) -> None:
    graph = Graph()
    x, y = graph.tensor("x", (None, 6)), graph.tensor("y", (None, 5))
    w = graph.constant("w", np.ones((5, 6), np.float32))
    graph.op("FULLY_CONNECTED", [x, w], [y], schema.FullyConnectedOptionsT())
    found = count_tflite.count(graph.model({"x": x}, {"y": y}), (batch, 6))
    assert found.flops == batch * 2 * 6 * 5
    assert found.weights == 4 * 30
    assert found.transfer == 4 * batch * 11


def test_what_is_not_known_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_tflite, "_OTHERS", {"ADD"})
    assert count_tflite.count(litert_models.adds(2), (2, 3)).uncounted == {"ADD": 2}
