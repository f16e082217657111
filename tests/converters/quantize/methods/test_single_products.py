"""One product or convolution at a time, at the shapes and settings that exporters write, against float32."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.quantize.methods import (
    a16w8,
    block_weights,
    correction,
    linear,
    nbits,
    qdq,
    smoothing,
    static_int8,
)
from edgekit.converters.quantize.methods.editor import Editor
from edgekit.converters.quantize.methods.records import Range
from edgekit.errors import ConversionError, InputError
from small_towers import run

EXAMPLES = settings(max_examples=5, deadline=None, derandomize=True)
# Largest error of each method, as a share of the largest output.
METHODS = {
    "static_u8s8": (static_int8.apply_u8s8, 0.05),
    "static_u8s7": (static_int8.apply_u8s7, 0.06),
    "static_s8s8": (static_int8.apply_s8s8, 0.05),
    "a16w8": (a16w8.apply, 0.03),
    "blocks_int8": (block_weights.apply_int8, 0.05),
    "blocks_int4": (block_weights.apply_int4, 0.35),
    "blocks_int4_128": (block_weights.apply_int4_128, 0.45),
}
EVERY = pytest.mark.parametrize(("apply", "share"), METHODS.values(), ids=METHODS.keys())
STATIC = {name: method for name, method in METHODS.items() if name[0] in "sa"}


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def model(nodes, constants, shape, outputs=("y",)):
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    taken = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "g", [x], taken, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def span(values, axis=-1):
    """What a calibration would say of a tensor."""
    rows = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])
    channels = tuple(float(v) for v in np.abs(rows).max(0))
    means = tuple(float(v) for v in rows.mean(0))
    return Range(float(values.min()), float(values.max()), float(np.abs(values).max()), channels, means)


def check(made, apply, share, x, ranges, key="n"):
    """Rewrite one node; the result is near the float one, and not the same."""
    expected = run(made, x)
    editor = Editor(made)
    assert apply(editor, key, ranges)
    editor.close()
    for optimize in (True, False):
        found = run(made, x, optimize=optimize)
        assert found.shape == expected.shape
        assert 0 < np.abs(found - expected).max() <= share * np.abs(expected).max()
    return Counter(node.op_type for node in made.graph.node)


@EVERY
@EXAMPLES
@given(
    rank=st.integers(2, 4),
    inside=st.sampled_from([16, 33, 96]),
    out=st.sampled_from([1, 7, 32]),
    corrected=st.booleans(),
)
def test_products_of_any_shape(apply, share, rank, inside, out, corrected):
    x = numbers(*[2, 3, 4][: rank - 1], inside)
    made = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="n")], {"w": numbers(inside, out, seed=1)}, [None] * rank
    )
    ranges = {"x": span(x) if corrected else Range(float(x.min()), float(x.max()))}
    check(made, apply, share * 1.5 if out == 1 else share, x, ranges)


@EVERY
@EXAMPLES
@given(
    turned=st.booleans(),
    alpha=st.sampled_from([1.0, 0.5, -2.0]),
    beta=st.sampled_from([1.0, 3.0]),
    bias=st.sampled_from([None, (), (1,), (24,), (1, 24), (6, 24), (6, 1)]),
)
def test_a_gemm_with_all_its_settings(apply, share, turned, alpha, beta, bias):
    x, weight = numbers(6, 64), numbers(64, 24, seed=1)
    constants = {"w": weight.T.copy() if turned else weight}
    if bias is not None:
        constants["b"] = numbers(*bias, seed=2)
    node = helper.make_node("Gemm", ["x", *constants], ["y"], name="n", alpha=alpha, beta=beta, transB=int(turned))
    found = check(model([node], constants, [6, 64]), apply, share, x, {"x": span(x)})
    assert found["Gemm"] <= 1


@EVERY
def test_a_bias_that_depends_on_the_input_is_added_after(apply, share):
    x = numbers(6, 32)
    nodes = [
        helper.make_node("Abs", ["x"], ["b"], name="abs"),
        helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="n"),
    ]
    found = check(model(nodes, {"w": numbers(32, 32, seed=1)}, [6, 32]), apply, share, x, {"x": span(x)})
    assert found["Add"] == 1
    assert found["Gemm"] == 0


@EVERY
def test_one_number_a_row_is_no_bias_of_columns_even_of_a_square_product(apply, share):
    """A batch of as many rows as there are columns: (24, 1) has the size of a bias, and is none."""
    x, constants = numbers(24, 64), {"w": numbers(64, 24, seed=1), "b": 20 * numbers(24, 1, seed=2)}
    node = helper.make_node("Gemm", ["x", *constants], ["y"], name="n")
    check(model([node], constants, [24, 64]), apply, share / 2, x, {"x": span(x)})


@pytest.mark.parametrize("apply", [method[0] for method in STATIC.values()], ids=STATIC.keys())
def test_a_convolution_whose_bias_is_computed_is_left_alone(apply):
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["b"], name="mean", axes=[0, 2, 3], keepdims=0),
        helper.make_node("Conv", ["x", "w", "b"], ["y"], name="n"),
    ]
    made = model(nodes, {"w": numbers(4, 4, 3, 3)}, [1, 4, 6, 6])
    before, x = list(made.graph.node), numbers(1, 4, 6, 6)
    editor = Editor(made)
    assert not apply(editor, "n", {"x": span(x, 1), "y": Range(-9, 9)})
    assert list(editor.close().graph.node) == before


@EVERY
@pytest.mark.parametrize("node", [("MatMul", ["w", "x"]), ("MatMul", ["x", "x"]), ("Mul", ["x", "w"])], ids=str)
def test_what_is_no_product_with_stored_weights_is_left_alone(apply, share, node):
    op, inputs = node
    made = model([helper.make_node(op, inputs, ["y"], name="n")], {"w": numbers(32, 32)}, [32, 32])
    before = list(made.graph.node)
    editor = Editor(made)
    assert not apply(editor, "n", {"x": Range(-4, 4)})
    assert list(editor.close().graph.node) == before


@pytest.mark.parametrize(("apply", "share"), STATIC.values(), ids=STATIC.keys())
@EXAMPLES
@given(
    group=st.sampled_from([1, 2, 8]),
    stride=st.integers(1, 2),
    size=st.sampled_from([1, 3]),
    bias=st.booleans(),
    after=st.sampled_from(["", "Relu", "Sigmoid"]),
)
def test_convolutions_with_all_their_settings(apply, share, group, stride, size, bias, after):
    x = numbers(2, 8, 6, 5)
    constants = {"w": numbers(16, 8 // group, size, size, seed=1), **({"b": numbers(16, seed=2)} if bias else {})}
    first, last = ("c", "a") if after else ("c", "c")
    settings_ = {"group": group, "strides": [stride] * 2, "pads": [size // 2] * 4}
    nodes = [helper.make_node("Conv", ["x", *constants], [first], name="n", **settings_)]
    nodes += [helper.make_node(after, ["c"], ["a"], name="after")] if after else []
    nodes.append(helper.make_node("Neg", [last], ["y"], name="end"))
    made = model(nodes, constants, [None, 8, 6, 5], ("y", *({"c", last} - {"x"})))
    ranges = {"x": span(x, 1)}
    values = dict(zip([o.name for o in made.graph.output], run_all(made, x), strict=True))
    ranges |= {name: Range(float(value.min()), float(value.max())) for name, value in values.items()}
    del made.graph.output[1:]
    assert static_int8.tensors(Editor(made), "n") == ("x", "a" if after == "Relu" else "c")
    check(made, apply, share * 1.5, x, ranges)


def run_all(made, x):
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_only_padding_with_zeros_is_a_part_of_the_convolution(mode):
    pad = helper.make_node("Pad", ["x", "p"], ["padded"], name="pad", mode=mode)
    conv = helper.make_node("Conv", ["padded", "w"], ["c"], name="n")
    nodes = [pad, conv, helper.make_node("Neg", ["c"], ["y"], name="end")]
    constants = {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "w": numbers(4, 2, 3, 3)}
    editor = Editor(model(nodes, constants, [1, 2, 5, 5]))
    assert static_int8.tensors(editor, "n") == ("x" if mode == "constant" else "padded", "c")
    assert correction.unpadded(editor, editor.node("n")) == "x"
    spans = {"x": Range(-4, 4), "padded": Range(-4, 4), "c": Range(-20, 20)}
    assert static_int8.apply_u8s8(editor, "n", spans)
    quantized = {node.input[0] for node in editor.close().graph.node if node.op_type == "QuantizeLinear"}
    assert ("x" in quantized) == (mode == "constant")


def test_padding_that_others_read_too_is_left_float():
    nodes = [
        helper.make_node("Pad", ["x", "p"], ["padded"], name="pad"),
        helper.make_node("Conv", ["padded", "w"], ["c"], name="n"),
        helper.make_node("Relu", ["padded"], ["other"], name="other"),
        helper.make_node("Sum", ["c", "c"], ["y"], name="end"),
    ]
    constants = {"p": np.zeros(8, np.int64), "w": numbers(4, 2, 1, 1)}
    made = model(nodes, constants, [1, 2, 5, 5], ("y", "other"))
    assert static_int8.tensors(Editor(made), "n")[0] == "padded"


@pytest.mark.parametrize("apply", [method[0] for method in STATIC.values()], ids=STATIC.keys())
def test_static_methods_name_the_range_that_they_lack(apply):
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"], name="n")], {"w": numbers(8, 8)}, [None, 8])
    with pytest.raises(InputError, match="the range of 'x' is missing; calibrate with the tensors"):
        apply(Editor(made), "n", {})
    with pytest.raises(InputError, match="a range of -1 to inf cannot be quantized"):
        apply(Editor(made), "n", {"x": Range(-1, np.inf)})


@EVERY
def test_weights_that_are_not_finite_are_named(apply, share):
    weight = numbers(32, 32)
    weight[3, 4] = np.inf
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"], name="n")], {"w": weight}, [None, 32])
    with pytest.raises(ConversionError, match="weights 'w' hold infinity or NaN"):
        apply(Editor(made), "n", {"x": Range(-4, 4)})


@EVERY
def test_weights_of_zeros_give_zeros(apply, share):
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"], name="n")], {"w": np.zeros((32, 4), "f")}, [None, 32])
    editor = Editor(made)
    assert apply(editor, "n", {"x": Range(-4, 4)})
    np.testing.assert_array_equal(run(editor.close(), numbers(3, 32)), np.zeros((3, 4)))


@EVERY
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [0.0, 1e-44, 1e-40, 1e-37])
@pytest.mark.parametrize("biased", [True, False])
def test_a_channel_of_zeros_or_nearly_so_is_its_bias(apply, share, size, biased):
    """Weight decay leaves such numbers where nothing passes: no scale may be 0, nor round the bias with its step."""
    weight, bias = numbers(32, 6, seed=1), numbers(6, seed=2)
    weight[:, 2] = size * np.sign(weight[:, 2])
    weight[0, 2], bias[2] = 0, 0.5 * biased
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="n")
    made, x = model([node], {"w": weight, "b": bias}, [None, 32]), numbers(5, 32)
    expected = run(made, x)
    editor = Editor(made)
    assert apply(editor, "n", {"x": span(x)})
    for optimize in (True, False):
        found = run(editor.close() if optimize else made, x, optimize=optimize)
        np.testing.assert_allclose(found[:, 2], bias[2], atol=1e-6)
        assert np.abs(found - expected).max() <= share * np.abs(expected).max()


@EXAMPLES
@given(bits=st.sampled_from([4, 8]), columns=st.integers(1, 70), seed=st.integers(0, 9))
def test_a_matrix_in_blocks_is_what_the_engine_multiplies_with(bits, columns, seed):
    """Unit vectors as activations pass the engine's own quantization without loss."""
    weight = numbers(columns, 5, seed=seed)
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"], name="n")], {"w": weight}, [None, columns])
    editor = Editor(made)
    assert (block_weights.apply_int4 if bits == 4 else block_weights.apply_int8)(editor, "n", {})
    block = 32 if bits == 4 else 128
    decoded = nbits.quantize(np.ascontiguousarray(weight.T), bits, block).decoded(columns).T
    np.testing.assert_allclose(run(editor.close(), np.eye(columns, dtype=np.float32)), decoded, atol=2e-5)


