"""Which nodes of a group are computed in float16 and which stay float32, one chain of nodes at a time."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.quantize.methods import float16
from edgekit.converters.quantize.methods.editor import Editor
from edgekit.converters.quantize.methods.groups import Region
from edgekit.converters.quantize.methods.records import Group, Range
from edgekit.errors import ConversionError, InputError
from small_towers import run


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def chain(*steps, constants=None):
    """``x`` (N, 8) through a product and then `steps`, each (operator, further inputs, attributes)."""
    stored = {"w": numbers(8, 8, seed=1), **(constants or {})}
    nodes, last = [helper.make_node("MatMul", ["x", "w"], ["t0"], name="n0")], "t0"
    for i, (op, more, attributes) in enumerate(steps, start=1):
        nodes.append(helper.make_node(op, [last, *more], [f"t{i}"], name=f"n{i}", **attributes))
        last = f"t{i}"
    nodes.append(helper.make_node("Identity", [last], ["y"], name="end"))
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [None, 8]), ("y", None)))
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def region(made):
    keys = tuple(node.name for node in made.graph.node if node.name != "end")
    return Region(Group("block00.mlp", "mlp", ("n0",), 64), keys)


def halves(made, ranges=None):
    """Apply to the chain and return the names of the nodes whose results are float16, and how many count."""
    editor = Editor(made)
    one = region(made)
    needed = float16.tensors(editor, one)
    count = float16.apply(editor, one, {**dict.fromkeys(needed, Range(-1, 1)), **(ranges or {})})
    found = {node.name for node in editor.nodes() if node.output[0].endswith(".float16") and node.op_type != "Cast"}
    editor.close()
    return found, count


@pytest.mark.parametrize("op", ["Relu", "Erf", "Tanh", "Sigmoid", "HardSwish"])
def test_what_follows_a_product_element_by_element_is_float16(op):
    x, made = numbers(4, 8), chain((op, [], {}))
    expected = run(made, x)
    assert halves(made) == ({"n0", "n1"}, 1)
    np.testing.assert_allclose(run(made, x), expected, atol=0.02)
    assert {tensor.data_type for tensor in made.graph.initializer} == {TensorProto.FLOAT16}


@pytest.mark.parametrize(
    ("op", "more", "attributes"),
    [("Softmax", [], {}), ("LayerNormalization", ["scale"], {}), ("Exp", [], {}), ("Pow", ["two"], {})],
    ids=["softmax", "norm", "exp", "power"],
)
def test_islands_stay_float32(op, more, attributes):
    x, made = numbers(4, 8), chain(
        (op, more, attributes), constants={"scale": np.ones(8, "f"), "two": np.float32(2)}
    )  # fmt: skip
    expected = run(made, x)
    assert halves(made) == ({"n0"}, 1)
    np.testing.assert_allclose(run(made, x), expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("op", ["ReduceL2", "ReduceMean", "ReduceSumSquare", "Abs"])
def test_sums_and_what_follows_them_stay_float32(op):
    """A length underflows in float16, and with it whatever is divided by it."""
    attributes = {} if op == "Abs" else {"axes": [1], "keepdims": 1}
    made = chain((op, [], attributes), ("Mul", ["c"], {}), ("Add", ["c"], {}), constants={"c": np.float32(3)})
    assert halves(made) == ({"n0"}, 1)


def test_shapes_of_any_kind_are_no_numbers():
    steps = [
        ("Reshape", ["flat"], {}),
        ("Unsqueeze", ["axis"], {}),
        ("Slice", ["a", "b", "axis"], {}),
        ("Clip", ["low", ""], {}),
        ("Pad", ["pads", "low"], {}),
    ]
    constants = {
        "flat": np.array([-1]), "axis": np.array([0]), "a": np.array([0]), "b": np.array([1]),
        "low": np.float32(-0.5), "pads": np.array([0, 1, 0, 1]),
    }  # fmt: skip
    x, made = numbers(4, 8), chain(*steps, constants=constants)
    expected = run(made, x)
    assert halves(made) == ({f"n{i}" for i in range(6)}, 1)
    np.testing.assert_allclose(run(made, x), expected, atol=0.02)
    kinds = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    assert {kind for name, kind in kinds.items() if "float16" not in name} == {TensorProto.INT64}


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        (1e-7, False),
        (0.0, True),
        (7e4, False),
        (-7e4, False),
        ([1e-7, 1.0], True),
        ([1.0, 7e4], False),
    ],
    ids=["small", "zero", "large", "negative", "small among others", "large among others"],
)
def test_a_constant_that_float16_cannot_hold_keeps_its_node(value, fits):
    constant = np.tile(np.asarray(value, np.float32), 4) if np.ndim(value) else np.float32(value)
    found, count = halves(chain(("Mul", ["c"], {}), constants={"c": constant}))
    assert found == ({"n0", "n1"} if fits else {"n0"})
    assert count == 1


@pytest.mark.parametrize(
    ("span", "fits"),
    [
        (Range(-float16.LIMIT, 1), True),
        (Range(-float16.LIMIT - 1, 1), False),
        (Range(0, 1, largest=1e5), False),
        (Range(0, 1e5), False),
    ],
    ids=["at the limit", "low", "before the cut", "high"],
)
def test_either_end_of_a_range_counts(span, fits):
    assert halves(chain(("Relu", [], {})), {"t1": span})[0] == ({"n0", "n1"} if fits else {"n0"})


def test_a_product_that_stays_float32_does_not_count():
    assert halves(chain(("Relu", [], {})), {"t0": Range(0, 1e6)}) == ({"n1"}, 0)


def test_missing_ranges_and_other_types_are_refused_by_name():
    made = chain(("Relu", [], {}))
    with pytest.raises(InputError, match="the range of 't1' is missing"):
        float16.apply(Editor(made), region(made), {"t0": Range(0, 1)})
    double = chain(("Add", ["c"], {}), constants={"c": np.float64([1.0])})
    with pytest.raises(ConversionError, match="constant 'c' is float64, not float32"):
        halves(double)


def test_casts_between_two_halves_of_a_group_are_shared():
    made = chain(("Relu", [], {}), ("Softmax", [], {}), ("Mul", ["c"], {}), constants={"c": np.float32(2)})
    assert halves(made)[0] == {"n0", "n1", "n3"}
    casts = [(node.input[0], node.output[0]) for node in made.graph.node if node.op_type == "Cast"]
    # Into it, to the softmax and from it, and back: none is undone by the next.
    assert sorted(casts) == [
        ("t1.float16", "t1"),
        ("t2", "t2.float16"),
        ("t3.float16", "t3"),
        ("x", "x.float16"),
    ]
