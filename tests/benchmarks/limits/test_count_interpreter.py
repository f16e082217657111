"""Counts of TensorFlow Lite files held against the interpreter: on ones, the output sums up to the multiplications."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.limits import count_tflite
from edgekit.runtimes import litert_engine
from litert_models import Graph, schema

SIDE = st.integers(1, 5)
FEW = settings(deadline=None, max_examples=25)


def _ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def _options(kind: str, **values: int) -> Any:
    options = getattr(schema, f"{kind}OptionsT")()
    for name, value in values.items():
        setattr(options, name, value)
    return options


def _strided(kind: str, height: int, width: int, **more: int) -> Any:
    padding = schema.Padding.VALID
    return _options(kind, strideH=height, strideW=width, padding=padding, **more)


def _run(model: bytes, shape: tuple[int, ...]) -> Any:
    interpreter = litert_engine.find().module.Interpreter(model_content=model, num_threads=1)
    given_ = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(given_, shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given_, _ones(*shape))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _checked(op: str, shape: tuple[int, ...], weight: Any, out: tuple[int, ...], options: Any, bias: int = 0) -> None:
    """The count of one operator, with a bias of zeros where it takes one, is what the interpreter did."""
    graph = Graph()
    x, w = graph.tensor("x", shape), graph.constant("w", weight)
    rest = [graph.constant("b", np.zeros(bias, np.float32))] if bias else []
    y = graph.tensor("y", out)
    graph.op(op, [x, w, *rest], [y], options)
    model = graph.model({"x": x}, {"y": y})
    found, made = count_tflite.count(model, shape), _run(model, shape)
    assert made.shape == out
    assert found.flops == 2 * float(made.sum(dtype=np.float64))
    assert found.weights == weight.nbytes + 4 * bias
    assert found.transfer == 4 * np.prod(shape) + made.nbytes
    assert (found.activations, found.uncounted) == (0, {})


@FEW
@given(SIDE, SIDE, SIDE, st.tuples(*[st.integers(1, 3)] * 4), st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_convolutions_of_any_shape(n: int, channels: int, filters: int, sizes: Any, more: Any) -> None:
    kh, kw, sh, sw = sizes
    height, width = kh + more[0], kw + more[1]
    out = (n, (height - kh) // sh + 1, (width - kw) // sw + 1, filters)
    options = _strided("Conv2D", sh, sw, dilationHFactor=1, dilationWFactor=1)
    _checked("CONV_2D", (n, height, width, channels), _ones(filters, kh, kw, channels), out, options, filters)


@FEW
@given(SIDE, SIDE, st.integers(1, 3), st.integers(1, 3), st.integers(0, 4))
def test_convolutions_by_channel(n: int, channels: int, kernel: int, stride: int, more: int) -> None:
    side = kernel + more
    out = (n, (side - kernel) // stride + 1, (side - kernel) // stride + 1, channels)
    options = _strided("DepthwiseConv2D", stride, stride, depthMultiplier=1, dilationHFactor=1, dilationWFactor=1)
    weight = _ones(1, kernel, kernel, channels)
    _checked("DEPTHWISE_CONV_2D", (n, side, side, channels), weight, out, options, channels)


@FEW
@given(st.lists(SIDE, min_size=0, max_size=2), SIDE, SIDE, SIDE, st.booleans(), st.booleans())
def test_products_of_batches_with_turned_sides(
    batch: list[int], m: int, k: int, n: int, left: bool, right: bool
) -> None:
    options = _options("BatchMatMul", adjX=left, adjY=right)
    shape = (*batch, k, m) if left else (*batch, m, k)
    weight = _ones(*batch, n, k) if right else _ones(*batch, k, n)
    _checked("BATCH_MATMUL", shape, weight, (*batch, m, n), options)


@FEW
@given(SIDE, SIDE, SIDE)
def test_dense_layers(m: int, k: int, n: int) -> None:
    _checked("FULLY_CONNECTED", (m, k), _ones(n, k), (m, n), _options("FullyConnected"))


@FEW
@given(SIDE, SIDE, SIDE, st.integers(1, 3), st.integers(1, 3))
def test_transposed_convolutions(side: int, channels: int, filters: int, kernel: int, stride: int) -> None:
    out = (1, (side - 1) * stride + kernel, (side - 1) * stride + kernel, filters)
    graph = Graph()
    x, y = graph.tensor("x", (1, side, side, channels)), graph.tensor("y", out)
    size = graph.constant("size", np.array(out, np.int32))
    weight = graph.constant("w", _ones(filters, kernel, kernel, channels))
    graph.op("TRANSPOSE_CONV", [size, weight, x], [y], _strided("TransposeConv", stride, stride))
    model = graph.model({"x": x}, {"y": y})
    made = _run(model, (1, side, side, channels))
    assert made.shape == out
    assert count_tflite.count(model, (1, side, side, channels)).flops == 2 * float(made.sum())
