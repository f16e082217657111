"""Every operator against ONNX Runtime, on shapes that hypothesis chooses."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.litert import module, program
from edgekit.converters.litert.operators import OPERATORS
from edgekit.errors import UnsupportedModelError

EXAMPLES = settings(max_examples=6, deadline=None, derandomize=True)


def graph(nodes, constants, shape, dtype=TensorProto.FLOAT):
    """A model that maps float or int32 ``x`` of a shape to ``y``."""
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    given = helper.make_tensor_value_info("x", dtype, shape)
    taken = helper.make_empty_tensor_value_info("y")
    body = helper.make_graph(nodes, "test", [given], [taken], tensors)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def both(model, x):
    """What ONNX Runtime computes, and what the module does."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    expected = session.run(["y"], {"x": x})[0]
    values = program.fold(model, x.shape)
    tower = module.Tower(values, ())
    with torch.inference_mode():
        return expected, tower(torch.from_numpy(x)).numpy()


def check(op, x, constants=None, first=(), tolerance=2e-5, **attributes):
    """Run one node on ``x``; inputs are `first`, or x followed by the constants."""
    constants = constants or {}
    names = list(first) or ["x", *constants]
    node = helper.make_node(op, names, ["z"], name="n", **attributes)
    # A comparison's result, or an index, becomes a number that both sides can return.
    ending = helper.make_node("Cast", ["z"], ["y"], name="end", to=TensorProto.FLOAT)
    dtype = TensorProto.FLOAT if x.dtype == np.float32 else TensorProto.INT32
    found = both(graph([node, ending], constants, x.shape, dtype), x)
    assert found[0].shape == found[1].shape
    np.testing.assert_allclose(found[1], found[0], atol=tolerance, rtol=1e-4)


def numbers(shape, seed=0, low=-2.0, high=2.0):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


@st.composite
def arrays(draw, least=1, most=4):
    shape = draw(st.lists(st.integers(1, 4), min_size=least, max_size=most))
    return numbers(shape, draw(st.integers(0, 9)))


_WORDS = """
Abs Ceil Cos Elu Erf Exp Floor HardSigmoid HardSwish Identity LeakyRelu Neg Relu Round Sigmoid Sign Sin Softplus Tanh
Log Reciprocal Sqrt
Add Div Max Min Mul Sub Sum Equal Greater GreaterOrEqual Less LessOrEqual
ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSumSquare
"""
UNARY, POSITIVE, BINARY, REDUCTIONS = (line.split() for line in _WORDS.strip().splitlines())
TESTED_BELOW = """
And ArgMax ArgMin AveragePool BatchNormalization Cast Clip Concat Constant ConstantOfShape Conv CumSum Einsum Expand
Flatten Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool InstanceNormalization
LayerNormalization Linear LogSoftmax MatMul MaxPool Mod Not OneHot Or PRelu Pad Pow Range ReduceSum Reshape Shape Size
Slice Softmax Split Squeeze Tile Transpose Trilu Unsqueeze Where Xor
"""


def test_every_operator_of_the_table_is_tested_here():
    assert set(OPERATORS) == {*UNARY, *POSITIVE, *BINARY, *REDUCTIONS, *TESTED_BELOW.split()}


@pytest.mark.parametrize("op", UNARY)
@EXAMPLES
@given(x=arrays())
def test_element_by_element(op, x):
    check(op, x)


@pytest.mark.parametrize("op", POSITIVE)
def test_of_positive_numbers(op):
    check(op, numbers((2, 3), low=0.5))


@pytest.mark.parametrize("op", BINARY)
@EXAMPLES
@given(x=arrays(), turned=st.booleans(), scalar=st.booleans())
def test_of_two_with_broadcasting(op, x, turned, scalar):
    other = np.float32(0.75) if scalar else numbers(x.shape[-1:], 5)
    check(op, x, {"c": other}, first=("c", "x") if turned else ("x", "c"))


@EXAMPLES
@given(divisor=st.sampled_from([-3, 2, 5]))
def test_integers_divide_as_onnx_says(divisor):
    x = np.arange(-6, 7, dtype=np.int32)
    check("Div", x, {"c": np.int32(divisor)})
    check("Mod", x, {"c": np.int32(divisor)})


def test_remainders_powers_slopes_and_types():
    check("Mod", numbers((5,), high=9), {"c": np.float32(2)}, fmod=1)
    check("Pow", numbers((5,), low=0.1), {"c": np.float32(1.5)})
    check("PRelu", numbers((2, 3)), {"c": numbers((3,))})
    check("Cast", numbers((5,), high=9), to=TensorProto.INT32)
    check("Cast", np.arange(4, dtype=np.int32), to=TensorProto.INT64)


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, None), (None, 0.5), (None, None), (0, np.finfo("f").max)])
def test_clip(low, high):
    bounds = {"a": low, "b": high}
    constants = {name: np.float32(value) for name, value in bounds.items() if value is not None}
    check("Clip", numbers((3, 4)), constants, first=("x", *(n if v is not None else "" for n, v in bounds.items())))


