from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.compress import int8_weights
from edgekit.converters.quantize.methods import stored_weights
from edgekit.converters.quantize.methods.apply import quantize_model
from edgekit.converters.quantize.methods.editor import Editor
from edgekit.converters.quantize.methods.groups import find_groups
from edgekit.converters.quantize.methods.records import Range, TowerDecision
from small_towers import convnet, gemm_tower, ids, pixels, run, transformer


def _everything(model, method):
    return quantize_model(model, TowerDecision({group.name: method for group in find_groups(model)}), {})


@pytest.mark.parametrize(
    ("make", "inputs"), [(transformer, ids), (convnet, pixels), (gemm_tower, pixels)], ids=["text", "conv", "gemm"]
)
@pytest.mark.parametrize(("method", "kind"), [("int8_weights", np.int8), ("float16_weights", np.float16)])
def test_what_is_computed_is_the_tower_with_the_decoded_weights(make, inputs, method, kind):
    reference = make()
    table = {"table"}
    for tensor in reference.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32 and value.ndim > 1:
            if kind is np.float16:
                decoded = value.astype(np.float16).astype(np.float32)
            else:
                decoded = int8_weights.encode(value, tensor.name in table).decoded()
            tensor.CopyFrom(numpy_helper.from_array(decoded, tensor.name))
    found = _everything(make(), method)
    np.testing.assert_allclose(run(found, inputs()), run(reference, inputs()), atol=1e-5)


@pytest.mark.parametrize(
    ("method", "kind"), [("int8_weights", TensorProto.INT8), ("float16_weights", TensorProto.FLOAT16)]
)
def test_every_matrix_is_stored_in_the_type(method, kind):
    found = _everything(transformer(), method)
    big = [t for t in found.graph.initializer if int(np.prod(t.dims)) >= 768]
    assert len(big) == 14
    assert {tensor.data_type for tensor in big} == {kind}


def test_only_rows_that_are_looked_up_are_decoded():
    model = quantize_model(transformer(), TowerDecision({"table": "int8_weights"}), {})
    gathers = [node for node in model.graph.node if node.op_type == "Gather"]
    assert sorted(list(node.input) for node in gathers) == [
        ["table.int8", "token_ids"],
        ["table.int8.scale", "token_ids"],
    ]


def test_weights_that_two_nodes_read_are_stored_once():
    model = transformer()
    for node in model.graph.node:
        if node.name == "layer1.mlp.up":
            node.input[1] = "layer0.mlp.up.weight"
    decision = TowerDecision({"block00.mlp": "int8_weights", "block01.mlp": "int8_weights"})
    expected = run(model, ids())
    found = quantize_model(model, decision, {})
    stored = Counter(tensor.name.split(".int8")[0] for tensor in found.graph.initializer if ".int8" in tensor.name)
    assert stored["layer0.mlp.up.weight"] == 2  # the code and its scales
    assert stored["layer1.mlp.up.weight"] == 0
    assert (run(found, ids()) * expected).sum(axis=1).min() > 0.999


def test_one_table_read_twice_is_stored_once():
    model = transformer()
    again = helper.make_node("Gather", ["table", "token_ids"], ["again"], name="again", axis=0)
    both = helper.make_node("Add", ["tokens.out", "again"], ["both"], name="both")
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name == "tokens.out":
                node.input[i] = "both"
    model.graph.node.insert(1, again)
    model.graph.node.insert(2, both)
    expected = run(model, ids())
    found = _everything(model, "int8_weights")
    assert sum(t.name.startswith("table") and t.data_type == TensorProto.INT8 for t in found.graph.initializer) == 1
    assert (run(found, ids()) * expected).sum(axis=1).min() > 0.999


def test_weights_beyond_float16_stay_float32():
    model = gemm_tower()
    for tensor in model.graph.initializer:
        if tensor.name == "second.weight":
            value = numpy_helper.to_array(tensor).copy()
            value[0, 0] = 1e6
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    editor = Editor(model)
    assert not stored_weights.apply_float16(editor, "second", {})
    assert stored_weights.apply_float16(editor, "third", {})
    assert editor.node("second").input[1] == "second.weight"


