"""Graphs as a JetPack's TensorRT reads them: what is rewritten means the same, what cannot be is named."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgekit.converters.targets import jetson_chips, jetson_graph
from edgekit.converters.targets.jetson_chips import Widened
from edgekit.errors import UnsupportedModelError

FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64
node = helper.make_node


def graph(nodes, given, taken, constants=(), opset=17):
    """A graph of named tensors: each ``(name, type, shape)``; constants are arrays by name."""
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*one) for one in given],
        [helper.make_tensor_value_info(*one) for one in taken],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(model, **inputs):
    return ReferenceEvaluator(model).run(None, inputs)[0]


@given(
    st.sampled_from([-1, -2, 1, 2]),
    st.booleans(),
    st.sampled_from([None, 1e-6, 1e-3, 1.0]),
    st.integers(0, 1000),
)
@settings(deadline=None, max_examples=25)
def test_a_normalization_is_the_formula_of_onnx(axis, biased, epsilon, seed) -> None:
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias`` over the axes from ``axis`` on."""
    random = np.random.default_rng(seed)
    x = (random.normal(size=(2, 3, 4)) * random.uniform(0.01, 50) + random.normal()).astype(np.float32)
    axes = tuple(range(axis % 3, 3))
    shape = tuple(x.shape[one] for one in axes)
    scale, bias = (random.normal(size=shape).astype(np.float32) for _ in range(2))
    given_attributes = {} if epsilon is None else {"epsilon": epsilon}
    norm = node("LayerNormalization", ["x", "s", *(["b"] if biased else [])], ["y"], "n", axis=axis, **given_attributes)
    constants = {"s": scale, **({"b": bias} if biased else {})}
    model = graph([norm], [("x", FLOAT, x.shape)], [("y", FLOAT, x.shape)], constants)
    assert jetson_graph.spell_norms_out(model) == 1
    onnx.checker.check_model(model, full_check=True)
    assert "LayerNormalization" not in {one.op_type for one in model.graph.node}
    exact = x.astype(np.float64)
    mean = exact.mean(axis=axes, keepdims=True)
    variance = ((exact - mean) ** 2).mean(axis=axes, keepdims=True)
    wanted = (exact - mean) / np.sqrt(variance + (1e-5 if epsilon is None else epsilon)) * scale
    np.testing.assert_allclose(run(model, x=x), wanted + bias if biased else wanted, rtol=2e-3, atol=2e-4)


def test_two_normalizations_of_one_tensor_do_not_share_names() -> None:
    nodes = [
        node("LayerNormalization", ["x", "s"], ["a"], "one"),
        node("LayerNormalization", ["a", "s"], ["b"]),
        node("Add", ["a", "b"], ["y"]),
    ]
    model = graph(nodes, [("x", FLOAT, (2, 4))], [("y", FLOAT, (2, 4))], {"s": np.ones(4, np.float32)})
    x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    wanted = run(model, x=x)
    assert jetson_graph.spell_norms_out(model) == 2
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_allclose(run(model, x=x), wanted, atol=1e-4)
    assert jetson_graph.spell_norms_out(model) == 0


def test_a_normalization_whose_mean_is_read_is_refused() -> None:
    nodes = [
        node("LayerNormalization", ["x", "s"], ["n", "mean"], "block.1/norm"),
        node("Add", ["n", "mean"], ["y"]),
    ]
    model = graph(nodes, [("x", FLOAT, (2, 4))], [("y", FLOAT, (2, 4))], {"s": np.ones(4, np.float32)})
    with pytest.raises(UnsupportedModelError, match=r"'block\.1/norm': its mean is read by another node"):
        jetson_graph.spell_norms_out(model)


@given(st.lists(st.integers(-(2**20), 2**20), min_size=6, max_size=6), st.sampled_from([INT32, INT64]))
@settings(deadline=None, max_examples=20)
def test_a_widened_argmax_finds_the_same_place(ids, kind) -> None:
    """Ids of vocabularies are below 2 ** 24, up to which float32 counts."""
    model = graph([node("ArgMax", ["x"], ["y"], axis=1)], [("x", kind, (2, 3))], [("y", INT64, (2, 1))])
    values = np.array(ids, helper.tensor_dtype_to_np_dtype(kind)).reshape(2, 3)
    assert jetson_graph.widen(model, jetson_chips.find("jetson-nano").widened) == 1
    onnx.checker.check_model(model, full_check=True)
    first = model.graph.node[0]
    assert (first.op_type, first.attribute[0].i) == ("Cast", FLOAT)
    np.testing.assert_array_equal(run(model, x=values)[:, 0], values.argmax(axis=1))