@pytest.mark.parametrize("op", ["And", "Or", "Xor"])
def test_logic(op):
    truth = np.array([True, False, True, False])
    nodes = [
        helper.make_node("Greater", ["x", "zero"], ["a"]),
        helper.make_node(op, ["a", "truth"], ["b"]),
        helper.make_node("Not", ["b"], ["c"]),
        helper.make_node("Where", ["c", "x", "zero"], ["y"]),
    ]
    model = graph(nodes, {"zero": np.float32(0), "truth": truth}, (4,))
    expected, found = both(model, np.array([1, 2, -3, -4], np.float32))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("op", REDUCTIONS)
@EXAMPLES
@given(x=arrays(), keep=st.booleans(), data=st.data())
def test_reductions(op, x, keep, data):
    axes = data.draw(st.lists(st.integers(-x.ndim, x.ndim - 1), unique_by=lambda a, n=x.ndim: a % n))
    check(op, x, keepdims=int(keep), **({"axes": axes} if axes else {}))


@EXAMPLES
@given(x=arrays(least=2), keep=st.booleans(), whole=st.booleans())
def test_sums_take_their_axes_as_an_input(x, keep, whole):
    axes = {} if whole else {"axes": np.array([-1], np.int64)}
    check("ReduceSum", x, axes, keepdims=int(keep))
    check("ReduceSum", (10 * x).astype(np.int32), axes, keepdims=int(keep))


def test_a_sum_over_no_axes_may_mean_nothing():
    check("ReduceSum", numbers((2, 3)), {"axes": np.array([], np.int64)}, noop_with_empty_axes=1)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin", "Softmax", "LogSoftmax"])