def numbers(*shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def gemm(constants, rows, inside, **settings):
    """One Gemm of x and of `constants`."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, inside])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("Gemm", ["x", *constants], ["y"], name="n", **settings)
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph([node], "g", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def span(x):
    return Range(float(x.min()), float(x.max()), means=tuple(float(mean) for mean in x.mean(axis=0)))


GEMMS = st.fixed_dictionaries(
    {
        "transB": st.integers(0, 1),
        "alpha": st.sampled_from([1.0, 0.5, -2.0]),
        "beta": st.sampled_from([1.0, 0.25, 3.0]),
    }
)


@pytest.mark.parametrize("method", ["int8", "float16"])
@settings(max_examples=12, deadline=None, derandomize=True)
@given(settings_=GEMMS, bias=st.sampled_from([None, (5,), (1, 5), (7, 1), ()]), measured=st.booleans())
def test_a_gemm_computes_its_formula_with_the_decoded_weights(method, settings_, bias, measured):
    x, weight = numbers(7, 40, seed=0) + 1, numbers(40, 5, seed=1)
    stored = weight.T.copy() if settings_["transB"] else weight
    constants = {"w": stored} if bias is None else {"w": stored, "b": numbers(*bias, seed=2)}
    apply = stored_weights.apply_int8 if method == "int8" else stored_weights.apply_float16
    decoded = stored.astype(np.float16) if method == "float16" else int8_weights.encode(stored, False).decoded()
    exact = decoded.astype(np.float64)
    product = settings_["alpha"] * x.astype(np.float64) @ (exact.T if settings_["transB"] else exact)
    expected = product + settings_["beta"] * constants.get("b", np.zeros(1)).astype(np.float64)
    editor = Editor(gemm(constants, 7, 40, **settings_))
    assert apply(editor, "n", {"x": span(x)} if measured else {})
    found = run(editor.close(), x)
    plain = settings_["alpha"] == settings_["beta"] == 1
    if method == "int8" and measured and plain and bias == (5,):
        # The bias takes the weights' mean error back: the outputs' mean is that of the float product.
        float_mean = (x.astype(np.float64) @ weight + constants["b"]).mean(axis=0)
        np.testing.assert_allclose(found.mean(axis=0), float_mean, atol=1e-4)
        expected = expected + (float_mean - expected.mean(axis=0))
    np.testing.assert_allclose(found, expected, atol=1e-4 * (1 + np.abs(expected).max()))


@pytest.mark.parametrize("apply", [stored_weights.apply_int8, stored_weights.apply_float16])
def test_two_products_of_one_matrix_keep_biases_of_their_own(apply):
    x = numbers(6, 24, seed=0) + 2
    weight, biases = numbers(24, 4, seed=1), (numbers(4, seed=2), numbers(4, seed=3))
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [6, 24])
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b0"], ["first"], name="a"),
        helper.make_node("Neg", ["x"], ["turned"], name="neg"),
        helper.make_node("Gemm", ["turned", "w", "b1"], ["second"], name="b"),
        helper.make_node("Concat", ["first", "second"], ["y"], name="both", axis=1),
    ]
    tensors = [numpy_helper.from_array(v, n) for n, v in {"w": weight, "b0": biases[0], "b1": biases[1]}.items()]
    taken = helper.make_tensor_value_info("y", TensorProto.FLOAT, [6, 8])
    model = helper.make_model(
        helper.make_graph(nodes, "g", [given], [taken], tensors), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    expected = run(model, x).mean(axis=0)
    editor = Editor(model)
    for key in ("a", "b"):
        assert apply(editor, key, {"x": span(x), "turned": span(-x)})
    found = editor.close()
    small = [t for t in found.graph.initializer if t.data_type in (TensorProto.INT8, TensorProto.FLOAT16)]
    assert [list(tensor.dims) for tensor in small] == [[24, 4]]
    # Weights of float16 are off by a few thousandths of a percent, and their biases stay.
    np.testing.assert_allclose(run(found, x).mean(axis=0), expected, atol=1e-5 if small[0].data_type == 3 else 0.02)