def test_a_table_whose_width_is_no_multiple_of_a_block_is_left_alone():
    made = model(
        [
            helper.make_node("Cast", ["x"], ["i"], name="c", to=TensorProto.INT64),
            helper.make_node("Gather", ["t", "i"], ["y"], name="n"),
        ],
        {"t": numbers(50, 33)},
        [None],
    )
    editor = Editor(made)
    assert not block_weights.apply_int4(editor, "n", {})
    assert "n" in [node.name for node in editor.close().graph.node]


@EXAMPLES
@given(alpha=st.floats(0, 1), outlier=st.floats(1, 500), turned=st.booleans())
def test_smoothing_changes_no_product(alpha, outlier, turned):
    x, weight = numbers(5, 16), numbers(16, 8, seed=1)
    x[:, 3] *= outlier
    constants = {"w": weight.T.copy() if turned else weight}
    made = model([helper.make_node("Gemm", ["x", "w"], ["y"], name="n", transB=int(turned))], constants, [None, 16])
    expected = run(made, x)
    editor = Editor(made)
    found = smoothing.smooth(editor, ["n"], {"x": span(x)}, alpha)
    np.testing.assert_allclose(run(editor.close(), x), expected, rtol=1e-4, atol=1e-4 * outlier)
    assert (found.fused, found.scaled) == ((), ("x",))
    after = found.ranges["x.smooth"]
    assert max(after.channels) == pytest.approx(after.largest)
    assert -after.largest <= after.low <= 0 <= after.high <= after.largest
    # The means follow the values, so that biases are still corrected rightly.
    reciprocal = np.array(after.channels) / np.array(span(x).channels)
    np.testing.assert_allclose(after.means, np.array(span(x).means) * reciprocal, rtol=1e-6)


@pytest.mark.parametrize("grid", [qdq.UINT8, qdq.INT8, qdq.UINT16], ids=lambda grid: grid.dtype)
def test_a_range_beside_zero_is_widened_to_hold_it(grid):
    for low, high in ((2.0, 6.0), (-6.0, -2.0)):
        scale, zero = qdq.parameters(Range(low, high), grid)
        limits = np.iinfo(grid.dtype)
        assert float(scale) * (limits.max - limits.min) == pytest.approx(6.0, rel=1e-4)
        assert int(zero) == (limits.min if low > 0 else limits.max)


def test_a_product_with_its_bias_is_named_after_the_product():
    editor = Editor(model([helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="n")],
                          {"w": numbers(4, 3), "b": numbers(3)}, [None, 4]))  # fmt: skip
    found = linear.read(editor, "n")
    assert linear.product(editor, found) == "y.product"
    assert [(node.op_type, list(node.input), list(node.output)) for node in editor.nodes()][1:] == [
        ("Add", ["y.product", "b"], ["y"])
    ]
    assert linear.product(editor, linear.Linear("x", found.weight, "w", "", "z")) == "z"