@EXAMPLES
@given(x=arrays(), data=st.data())
def test_along_one_axis(op, x, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    check(op, x, axis=axis, **({"keepdims": 0} if op.startswith("Arg") else {}))


@EXAMPLES
@given(x=arrays(least=2), affine=st.booleans(), axis=st.sampled_from([-1, 1]))
def test_layer_normalization(x, affine, axis):
    shape = x.shape[axis:] if axis == -1 else x.shape[1:]
    constants = {"w": numbers(shape, 1), **({"b": numbers(shape, 2)} if affine else {})}
    check("LayerNormalization", x, constants, axis=axis, epsilon=1e-3, tolerance=1e-4)


def test_other_normalizations():
    x = numbers((2, 3, 4, 5))
    parameters = {n: numbers((3,), i, 0.5, 2) for i, n in enumerate("sbmv")}
    check("BatchNormalization", x, parameters, epsilon=1e-3)
    check("InstanceNormalization", x, {n: parameters[n] for n in "sb"}, tolerance=1e-4)


@EXAMPLES
@given(
    kernel=st.integers(1, 3), stride=st.integers(1, 2), pads=st.sampled_from([(0, 0, 0, 0), (1,) * 4, (0, 1, 2, 0)]),
    group=st.sampled_from([1, 2, 4]), bias=st.booleans(), dilation=st.integers(1, 2),
)  # fmt: skip
def test_convolutions(kernel, stride, pads, group, bias, dilation):
    x = numbers((2, 4, 9, 7))
    constants = {"w": numbers((8, 4 // group, kernel, kernel), 1), **({"b": numbers((8,), 2)} if bias else {})}
    settings = {"pads": pads, "strides": (stride, stride), "dilations": (dilation, dilation), "group": group}
    check("Conv", x, constants, **settings, tolerance=1e-4)


@EXAMPLES
@given(kernel=st.integers(1, 3), stride=st.integers(1, 2), pad=st.integers(0, 1), counted=st.integers(0, 1))
def test_pooling(kernel, stride, pad, counted):
    assume(2 * pad <= kernel)
    x, window = (
        numbers((1, 2, 7, 6)),
        {"kernel_shape": (kernel, kernel), "strides": (stride, stride), "pads": [pad] * 4},
    )
    check("AveragePool", x, **window, count_include_pad=counted)
    check("MaxPool", x, **window)
    check("GlobalAveragePool", x)
    check("GlobalMaxPool", x)


@EXAMPLES
@given(a=st.integers(1, 4), b=st.integers(1, 4), c=st.integers(1, 4), left=st.booleans(), right=st.booleans())
def test_products(a, b, c, left, right):
    check("MatMul", numbers((2, a, b)), {"w": numbers((b, c), 1)})
    x, weight = numbers((b, a) if left else (a, b)), numbers((c, b) if right else (b, c), 1)
    flags = {"transA": int(left), "transB": int(right), "alpha": 0.5, "beta": 2.0}
    check("Gemm", x, {"w": weight, "b": numbers((c,), 2)}, **flags)
    check("Gemm", x, {"w": weight}, transA=int(left), transB=int(right))
    check("Einsum", numbers((a, b)), {"w": numbers((b, c))}, equation="ab,bc->ca")


@EXAMPLES
@given(x=arrays(least=2), data=st.data())
def test_picking_at_known_places(x, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    size = x.shape[axis]
    places = data.draw(st.lists(st.integers(-size, size - 1), min_size=1, max_size=3))
    check("Gather", x, {"i": np.array(places, np.int64)}, axis=axis)
    check("Gather", x, {"i": np.int64(places[0])}, axis=axis)
    elements = np.random.default_rng(0).integers(0, size, x.shape)
    check("GatherElements", x, {"i": elements}, axis=axis)
    check("GatherND", x, {"i": np.array([[0] * x.ndim, [s - 1 for s in x.shape]], np.int64)})


def test_looking_up_rows_of_a_stored_table():
    check("Gather", np.array([[3, 0], [1, 3]], np.int32), {"table": numbers((4, 5))}, first=("table", "x"))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_picking_where_the_input_says(axis):
    """The largest element's place along the last axis picks from the input itself, as end-of-text pooling does."""
    nodes = [
        helper.make_node("ArgMax", ["x"], ["best"], axis=-1, keepdims=0),
        helper.make_node("Gather", ["x", "best"], ["y"], axis=axis),
    ]
    expected, found = both(graph(nodes, {}, (3, 3, 3)), numbers((3, 3, 3)))
    np.testing.assert_array_equal(found, expected)


def test_picking_elements_and_coordinates_where_the_input_says():
    x = numbers((3, 4))
    best = helper.make_node("ArgMax", ["x"], ["best"], axis=1, keepdims=1)
    for ending in (
        [helper.make_node("GatherElements", ["x", "best"], ["y"], axis=1)],
        [
            helper.make_node("Concat", ["rows", "best"], ["places"], axis=1),
            helper.make_node("GatherND", ["x", "places"], ["y"]),
        ],
    ):
        model = graph([best, *ending], {"rows": np.arange(3, dtype=np.int64)[:, None]}, (3, 4))
        expected, found = both(model, x)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(found.ravel(), x.max(axis=1))


def test_ones_in_a_row_and_running_sums():
    nodes = [
        helper.make_node("Cast", ["x"], ["long"], to=TensorProto.INT64),
        helper.make_node("OneHot", ["long", "depth", "values"], ["y"]),
    ]
    constants = {"depth": np.int64(5), "values": np.array([2, 7], np.float32)}
    expected, found = both(graph(nodes, constants, (2, 2), TensorProto.INT32), np.array([[0, 4], [2, 2]], np.int32))
    np.testing.assert_array_equal(found, expected)
    check("CumSum", numbers((3, 4)), {"axis": np.int64(1)})


@EXAMPLES
@given(x=arrays(least=2), data=st.data())
def test_moving_elements(x, data):
    perm = data.draw(st.permutations(range(x.ndim)))
    check("Transpose", x, perm=perm)
    check("Transpose", x)
    check("Flatten", x, axis=data.draw(st.integers(-x.ndim, x.ndim)))
    check("Reshape", x, {"s": np.array([0, -1], np.int64)})
    check("Unsqueeze", x, {"a": np.array([0, -1], np.int64)})
    check("Squeeze", x[None, ..., None], {"a": np.array([0, -1], np.int64)})
    check("Squeeze", x[None])
    check("Tile", x, {"r": np.array([2] * x.ndim, np.int64)})
    check("Expand", x[:1], {"s": np.array([3, *[1] * (x.ndim - 1)], np.int64)})
    check("Concat", x, {"c": numbers((2, *x.shape[1:]))}, axis=0)
    check("Concat", x, {"c": numbers((2, *x.shape[1:]))}, first=("c", "x"), axis=-x.ndim)


@EXAMPLES
@given(start=st.integers(-6, 6), end=st.integers(-6, 6), step=st.sampled_from([1, 2, -1, -2]))
def test_cutting(start, end, step):
    whole = np.int64(-(2**62)) if step < 0 else np.int64(2**62)
    for last in (end, whole):
        taken = np.arange(5)[slice(start, None if last == whole else end, step)]
        assume(len(taken))
        bounds = {n: np.array([v], np.int64) for n, v in (("s", start), ("e", last), ("a", 1), ("t", step))}
        check("Slice", numbers((2, 5, 3)), bounds)


def test_cutting_every_axis_from_the_first():
    check("Slice", numbers((4, 5)), {"s": np.array([1, 2], np.int64), "e": np.array([3, 9], np.int64)})


@pytest.mark.parametrize("parts", [(), (1, 4)], ids=["equal", "given"])
def test_splitting(parts):
    nodes = [
        helper.make_node("Split", ["x", *(["p"] if parts else [])], ["a", "b"], axis=1),
        helper.make_node("Concat", ["b", "a"], ["y"], axis=1),
    ]
    constants = {"p": np.array(parts, np.int64)} if parts else {}
    expected, found = both(graph(nodes, constants, (2, 5 if parts else 6)), numbers((2, 5 if parts else 6)))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_padding(mode):
    check("Pad", numbers((1, 1, 4, 5)), {"p": np.array([0, 0, 1, 2, 0, 0, 2, 0], np.int64)}, mode=mode)


def test_padding_with_a_value_or_not_at_all():
    x = numbers((4, 5))
    check("Pad", x, {"p": np.array([1, 0, 0, 2], np.int64), "v": np.float32(3)})
    check("Pad", x, {"p": np.zeros(4, np.int64)})


@pytest.mark.parametrize("upper", [0, 1])
def test_triangles(upper):
    check("Trilu", numbers((4, 4)), {"k": np.int64(1)}, upper=upper)
    check("Trilu", numbers((4, 4)), upper=upper)


def test_lengths_and_what_is_made_of_them():
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Size", ["x"], ["n"]),
        helper.make_node("Constant", [], ["zero"], value=numpy_helper.from_array(np.int64(0))),
        helper.make_node("Constant", [], ["two"], value_int=2),
        helper.make_node("Range", ["zero", "n", "two"], ["r"]),
        helper.make_node(
            "ConstantOfShape", ["s"], ["full"], value=numpy_helper.from_array(np.array([2.5], np.float32))
        ),
        helper.make_node("ConstantOfShape", ["s"], ["empty"]),
        helper.make_node("Cast", ["r"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["full", "f"], ["a"]),
        helper.make_node("Add", ["a", "empty"], ["b"]),
        helper.make_node("Mul", ["x", "b"], ["y"]),
    ]
    expected, found = both(graph(nodes, {}, (2, 1)), numbers((2, 1)))
    np.testing.assert_array_equal(found, expected)


def test_gelu_and_linear_layers_that_patterns_make():
    """They are no ONNX operators of this opset: NumPy is the reference."""
    from math import erf

    from edgekit.converters.litert.call import Call

    x = torch.linspace(-4, 4, 41)
    expected = [float(v) * 0.5 * (1 + erf(float(v) / 2**0.5)) for v in x]
    np.testing.assert_allclose(OPERATORS["Gelu"](Call("g", "Gelu", ("x",), ("y",)), x), expected, atol=1e-6)
    weight, bias = torch.ones(2, 41), torch.tensor([1.0, 2.0])
    found = OPERATORS["Linear"](Call("l", "Linear", ("x", "w", "b"), ("y",)), x, weight, bias)
    np.testing.assert_allclose(found, [1.0, 2.0], atol=1e-4)


@pytest.mark.parametrize(
    ("op", "constants", "attributes", "words"),
    [
        ("Conv", {"w": np.ones((1, 1, 3), np.float32)}, {}, "1 dimensions"),
        ("AveragePool", {}, {"kernel_shape": (3,)}, "1 dimensions"),
        ("ArgMax", {}, {"select_last_index": 1}, "select_last_index"),
        ("Pad", {"p": np.zeros(6, np.int64)}, {"mode": "wrap"}, "'wrap'"),
        ("CumSum", {"a": np.int64(0)}, {"reverse": 1}, "reversed"),
        ("Cast", {}, {"to": TensorProto.STRING}, "STRING"),
        ("OneHot", {"d": np.int64(3), "v": np.array([0, 1], np.float32)}, {"axis": 0}, "not the last"),
        ("GatherND", {"i": np.zeros((1, 1), np.int64)}, {"batch_dims": 1}, "batch_dims"),
        ("BatchNormalization", {n: np.ones(2, np.float32) for n in "sbmv"}, {"training_mode": 1}, "training"),
    ],
)
def test_a_setting_without_a_litert_form_is_refused_with_the_node_named(op, constants, attributes, words):
    node = helper.make_node(op, ["x", *constants], ["y"], name="/layer/culprit", **attributes)
    with pytest.raises(UnsupportedModelError, match=rf"/layer/culprit.*\({op}\).*{words}"):
        program.fold(graph([node], constants, (1, 2, 4)), (1, 2, 4))
