"""Folding a master at one shape, and the patterns that give LiteRT one operator where ONNX has several."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import tiny_masters
from edgekit.converters.graph import store
from edgekit.converters.litert import module, names, patterns, program
from edgekit.converters.quantize.methods.groups import find_groups
from edgekit.errors import ConversionError, UnsupportedModelError

EXAMPLES = settings(max_examples=8, deadline=None, derandomize=True)


def master(nodes, constants, shape, dtype=TensorProto.FLOAT):
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    given = helper.make_tensor_value_info("x", dtype, shape)
    body = helper.make_graph(nodes, "test", [given], [helper.make_empty_tensor_value_info("y")], tensors)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(op, inputs, output, name="", **attributes):
    return helper.make_node(op, inputs.split(), [output], name or f"n_{output}", **attributes)


def compute(what, x):
    with torch.inference_mode():
        return module.Tower(what, ())(torch.from_numpy(x)).numpy()


def ops(what):
    return [call.op for call in what.calls]


def numbers(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module", params=["image", "text"])
def tiny(request, tmp_path_factory):
    """A tiny tower, its inputs, and what ONNX Runtime makes of them."""
    path = tiny_masters.save(tmp_path_factory.mktemp("masters") / f"{request.param}.onnx", request.param)
    inputs = tiny_masters.samples(request.param)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return path, inputs, session.run(None, {session.get_inputs()[0].name: inputs})[0]


@pytest.mark.parametrize("mask", [None, -30.0], ids=["mask as it is", "bounded mask"])
def test_a_tower_computes_what_its_master_does(tiny, mask):
    path, inputs, expected = tiny
    folded = program.fold(store.load(path), inputs.shape)
    made = patterns.rewrite(folded, mask)
    tower, name = module.signature(made, find_groups(store.load(path)))
    assert name == ("pixels" if inputs.ndim == 4 else "token_ids")
    np.testing.assert_allclose(module.run(tower, torch.from_numpy(inputs)).numpy(), expected, atol=1e-6)
    assert len(made.calls) < len(folded.calls)
    assert "Erf" not in ops(made)
    assert "Gelu" in ops(made)
    assert not {"Shape", "ConstantOfShape", "Range"} & set(ops(made))
    assert not any(call.op == "MatMul" and call.constants for call in made.calls)


def test_another_shape_is_another_program_of_the_same_master(tiny):
    path, inputs, expected = tiny
    made = patterns.rewrite(program.fold(store.load(path), (1, *inputs.shape[1:])), None)
    found = [module.run(module.signature(made, ())[0], torch.from_numpy(row[None])).numpy() for row in inputs]
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-6)


def test_every_weight_that_is_read_carries_its_groups_name(tiny):
    path, inputs, _ = tiny
    model = store.load(path)
    groups = find_groups(model)
    called = names.scopes(groups)
    tower = module.Tower(patterns.rewrite(program.fold(model, inputs.shape), None), groups)
    steps = {name for name, _ in tower.named_children()}
    for group in groups:
        assert any(name.startswith(called[group.name]) for name in steps), group.name
    large = {
        step for step, child in tower.named_children() for p in child.parameters() if p.ndim > 1 and p.numel() > 256
    }
    grouped = {step for step in large if step.startswith("group")}
    assert len(grouped) >= 5
    assert all("Add" in str(tower.get_submodule(step)._call.op) for step in large - grouped)


def test_names_of_groups_are_never_part_of_each_other():
    from edgekit.converters.quantize.methods.records import Group

    groups = [Group(name, "mlp", (), 1) for name in ("block1.mlp", "block1_mlp", "block11.mlp", "1.mlp", "mlp")]
    called = list(names.scopes(groups).values())
    assert len(set(called)) == 5
    assert not any(a in b for a in called for b in called if a != b)


def test_what_does_not_depend_on_the_input_is_computed_once():
    model = master(
        [
            node("Shape", "x", "shape"),
            node("Gather", "shape one", "width"),
            node("Unsqueeze", "width zero", "sizes"),
            node("Concat", "minus sizes", "wanted", axis=0),
            node("Exp", "w", "weight"),
            node("Relu", "x", "unused"),
            node("Mul", "x weight", "product"),
            node("Reshape", "product wanted", "y"),
        ],
        {
            "one": np.int64(1),
            "zero": np.array([0], np.int64),
            "minus": np.array([-1], np.int64),
            "w": np.zeros(3, np.float32),
        },
        ("N", "L"),
    )
    folded = program.fold(model, (2, 3))
    assert ops(folded) == ["Mul", "Reshape"]
    assert set(folded.constants) == {"weight", "wanted"}
    np.testing.assert_array_equal(compute(folded, numbers(2, 3)), numbers(2, 3))


def test_nodes_without_names_of_their_own_are_told_apart():
    model = master([node("Relu", "x", "a", " "), node("Neg", "a", "b", " "), node("Relu", "b", "y", " ")], {}, (2,))
    assert len({call.name for call in program.fold(model, (2,)).calls}) == 3


def test_an_operator_that_is_not_known_is_refused_by_name_before_anything_is_computed():
    nodes = [node("NonZero", "x", "a", "/deep/culprit"), node("Cast", "a", "y", to=TensorProto.FLOAT)]
    with pytest.raises(UnsupportedModelError, match=r"node '/deep/culprit' \(NonZero\).*no LiteRT form"):
        program.fold(master(nodes, {}, (2,)), (2,))


def test_control_flow_and_foreign_operators_are_refused():
    body = helper.make_graph([node("Relu", "x", "z")], "body", [], [helper.make_empty_tensor_value_info("z")])
    branch = helper.make_node("If", ["c"], ["y"], "/branch", then_branch=body, else_branch=body)
    with pytest.raises(UnsupportedModelError, match=r"node '/branch' \(If\): control flow"):
        program.fold(master([branch], {"c": np.array(True)}, (2,)), (2,))
    foreign = helper.make_node("Relu", ["x"], ["y"], "/foreign", domain="com.vendor")
    with pytest.raises(UnsupportedModelError, match=r"'com\.vendor' is not ONNX's own"):
        program.fold(master([foreign], {}, (2,)), (2,))


def test_a_shape_that_depends_on_values_is_refused():
    nodes = [node("Cast", "x", "sizes", to=TensorProto.INT64), node("Reshape", "ones sizes", "y", "/culprit")]
    model = master(nodes, {"ones": np.ones(4, np.float32)}, (2,))
    with pytest.raises(UnsupportedModelError, match=r"/culprit.*input 1 \('sizes'\) depends on the graph's input"):
        program.fold(model, (2,))


def test_a_graph_that_cannot_be_computed_at_the_shape_is_refused():
    model = master([node("Reshape", "x s", "y", "/culprit")], {"s": np.array([3], np.int64)}, ("N",))
    with pytest.raises(UnsupportedModelError, match=r"/culprit.*cannot be computed at this shape"):
        program.fold(model, (4,))


@pytest.mark.parametrize("shape", [(2,), (2, 4), (1, 3, 1)])
def test_a_shape_that_the_input_does_not_allow_is_refused(shape):
    with pytest.raises(ConversionError, match="'x' cannot have the shape"):
        program.fold(master([node("Relu", "x", "y")], {}, ("N", 3)), shape)


def test_an_output_that_ignores_the_input_is_refused():
    with pytest.raises(ConversionError, match="'y' does not depend on the input 'x'"):
        program.fold(master([node("Shape", "x", "y")], {}, (2,)), (2,))


HALF, ROOT, TURNED, ONE = np.float32(0.5), np.float32(math.sqrt(2)), np.float32(1 / math.sqrt(2)), np.float32(1)
GELUS = {
    "x (1 + erf) and half": ["Div x root a", "Erf a b", "Add b one c", "Mul x c d", "Mul d half y"],
    "turned": ["Mul turned x a", "Erf a b", "Add one b c", "Mul c x d", "Mul half d y"],
    "half of x first": ["Mul x half h", "Div x root a", "Erf a b", "Add b one c", "Mul h c y"],
    "half of the sum": ["Div x root a", "Erf a b", "Add b one c", "Mul c half d", "Mul x d y"],
    "divided by two": ["Div x root a", "Erf a b", "Add b one c", "Mul x c d", "Div d two y"],
}
CONSTANTS = {"half": HALF, "root": ROOT, "turned": TURNED, "one": ONE, "two": np.float32(2)}


def written(lines):
    return [node(op, " ".join(rest[:-1]), rest[-1]) for op, *rest in (line.split() for line in lines)]


@pytest.mark.parametrize("lines", GELUS.values(), ids=GELUS.keys())
def test_each_way_to_write_gelu_becomes_one(lines):
    folded = program.fold(master(written(lines), CONSTANTS, (41,)), (41,))
    made = patterns.erf_gelu(folded)
    assert ops(made) == ["Gelu"]
    assert made.calls[0].outputs == ("y",)
    x = np.linspace(-4, 4, 41, dtype=np.float32)
    np.testing.assert_allclose(compute(made, x), compute(folded, x), atol=1e-6)


NOT_GELUS = {
    "another factor": ["Div x two a", "Erf a b", "Add b one c", "Mul x c d", "Mul d half y"],
    "not one": ["Div x root a", "Erf a b", "Add b two c", "Mul x c d", "Mul d half y"],
    "not half": ["Div x root a", "Erf a b", "Add b one c", "Mul x c d", "Mul d two y"],
    "another x": ["Relu x r", "Div x root a", "Erf a b", "Add b one c", "Mul r c d", "Mul d half y"],
    "used twice": ["Div x root a", "Erf a b", "Add b one c", "Mul x c d", "Mul d half e", "Add e b y"],
    "only erf": ["Div x root a", "Erf a y"],
}


@pytest.mark.parametrize("lines", NOT_GELUS.values(), ids=NOT_GELUS.keys())
def test_what_only_looks_like_gelu_stays(lines):
    folded = program.fold(master(written(lines), CONSTANTS, (5,)), (5,))
    assert ops(patterns.erf_gelu(folded)) == ops(folded)


@EXAMPLES
@given(rows=st.integers(1, 3), inside=st.integers(1, 5), out=st.integers(1, 5), turned=st.booleans())
def test_products_with_stored_matrices_become_linear_layers(rows, inside, out, turned):
    terms = "b p" if turned else "p b"
    nodes = [
        node("MatMul", "x w", "p", "first"),
        node("Add", terms, "s"),
        node("Gemm", "s v b", "y", "second", transB=1),
    ]
    constants = {"w": numbers(inside, out), "b": numbers(out), "v": numbers(out, out)}
    folded = program.fold(master(nodes, constants, (rows, inside)), (rows, inside))
    made = patterns.linear_layers(folded)
    assert [(call.op, call.name, len(call.inputs)) for call in made.calls] == [
        ("Linear", "first", 3),
        ("Linear", "second", 3),
    ]
    assert tuple(made.constants["w.linear"].shape) == (out, inside)
    assert "w" not in made.constants
    x = numbers(rows, inside)
    np.testing.assert_allclose(compute(made, x), compute(folded, x), atol=1e-5)


def test_a_product_that_is_read_twice_keeps_its_sum_apart():
    nodes = [node("MatMul", "x w", "p"), node("Add", "p b", "s"), node("Mul", "p s", "y")]
    folded = program.fold(master(nodes, {"w": numbers(3, 4), "b": numbers(4)}, (2, 3)), (2, 3))
    made = patterns.linear_layers(folded)
    assert ops(made) == ["Linear", "Add", "Mul"]
    np.testing.assert_allclose(compute(made, numbers(2, 3)), compute(folded, numbers(2, 3)), atol=1e-5)


@pytest.mark.parametrize(
    ("line", "constants"),
    [
        ("MatMul w x y", {"w": numbers(4, 2)}),
        ("MatMul x w y", {"w": numbers(2, 3, 4)}),
        ("Gemm x w c y", {"w": numbers(3, 4), "c": numbers(2, 4)}),
        ("MatMul x x2 y", {}),
    ],
    ids=["stored on the left", "three dimensions", "a term for each row", "two live sides"],
)
def test_other_products_stay_as_they_are(line, constants):
    nodes = [*(written(["Transpose x x2"]) if "x2" in line else []), *written([line])]
    folded = program.fold(master(nodes, constants, (2, 3)), (2, 3))
    made = patterns.linear_layers(folded)
    assert "Linear" not in ops(made)
    np.testing.assert_allclose(compute(made, numbers(2, 3)), compute(folded, numbers(2, 3)), atol=1e-5)


@EXAMPLES
@given(perm=st.permutations(range(4)), top=st.integers(0, 2), right=st.integers(0, 2))
def test_a_transpose_moves_behind_scaling_and_padding(perm, top, right):
    nodes = [
        node("Transpose", "x", "t", perm=perm),
        node("Mul", "t scale", "a"),
        node("Sub", "shift a", "b"),
        node("Pad", "b pads", "c"),
        node("Relu", "c", "y"),
    ]
    shape = (2, 3, 4, 5)
    channels = shape[perm[1]]
    constants = {
        "scale": numbers(channels, 1, 1),
        "shift": numbers(1, channels, 1, 1),
        "pads": np.array([0, 0, top, 0, 0, 0, 0, right], np.int64),
    }
    folded = program.fold(master(nodes, constants, shape), shape)
    made = patterns.late_transposes(folded)
    assert ops(made) == ["Mul", "Sub", "Pad", "Transpose", "Relu"]
    np.testing.assert_allclose(compute(made, numbers(*shape)), compute(folded, numbers(*shape)), atol=1e-6)


def test_a_transpose_that_others_read_too_stays_where_it_is():
    nodes = [node("Transpose", "x", "t", perm=[1, 0]), node("Mul", "t c", "a"), node("Add", "a t", "y")]
    folded = program.fold(master(nodes, {"c": np.float32(2)}, (2, 3)), (2, 3))
    assert ops(patterns.late_transposes(folded)) == ["Transpose", "Mul", "Add"]


def test_masks_are_bounded_and_weights_are_not():
    mask = np.array([[0, -1e4], [0, 0]], np.float32)
    weight = np.array([[-2e4, 1], [3, 4]], np.float32)
    nodes = [node("Add", "x mask", "a"), node("MatMul", "a w", "y")]
    folded = program.fold(master(nodes, {"mask": mask, "w": weight}, (2, 2)), (2, 2))
    made = patterns.bounded_masks(folded, -30.0)
    assert made.constants["mask"].tolist() == [[0, -30], [0, 0]]
    assert made.calls[0].constants[1].tolist() == [[0, -30], [0, 0]]
    assert made.constants["w"].tolist() == weight.tolist()
    assert folded.constants["mask"].min() == -1e4


def test_a_step_that_reads_nothing_but_its_constant_twice_is_fed_right():
    """Live inputs are handed over in order, whatever stands between them."""
    nodes = [node("Relu", "x", "r"), node("Clip", "r low high", "y")]
    folded = program.fold(master(nodes, {"low": np.float32(0.1), "high": np.float32(0.2)}, (3,)), (3,))
    np.testing.assert_allclose(compute(folded, np.array([-1, 0.15, 9], np.float32)), [0.1, 0.15, 0.2])
    where = [node("Greater", "x low", "c"), node("Where", "c x low", "y")]
    folded = program.fold(master(where, {"low": np.float32(0.1)}, (3,)), (3,))
    np.testing.assert_allclose(compute(folded, np.array([-1, 0.15, 9], np.float32)), [0.1, 0.15, 9])


def test_wide_integers_are_narrowed_for_litert():
    folded = program.fold(master([node("Add", "x far", "y")], {"far": np.int64(2**40)}, (1,), TensorProto.INT32), (1,))
    (step,) = module.Tower(folded, ()).children()
    (stored,) = step.buffers()
    assert stored.dtype == torch.int32
    assert int(stored) == 2**31 - 1


def test_doubles_are_computed_as_floats():
    nodes = [node("Cast", "x", "d", to=TensorProto.DOUBLE), node("Mul", "d c", "y")]
    folded = program.fold(master(nodes, {"c": np.float64(2)}, (2,)), (2,))
    assert compute(folded, np.ones(2, np.float32)).dtype == np.float32


def test_a_program_without_patterns_is_left_alone():
    folded = program.fold(master([node("Relu", "x", "y")], {}, (2,)), (2,))
    assert patterns.rewrite(folded, -30.0) == replace(folded, constants={})


def test_the_tiny_masters_are_what_they_say(tiny):
    model = onnx.load(str(tiny[0]), load_external_data=False)
    found = {entry.op_type for entry in model.graph.node}
    assert {"Erf", "Softmax", "LayerNormalization", "MatMul"} <= found
    assert found & {"Conv", "ArgMax"}
