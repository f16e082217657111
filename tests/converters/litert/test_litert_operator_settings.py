"""Operators at settings and shapes that exporters seldom write, against ONNX Runtime; and what is refused."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.litert import module, program
from edgekit.errors import UnsupportedModelError

EXAMPLES = settings(max_examples=8, deadline=None, derandomize=True)
LARGEST = float(np.finfo(np.float32).max)


def graph(nodes, constants, x):
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    kind = TensorProto.FLOAT if x.dtype == np.float32 else TensorProto.INT32
    taken = helper.make_empty_tensor_value_info("y")
    body = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, x.shape)], [taken], tensors)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def ours(model, x):
    with torch.inference_mode():
        return module.Tower(program.fold(model, x.shape), ())(torch.from_numpy(x)).numpy()


def theirs(model, x):
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0]


def one(op, x, constants, order, **attributes):
    """A model of one node; its result is cast, as both sides return floats."""
    node = helper.make_node(op, order.split(" ") if order else ["x", *constants], ["z"], name="/odd", **attributes)
    ending = helper.make_node("Cast", ["z"], ["y"], name="end", to=TensorProto.FLOAT)
    return graph([node, ending], constants, x)


def check(op, x, constants=None, order="", **attributes):
    model = one(op, x, constants or {}, order, **attributes)
    expected, found = theirs(model, x), ours(model, x)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=3e-5, rtol=1e-4)
    return found


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def whole(*values):
    return np.array(values, np.int64)


@pytest.mark.parametrize("axis", range(-3, 4))
def test_flatten_counts_axes_from_either_end(axis):
    found = check("Flatten", numbers(2, 3, 4), axis=axis)
    assert found.shape[0] == int(np.prod((2, 3, 4)[:axis]))


@pytest.mark.parametrize("low", [None, -0.25, -LARGEST], ids=["none", "low", "least"])
@pytest.mark.parametrize("high", [None, 0.5, LARGEST], ids=["none", "high", "largest"])
def test_clip_with_either_bound_at_the_end_of_the_type(low, high):
    bounds = {name: np.float32(value) for name, value in (("a", low), ("b", high)) if value is not None}
    order = f"x {'a' if low is not None else ''} {'b' if high is not None else ''}"
    check("Clip", numbers(3, 5), bounds, order)


def test_integers_are_clipped_as_integers():
    assert check("Clip", np.arange(-4, 4, dtype=np.int32), {"a": np.int32(-1), "b": np.int32(2)}).max() == 2


def test_a_power_has_the_type_of_its_base():
    """Two to the half is one, where the base is an integer."""
    found = check("Pow", np.arange(1, 7, dtype=np.int32), {"e": np.float32(0.5)})
    assert found.tolist() == [1, 1, 1, 2, 2, 2]
    check("Pow", numbers(4) ** 2, {"e": np.int32(2)})
    check("Pow", np.arange(4, dtype=np.int32), {"e": np.int32(3)})


@pytest.mark.parametrize("divisor", [-2, 3])
def test_remainders_take_the_sign_that_was_asked_for(divisor):
    check("Mod", 5 * numbers(8), {"d": np.float32(divisor)}, fmod=1)
    check("Mod", np.arange(-5, 6, dtype=np.int32), {"d": np.int32(divisor)}, fmod=1)
    check("Mod", np.arange(-5, 6, dtype=np.int32), {"d": np.int32(divisor)})


def test_halves_are_rounded_to_even():
    found = check("Round", np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], np.float32))
    assert found.tolist() == [-2, -2, 0, 0, 2, 2]


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("LeakyRelu", {"alpha": 0.3}),
        ("Elu", {"alpha": 0.3}),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.1}),
        ("Softplus", {}),
        ("HardSwish", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_activations_far_from_zero_and_with_their_numbers(op, attributes):
    check(op, np.linspace(-30, 30, 61, dtype=np.float32), **attributes)


@pytest.mark.parametrize("kind", ["BOOL", "UINT8", "INT8", "INT32", "INT64"])
def test_casts_of_floats_cut_what_follows_the_point(kind):
    check("Cast", np.abs(3 * numbers(9)), to=getattr(TensorProto, kind))


def test_half_and_double_are_computed_in_single():
    """float16 only stores weights in our graphs; a cast to it is no rounding."""
    x = numbers(6)
    for kind in (TensorProto.FLOAT16, TensorProto.DOUBLE):
        np.testing.assert_array_equal(ours(one("Cast", x, {}, "", to=kind), x), x)


@pytest.mark.parametrize("op", ["Max", "Min", "Sum"])
def test_any_number_of_terms(op):
    check(op, numbers(3, 1), {"a": numbers(4, seed=1), "b": numbers(3, 4, seed=2)})
    check(op, numbers(3, 1))


@pytest.mark.parametrize("order", ["c x b", "c b x"])
def test_where_takes_from_either_side(order):
    check("Where", numbers(2, 3), {"c": np.array([True, False, True]), "b": np.float32(7)}, order)


@EXAMPLES
@given(data=st.data(), constant=st.booleans())
def test_places_counted_from_the_end(data, constant):
    """Known places may be negative, in a stored tensor and in one that depends on the input."""
    x = numbers(3, 4, 2)
    axis = data.draw(st.integers(-3, 2))
    size = x.shape[axis]
    shape = [data.draw(st.integers(1, n)) if i != axis % 3 else 3 for i, n in enumerate(x.shape)]
    places = np.array(data.draw(st.lists(st.integers(-size, size - 1), min_size=3, max_size=3)))
    indices = np.broadcast_to(places.reshape([3 if i == axis % 3 else 1 for i in range(3)]), shape)
    nodes = [
        helper.make_node("GatherElements", ["t" if constant else "x", "i"], ["e"], name="n", axis=axis),
        helper.make_node("ReduceSum", ["x"], ["s"], name="s", keepdims=0),
        helper.make_node("Add", ["e", "s"], ["y"], name="a"),
    ]
    model = graph(nodes, {"i": np.ascontiguousarray(indices, np.int64), "t": x}, x)
    np.testing.assert_allclose(ours(model, x), theirs(model, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "indices", [[[2], [-1]], [[[2, -1], [0, 0]]], [[-3, -4, -2]], [[1, -2, 1], [0, 3, 0]]], ids=["1", "2", "3", "all"]
)
def test_coordinates_of_any_depth(indices):
    check("GatherND", numbers(3, 4, 2), {"i": np.array(indices, np.int64)})


def test_ids_look_up_tables_of_any_rank_and_type():
    ids = np.array([[0, 1], [3, 3]], np.int32)
    check("Gather", ids, {"t": numbers(4, 2, 3)}, "t x")
    check("Gather", ids, {"t": numbers(2, 4)}, "t x", axis=1)
    check("Gather", ids, {"t": np.arange(10, 14, dtype=np.int64)}, "t x")
    check("Gather", numbers(3, 4), {"i": np.array([[0, 2], [1, -1]])}, axis=-1)


@EXAMPLES
@given(kernel=st.sampled_from([(2, 2), (3, 2), (3, 3)]), stride=st.integers(1, 3), ceil=st.integers(0, 1))
def test_windows_that_do_not_divide_the_picture(kernel, stride, ceil):
    window = {"kernel_shape": kernel, "strides": (stride, stride), "pads": [1, 1, 1, 1], "ceil_mode": ceil}
    x = numbers(1, 2, 7, 6)
    check("MaxPool", x, **window)
    check("AveragePool", x, **window)
    check("AveragePool", x, **window, count_include_pad=1)


def test_valid_is_the_one_automatic_padding_that_is_none():
    check("AveragePool", numbers(1, 2, 7, 6), kernel_shape=(3, 2), auto_pad="VALID")
    check("MaxPool", numbers(1, 2, 7, 6), kernel_shape=(3, 2))
    check("Conv", numbers(1, 2, 5, 5), {"w": numbers(3, 2, 2, 2)}, auto_pad="VALID")


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 4, 5)], ids=["rows", "line", "picture"])
def test_channels_are_normalized_at_every_rank(shape):
    parameters = {name: np.abs(numbers(3, seed=i)) + 0.5 for i, name in enumerate("sbmv")}
    check("BatchNormalization", numbers(*shape), parameters)
    if len(shape) > 2:
        check("InstanceNormalization", numbers(*shape), {name: parameters[name] for name in "sb"})
        check("GlobalAveragePool", numbers(*shape))
        check("GlobalMaxPool", numbers(*shape))


@pytest.mark.parametrize("axis", [-3, -2, 0, 1, 2])
def test_axes_that_are_not_the_last(axis):
    x = numbers(2, 3, 4)
    check("Softmax", x, axis=axis)
    check("ArgMax", x, axis=axis)
    check("ArgMin", x, axis=axis, keepdims=0)
    check("LayerNormalization", x, {"w": numbers(*x.shape[axis:], seed=1)}, axis=axis)


def test_the_first_of_equals_is_the_largest():
    assert check("ArgMax", np.ones((2, 5), np.float32), axis=-1).tolist() == [[0], [0]]


@pytest.mark.parametrize("bias", [(), (1,), (4,), (2, 1), (2, 4)], ids=str)
def test_the_term_of_a_gemm_broadcasts(bias):
    check("Gemm", numbers(2, 3), {"w": numbers(3, 4), "c": numbers(*bias, seed=3)}, beta=0.5, alpha=2.0)
    check("Gemm", numbers(2, 3), {"w": numbers(3, 4), "c": numbers(*bias, seed=3)})


@pytest.mark.parametrize(("left", "right"), [((3,), (3, 4)), ((3, 4), (4,)), ((2, 1, 3, 4), (5, 4, 2))], ids=str)
def test_products_of_any_ranks(left, right):
    check("MatMul", numbers(*left), {"w": numbers(*right, seed=1)})


@pytest.mark.parametrize(("equation", "other"), [("...d,de->...e", (4, 5)), ("abd,abd->ab", (2, 3, 4))])
def test_sums_of_products(equation, other):
    check("Einsum", numbers(2, 3, 4), {"w": numbers(*other, seed=1)}, equation=equation)


@EXAMPLES
@given(k=st.integers(-4, 5), upper=st.integers(0, 1))
def test_triangles_of_a_batch_beyond_their_corners(k, upper):
    check("Trilu", numbers(2, 3, 4), {"k": np.int64(k)}, upper=upper)


def test_padding_may_cut_and_may_keep_edges_of_three_axes():
    check("Pad", numbers(4, 5), {"p": whole(-1, 0, 0, -2)})
    check("Pad", numbers(2, 4, 5), {"p": whole(0, 1, 1, 0, 1, 1)}, mode="edge")
    check("Pad", numbers(2, 4, 5), {"p": whole(1, 0, 0, 0, 0, 2), "v": np.float32(-3)})


@pytest.mark.parametrize(("given_", "wanted"), [((3,), (2, 1)), ((2, 1, 3), (4, 1)), ((2, 3), (2, 1, 1))], ids=str)
def test_expanding_goes_both_ways(given_, wanted):
    check("Expand", numbers(*given_), {"s": whole(*wanted)})


def test_shapes_with_zeros_and_an_open_end():
    check("Reshape", numbers(2, 3, 4), {"s": whole(0, 0, 2, -1)})
    check("Reshape", numbers(2, 3), {"s": whole(3, -1)}, allowzero=1)
    check("Squeeze", numbers(1, 3, 1), {"a": whole(-1)})
    check("Unsqueeze", numbers(3), {"a": whole(-1, 1)})
    check("Tile", numbers(2, 1), {"r": whole(1, 3)})


def test_cutting_beyond_the_ends_and_several_axes_at_once():
    check("Slice", numbers(4, 5), {"s": whole(-9), "e": whole(-1), "a": whole(-1)})
    check("Slice", numbers(4, 5), {"s": whole(3, 0), "e": whole(-9, 5), "a": whole(0, 1), "t": whole(-1, 2)})


@pytest.mark.parametrize(("start", "end"), [(1, None), (-1, None), (0, -1), (-2, 3)], ids=str)
def test_a_part_of_the_lengths(start, end):
    bounds = {"start": start} if end is None else {"start": start, "end": end}
    x = numbers(2, 3, 4)
    nodes = [
        helper.make_node("Shape", ["x"], ["s"], name="s", **bounds),
        helper.make_node("ConstantOfShape", ["s"], ["o"], name="o", value=numpy_helper.from_array(np.float32([1.5]))),
        helper.make_node("ReduceMax", ["x"], ["m"], name="m", keepdims=0),
        helper.make_node("Mul", ["o", "m"], ["y"], name="y"),
    ]
    model = graph(nodes, {}, x)
    np.testing.assert_array_equal(ours(model, x), theirs(model, x))


@pytest.mark.parametrize(
    ("attribute", "kind"),
    [("value_float", torch.float32), ("value_floats", torch.float32), ("value_int", torch.int64), ("value", None)],
)
def test_constants_are_written_in_several_ways(attribute, kind):
    """A double one is single afterwards: no LiteRT operator takes doubles."""
    values = {"value_float": 2.5, "value_floats": [2.5, 1.0], "value_int": 3}
    given_ = values.get(attribute, numpy_helper.from_array(np.array([2.5, 1.0])))
    nodes = [
        helper.make_node("Constant", [], ["k"], name="k", **{attribute: given_}),
        helper.make_node("Cast", ["k"], ["c"], name="c", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "c"], ["y"], name="y"),
    ]
    x = numbers(3, 2)
    model = graph(nodes, {}, x)
    np.testing.assert_array_equal(ours(model, x), theirs(model, x))
    double = [
        nodes[0],
        helper.make_node("Cast", ["x"], ["d"], name="d", to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["d", "k"], ["y"], name="m"),
    ]
    if kind is None:
        assert {value.dtype for value in program.fold(graph(double, {}, x), (3, 2)).constants.values()} == {
            torch.float32
        }


@pytest.mark.parametrize(
    ("op", "shape", "constants", "attributes", "words"),
    [
        ("Conv", (1, 1, 4, 4), {"w": np.ones((1, 1, 2, 2), np.float32)}, {"auto_pad": "SAME_UPPER"}, "automatic"),
        ("MaxPool", (1, 1, 4, 4), {}, {"kernel_shape": (2, 2), "pads": (0, 0, 1, 1)}, r"\[0, 0, 1, 1\], which differs"),
        ("MaxPool", (1, 1, 5, 5), {}, {"kernel_shape": (2, 2), "dilations": (2, 2)}, "indices or dilations"),
        ("AveragePool", (1, 1, 4, 4), {}, {"kernel_shape": (2, 2), "auto_pad": "SAME_LOWER"}, "automatic padding"),
        ("CumSum", (3,), {"a": np.int64(0)}, {"exclusive": 1}, "exclusive"),
        ("Pad", (4, 5), {"p": whole(1, 1, 1, 1)}, {"mode": "reflect"}, "cannot be computed at this shape"),
        ("ArgMin", (3,), {}, {"select_last_index": 1}, "select_last_index"),
        ("Cast", (3,), {}, {"to": TensorProto.BFLOAT16}, "BFLOAT16"),
        ("Cast", (3,), {}, {"to": TensorProto.UINT64}, "UINT64 is not one LiteRT computes with"),
        ("Reshape", (3, 4), {"s": whole(5, -1)}, {}, "cannot be computed at this shape"),
        ("Concat", (3, 4), {"c": np.ones((2, 3), np.float32)}, {"axis": 0}, "cannot be computed at this shape"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_what_has_no_litert_form_names_the_node_and_the_reason(op, shape, constants, attributes, words):
    x = numbers(*shape)
    with pytest.raises(UnsupportedModelError, match=rf"node '/odd' \({op}\): .*{words}.*LiteRT files cannot be made"):
        program.fold(one(op, x, constants, "", **attributes), x.shape)
