"""Nodes as calls, their constants, and the torch module that a program becomes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgekit.converters.litert import module, names, patterns, program
from edgekit.converters.litert.call import Call, read_call
from edgekit.converters.litert.dtypes import torch_dtype
from edgekit.converters.litert.operators import OPERATORS, check_supported
from edgekit.converters.quantize.methods.records import Group
from edgekit.errors import UnsupportedModelError

EXAMPLES = settings(max_examples=15, deadline=None, derandomize=True)


def call(op="Add", inputs=("x", "c"), outputs=("y",), name="n", **rest):
    return Call(name, op, inputs, outputs, **rest)


def made(*calls, constants=None, given_="x", taken="y"):
    """A program whose calls know those of the constants that they read."""
    known = {name: torch.as_tensor(value) for name, value in (constants or {}).items()}
    return program.Program(tuple(program.with_constants(one, known) for one in calls), known, given_, taken)


def compute(what, x, groups=()):
    with torch.inference_mode():
        return module.Tower(what, groups)(torch.as_tensor(x)).numpy()


def test_every_attribute_of_a_node_is_read_as_a_plain_value():
    node = helper.make_node(
        "Anything", ["a", "", "b"], ["y"], mode="edge", axis=-1, alpha=0.5, perm=[1, 0],
        value=numpy_helper.from_array(np.array([1, 2], np.int64)),
    )  # fmt: skip
    found = read_call(node, "key")
    assert (found.name, found.op, found.inputs, found.outputs) == ("key", "Anything", ("a", "", "b"), ("y",))
    assert {key: value for key, value in found.attributes.items() if key != "value"} == {
        "mode": "edge",
        "axis": -1,
        "alpha": 0.5,
        "perm": [1, 0],
    }
    assert found.attributes["value"].tolist() == [1, 2]
    assert found.constants == {}


@pytest.mark.parametrize("domain", ["", "ai.onnx"])
def test_both_names_of_onnxs_own_operators_are_taken(domain):
    assert read_call(helper.make_node("Relu", ["x"], ["y"], domain=domain), "k").op == "Relu"


def test_other_domains_and_graphs_are_refused():
    with pytest.raises(UnsupportedModelError, match=r"'k' \(FusedMatMul\): 'com\.microsoft' is not ONNX's own"):
        read_call(helper.make_node("FusedMatMul", ["x", "w"], ["y"], domain="com.microsoft"), "k")
    body = helper.make_graph([], "body", [], [])
    with pytest.raises(UnsupportedModelError, match=r"node 'k' \(Loop\): control flow"):
        read_call(helper.make_node("Loop", [], ["y"], body=body), "k")
    with pytest.raises(UnsupportedModelError, match=r"node 'k' \(Many\): control flow"):
        read_call(helper.make_node("Many", [], ["y"], bodies=[body, body]), "k")


def test_optional_inputs_are_given_or_not():
    found = call("Clip", ("x", "", "high"))
    assert [found.has(i) for i in range(5)] == [True, False, True, False, False]


@EXAMPLES
@given(st.lists(st.integers(-(2**40), 2**40), max_size=5))
def test_known_inputs_are_integers_of_any_rank(values):
    assert call(constants={1: np.array(values, np.int64)}).integers(1) == values
    if values:
        assert call(constants={1: np.array(values[0])}).integers(1) == values[:1]


def test_what_depends_on_the_input_is_named_with_its_position():
    with pytest.raises(UnsupportedModelError, match=r"'n' \(Tile\): its input 1 \('repeats'\) depends on the graph's"):
        call("Tile", ("x", "repeats")).integers(1)


def test_axes_come_from_the_attribute_the_input_or_nowhere():
    assert call(attributes={"axes": [0, -1]}, constants={1: np.array([5])}).axes() == [0, -1]
    assert call(constants={1: np.array([2, 3])}).axes() == [2, 3]
    assert call(inputs=("x", "p", "a"), constants={2: np.array([1])}).axes(2) == [1]
    assert call(inputs=("x",)).axes() is None
    assert call(inputs=("x", "")).axes() is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (TensorProto.FLOAT16, torch.float32),
        (TensorProto.DOUBLE, torch.float32),
        (TensorProto.INT64, torch.int64),
        (TensorProto.BOOL, torch.bool),
    ],
)
def test_types(code, kind):
    assert torch_dtype(code, call()) is kind


@pytest.mark.parametrize("kind", ["STRING", "COMPLEX64", "UINT16", "FLOAT8E4M3FN"])
def test_types_that_no_device_computes_with_are_refused(kind):
    with pytest.raises(UnsupportedModelError, match=rf"'n' \(Add\): element type {kind} is not one"):
        torch_dtype(getattr(TensorProto, kind), call())


def test_the_first_unknown_operator_is_the_one_that_is_named():
    check_supported(call(op) for op in OPERATORS)
    with pytest.raises(UnsupportedModelError, match=r"'second' \(Det\): there is no LiteRT form"):
        check_supported([call("Relu"), call("Det", name="second"), call("NonZero", name="third")])


def test_a_step_keeps_floats_as_parameters_and_integers_as_buffers():
    what = made(
        call("Mul", ("x", "scale"), ("a",), "first"),
        call("Gather", ("a", "rows"), ("y",), "second", attributes={"axis": 0}),
        constants={"scale": np.float32([2, 3]), "rows": np.array([1, 0])},
    )
    tower = module.Tower(what, ())
    assert {name for name, _ in tower.named_parameters()} == {"other0.constant1"}
    assert {name: value.dtype for name, value in tower.named_buffers()} == {"other1.constant1": torch.int32}
    assert not any(parameter.requires_grad for parameter in tower.parameters())
    np.testing.assert_array_equal(compute(what, np.float32([[1, 1], [5, 5]])), [[10, 15], [2, 3]])


@pytest.mark.parametrize(("value", "stored"), [(2**62, 2**31 - 1), (-(2**62), -(2**31)), (7, 7)])
def test_numbers_of_64_bits_that_mean_the_end_still_do(value, stored):
    (buffer,) = module.Tower(made(call(constants={}), constants={"c": np.int64(value)}), ()).buffers()
    assert (int(buffer), buffer.dtype) == (stored, torch.int32)


def test_weights_that_two_steps_read_are_one_parameter():
    what = made(
        call("Mul", ("x", "w"), ("a",), "first"), call("Add", ("a", "w"), ("y",), "second"), constants={"w": 2.0}
    )
    tower = module.Tower(what, ())
    assert tower.get_submodule("other0").constant1 is tower.get_submodule("other1").constant1
    assert compute(what, np.float32([3])) == 8


def test_several_outputs_and_absent_inputs_find_their_places():
    what = made(
        call("Split", ("x",), ("a", "b"), "cut", attributes={"axis": 0}),
        call("Clip", ("b", "", "high"), ("c",), "clip"),
        call("Sub", ("c", "a"), ("y",), "end"),
        constants={"high": np.float32(3)},
    )
    np.testing.assert_array_equal(compute(what, np.float32([1, 2, 10, 2])), [2, 0])


def test_steps_are_named_after_the_group_of_their_node():
    groups = (Group("table", "table", ("first",), 1), Group("block00.mlp", "mlp", ("second", "elsewhere"), 1))
    steps = [call("Mul", ("x", "w"), ("a",), "first"), call("Add", ("a", "w"), ("b",), "second")]
    what = made(*steps, call("Relu", ("b",), ("y",), "third"), constants={"w": 2.0})
    found = [name for name, _ in module.Tower(what, groups).named_children()]
    assert found == ["group00_table_step0", "group01_block00_mlp_step1", "other2"]


@EXAMPLES
@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=120, unique=True))
def test_every_group_has_a_name_of_its_own_that_torch_takes(texts):
    groups = [Group(text, "mlp", (text,), 1) for text in texts]
    called = names.scopes(groups)
    assert list(called) == texts
    tails = [f"x/{name}12;" for name in called.values()]
    assert [[name in tail for name in called.values()].index(True) for tail in tails] == list(range(len(texts)))
    assert all(sum(name in tail for name in called.values()) == 1 for tail in tails)
    assert all(name.isidentifier() for name in called.values())


@pytest.mark.parametrize(("given_", "kind"), [("pixels", "ImageSignature"), ("token_ids", "TextSignature")])
def test_the_contracts_names_are_those_of_the_input(given_, kind):
    what = made(call("Relu", (given_,)), given_=given_)
    wrapped, name = module.signature(what, ())
    assert (type(wrapped).__name__, name, wrapped.training) == (kind, given_, False)
    assert list(wrapped(**{given_: torch.tensor([-1.0])})) == ["embedding"]
    assert module.run(wrapped, torch.tensor([-1.0, 2.0])).tolist() == [0, 2]


def test_only_what_the_output_needs_is_kept():
    steps = [call("Relu", ("x",), ("a",), "1"), call("Mul", ("x", "c"), ("b",), "2"), call("Neg", ("a",), ("y",), "3")]
    found = program.needed(made(*steps, constants={"c": 1.0}))
    assert [one.name for one in found.calls] == ["1", "3"]
    assert found.constants == {}


def test_readers_come_once_for_each_time_they_read():
    twice = call("Mul", ("a", "a"), ("b",), "twice")
    found = program.readers([twice, call("Neg", ("a",), ("c",), "once")])
    assert [one.name for one in found["a"]] == ["twice", "twice", "once"]


HALF, ROOT = np.float32(0.5), np.float32(math.sqrt(2))


def gelu(x="x", prefix="", taken="y"):
    """``x (1 + erf(x / root)) / 2`` as calls."""
    lines = (("Div", x, "root", "a"), ("Erf", "a", "b"), ("Add", "b", "one", "c"), ("Mul", x, "c", "d"))
    calls = [
        call(op, tuple(f"{prefix}{n}" if n in "abcd" else n for n in rest), (f"{prefix}{out}",), f"{prefix}{out}")
        for op, *rest, out in lines
    ]
    return [*calls, call("Mul", (f"{prefix}d", "half"), (taken,), f"{prefix}end")]


@EXAMPLES
@given(count=st.integers(1, 4))
def test_any_number_of_gelus_are_found(count):
    calls, source = [], "x"
    for i in range(count):
        taken = "y" if i == count - 1 else f"g{i}"
        calls += gelu(source, f"p{i}.", taken)
        source = taken
    what = made(*calls, constants={"root": ROOT, "one": np.float32(1), "half": HALF})
    found = patterns.erf_gelu(what)
    assert [one.op for one in found.calls] == ["Gelu"] * count
    x = np.linspace(-4, 4, 33, dtype=np.float32)
    np.testing.assert_allclose(compute(found, x), compute(what, x), atol=1e-6)


@pytest.mark.parametrize("width", [1, 4], ids=["one number", "a number a column"])
def test_only_a_term_of_one_number_a_column_joins_the_product(width):
    steps = [call("MatMul", ("x", "w"), ("p",), "product"), call("Add", ("p", "b"), ("y",), "sum")]
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    what = made(*steps, constants={"w": rows, "b": np.ones(width, np.float32)})
    found = patterns.linear_layers(what)
    assert [one.op for one in found.calls] == (["Linear", "Add"] if width == 1 else ["Linear"])
    x = np.eye(3, dtype=np.float32)
    np.testing.assert_array_equal(compute(found, x), rows + 1)


def test_products_that_share_a_matrix_share_its_turned_form():
    steps = [call("MatMul", ("x", "w"), ("p",), "1"), call("MatMul", ("p", "w"), ("y",), "2")]
    what = made(*steps, constants={"w": np.float32([[1, 2], [3, 4]])})
    found = patterns.linear_layers(what)
    assert [one.inputs for one in found.calls] == [("x", "w.linear"), ("p", "w.linear")]
    assert set(found.constants) == {"w.linear"}
    x = np.float32([[1, -1]])
    np.testing.assert_array_equal(compute(found, x), x @ [[1, 2], [3, 4]] @ [[1, 2], [3, 4]])


@pytest.mark.parametrize("attributes", [{"alpha": 0.5}, {"beta": 2.0}, {"transA": 1}], ids=["alpha", "beta", "turned"])
def test_a_gemm_with_factors_is_no_linear_layer(attributes):
    what = made(
        call("Gemm", ("x", "w", "b"), attributes=attributes),
        constants={"w": np.float32([[1, 2], [3, 4]]), "b": np.float32([1, 1])},
    )
    assert patterns.linear_layers(what).calls == what.calls


def test_masks_are_zeros_and_large_negatives_and_nothing_else():
    kept = {"weights": [[0.0, 3.0], [-2e3, 0.0]], "zeros": [[0.0, 0.0]], "small": [[0.0, -999.0]], "whole": [[-2000]]}
    constants = {name: np.array(value, np.float32 if name != "whole" else np.int64) for name, value in kept.items()}
    constants["mask"] = np.float32([[0, -np.inf], [0, 0]])
    calls = [call("Add", ("x" if i == 0 else f"s{i - 1}", n), (f"s{i}",), n) for i, n in enumerate(constants)]
    found = patterns.bounded_masks(made(*calls, constants=constants, taken="s4"), -30.0)
    assert {name: value.tolist() for name, value in found.constants.items()} == {
        **kept,
        "mask": [[0.0, -30.0], [0.0, 0.0]],
    }


@pytest.mark.parametrize("op", ["Relu", "Sigmoid", "MatMul"])
def test_a_transpose_stays_before_what_does_more_than_scale(op):
    inputs = ("t", "c") if op == "MatMul" else ("t",)
    steps = [call("Transpose", ("x",), ("t",), "turn", attributes={"perm": [1, 0]}), call(op, inputs, name="after")]
    what = made(*steps, constants={"c": np.ones((2, 2), np.float32)})
    assert [one.op for one in patterns.late_transposes(what).calls] == ["Transpose", op]


def test_every_operator_is_a_step_of_its_own():
    """A tower is a flat list of modules: names in the file have one level, whatever the graph was."""
    tower = module.Tower(made(*gelu(), constants={"root": ROOT, "one": 1.0, "half": HALF}), ())
    assert all(isinstance(child, module.Step) and not list(child.children()) for child in tower.children())
    assert isinstance(tower, nn.Module)
    assert len(list(tower.children())) == 5
