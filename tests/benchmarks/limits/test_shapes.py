"""Shapes of every tensor of a graph, computed ones included."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from edgekit.benchmarks.limits.shapes import tensors
from edgekit.bundle.reader import open_bundle
from weightless import FLOAT, INT32, INT64, graph


def test_a_shape_that_the_graph_computes_is_known() -> None:
    """Padding as TensorFlow's exporters write it: its amounts come out of a shape."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "axes"], ["sides"]),
        helper.make_node("Mul", ["sides", "two"], ["twice"]),
        helper.make_node("Concat", ["ones", "twice"], ["wanted"], axis=0),
        helper.make_node("Expand", ["single", "wanted"], ["large"]),
    ]
    values = {"axes": np.array([1, 2]), "two": np.array(2), "ones": np.array([3]), "single": np.zeros((1, 1, 1))}
    model = graph(nodes, {"x": (FLOAT, ("N", 4, 5))}, ["large"], values=values)
    found = tensors(model, {"x": (1, 4, 5)})
    assert found["large"].shape == (3, 8, 10)
    assert found["shape"].shape == (3,)
    assert found["large"].elements == 240


def test_part_of_a_shape() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["middle"], start=1, end=3),
        helper.make_node("ConstantOfShape", ["middle"], ["zeros"]),
    ]
    found = tensors(graph(nodes, {"x": (FLOAT, ("N", 4, 5, 6))}, ["zeros"]), {"x": (2, 4, 5, 6)})
    assert found["zeros"].shape == (4, 5)


def test_a_large_result_is_inferred_rather_than_computed() -> None:
    nodes = [helper.make_node("ConstantOfShape", ["wanted"], ["zeros"]), helper.make_node("Relu", ["zeros"], ["y"])]
    found = tensors(graph(nodes, {}, ["y"], values={"wanted": np.array([1 << 20, 1 << 20])}), {})
    assert found["y"].shape == (1 << 20, 1 << 20)  # a tebibyte of floats that nobody made


def test_what_depends_on_data_is_not_known_nor_is_what_follows() -> None:
    nodes = [helper.make_node("NonZero", ["x"], ["places"]), helper.make_node("Transpose", ["places"], ["turned"])]
    found = tensors(graph(nodes, {"x": (FLOAT, (3, 4))}, ["turned"]), {"x": (3, 4)})
    assert found["places"].shape is None
    assert found["turned"].shape is None
    assert found["turned"].elements == 0


def test_an_unknown_operator_ends_what_is_known() -> None:
    nodes = [
        helper.make_node("Strange", ["x"], ["y"], domain="com.example"),
        helper.make_node("Missing", ["x"], ["w"]),
        helper.make_node("Relu", ["x"], ["z"]),
        helper.make_node("Shape", ["y"], ["s"]),
    ]
    found = tensors(graph(nodes, {"x": (FLOAT, (3, 4))}, ["y", "w", "z"]), {"x": (3, 4)})
    assert [found[name].shape for name in "ywzs"] == [None, None, (3, 4), None]


def test_an_impossible_product_is_not_known() -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    found = tensors(graph([node], {"x": (FLOAT, (3, 4))}, ["y"], {"w": (FLOAT, (5, 6))}), {"x": (3, 4)})
    assert found["y"].shape is None


@pytest.mark.parametrize("tower", ["image", "text"])
def test_every_tensor_of_the_starter_has_the_shape_that_it_has_when_run(tower: str) -> None:
    """The engine is the judge: intermediate tensors are made outputs, and their shapes compared."""
    import onnxruntime

    from edgekit.locations import resolve

    bundle = open_bundle(resolve("starter"))
    record = bundle.manifest.variants[0].towers[tower]  # type: ignore[index]
    shape = (2, 224, 224, 3) if tower == "image" else (2, 9)
    model = onnx.load_model_from_string(bytes(bundle.read(record.artifact)))
    found = tensors(model, {record.input.name: shape})
    outputs = {value.name for value in model.graph.output}
    made = [name for node in model.graph.node for name in node.output if name and name not in outputs]
    assert not [name for name in made if found[name].shape is None]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    files = {path.rpartition("/")[2]: bundle.read(path) for path in record.sidecars}
    if files:
        views = list(files.values())
        options.add_external_initializers_from_files_in_memory(list(files), views, [len(view) for view in views])
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    pixels = np.random.default_rng(0).integers(0, 250, shape).astype(np.uint8 if tower == "image" else np.int32)
    rows = session.run(made, {record.input.name: pixels})
    wrong = [
        (name, row.shape, found[name].shape)
        for name, row in zip(made, rows, strict=True)
        if row.shape != found[name].shape
    ]
    assert not wrong


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.data())
def test_reshapes_agree_with_numpy(sides: list[int], data: st.DataObject) -> None:
    total = int(np.prod(sides))
    rows = data.draw(st.sampled_from([n for n in range(1, total + 1) if total % n == 0]))
    values = {"wanted": np.array([rows, -1])}
    node = helper.make_node("Reshape", ["x", "wanted"], ["y"])
    model = graph([node], {"x": (INT32, sides)}, ["y"], values=values)
    assert tensors(model, {"x": tuple(sides)})["y"].shape == np.zeros(sides).reshape(rows, -1).shape
    assert tensors(model, {"x": tuple(sides)})["wanted"].kind == INT64