def test_what_keeps_its_type_is_given_it_back() -> None:
    """A Gather of truth values is one of numbers on the way, and truth values are what follows reads."""
    nodes = [node("Gather", ["x", "at"], ["g"], "pick"), node("Not", ["g"], ["y"], "not")]
    model = graph(nodes, [("x", TensorProto.BOOL, (3,))], [("y", TensorProto.BOOL, (2,))], {"at": np.array([2, 0])})
    assert jetson_graph.widen(model, (Widened("Gather", "BOOL", "INT32"),)) == 1
    onnx.checker.check_model(model, full_check=True)
    assert [one.op_type for one in model.graph.node] == ["Cast", "Gather", "Cast", "Not"]
    np.testing.assert_array_equal(run(model, x=np.array([True, False, False])), [True, False])
    assert jetson_graph.widen(model, (Widened("Gather", "BOOL", "INT32"),)) == 0


def test_other_types_and_operators_are_left_alone() -> None:
    model = graph([node("ArgMax", ["x"], ["y"], axis=1)], [("x", FLOAT, (2, 3))], [("y", INT64, (2, 1))])
    before = model.SerializeToString()
    assert jetson_graph.widen(model, jetson_chips.find("jetson-nano").widened) == 0
    assert model.SerializeToString() == before


def test_an_attribute_that_says_nothing_goes_and_one_that_says_something_is_told() -> None:
    def reshape(zero):
        return graph(
            [node("Reshape", ["x", "to"], ["y"], "flat", allowzero=zero)],
            [("x", FLOAT, (2, 3))],
            [("y", FLOAT, (6,))],
            {"to": np.array([6])},
        )

    model = reshape(0)
    jetson_graph.declare(model, 13)
    assert not model.graph.node[0].attribute
    assert ([(one.domain, one.version) for one in model.opset_import], model.ir_version) == ([("", 13)], 7)
    onnx.checker.check_model(model, full_check=True)
    with pytest.raises(
        UnsupportedModelError, match=r"'flat' \(Reshape\): operator set 13 has no allowzero.*newer Tens"
    ):
        jetson_graph.declare(reshape(1), 13)
    kept = reshape(1)
    jetson_graph.declare(kept, 17)
    assert kept.graph.node[0].attribute[0].i == 1


def test_only_sets_that_are_used_are_named() -> None:
    model = graph([node("Relu", ["x"], ["y"])], [("x", FLOAT, (2,))], [("y", FLOAT, (2,))], {"unread": np.ones(3)})
    model.opset_import.extend([helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("ai.onnx.ml", 3)])
    jetson_graph.declare(model, 17)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 17)]
    assert (model.producer_name, list(model.graph.initializer)) == ("edgekit", [])
    model.graph.node.append(node("Gelu", ["y"], ["z"], domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    jetson_graph.declare(model, 17)
    assert {one.domain for one in model.opset_import} == {"", "com.microsoft"}


@pytest.mark.parametrize(
    ("name", "op", "told"),
    [
        ("jetson-nano", "LayerNormalization", r"NVIDIA's table of operators for TensorRT 8\.2 does not list it"),
        ("jetson-xavier", "LayerNormalization", r"TensorRT 8\.5: NVIDIA's table of operators lists it as not"),
        # TensorRT reads it from set 20 on; the file is written in 17, which other versions read too.
        ("jetson-thor", "Gelu", "operator set 17 does not have it"),
        ("jetson-orin", "ScaledTanh", "operator set 17 does not have it"),
    ],
)
def test_an_operator_that_a_chip_has_not_is_named_with_the_reason(name, op, told) -> None:
    model = graph([node(op, ["x"], ["y"], "block.2/odd")], [("x", FLOAT, (2, 2))], [("y", FLOAT, (2, 2))], opset=13)
    with pytest.raises(UnsupportedModelError, match=rf"text tower's node 'block\.2/odd' \({op}\) cannot.*{told}"):
        jetson_graph.check(model, jetson_chips.find(name), "text")


@pytest.mark.parametrize("name", [chip.name for chip in jetson_chips.CHIPS])
def test_a_graph_is_fitted_to_each_family(name) -> None:
    """One graph with everything that families differ in; its meaning stays."""
    chip = jetson_chips.find(name)
    nodes = [
        node("LayerNormalization", ["x", "s"], ["n"], "norm"),
        node("ArgMax", ["ids"], ["at"], "last", axis=1, keepdims=0),
        node("Gather", ["n", "at"], ["y"], "pick", axis=0),
    ]
    given_tensors = [("x", FLOAT, (3, 4)), ("ids", INT64, (1, 3))]
    model = graph(nodes, given_tensors, [("y", FLOAT, (1, 4))], {"s": np.ones(4, np.float32)})
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    ids = np.array([[5, 49_407, 49_406]])
    wanted = run(model, x=x, ids=ids)
    changed = jetson_graph.fit(model, chip, "text")
    onnx.checker.check_model(model, full_check=True)
    assert changed["LayerNormalization spelled out"] == (0 if chip.layer_norm else 1)
    assert changed["inputs of another type"] == (0 if name == "jetson-thor" else 1)
    assert model.opset_import[0].version == chip.opset
    np.testing.assert_allclose(run(model, x=x, ids=ids), wanted, atol=1e-5)
