"""ncnn's form of the tiny towers means what the towers mean."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.adapting import unit_rows
from edgekit.bundle import schema
from edgekit.converters.graph import store
from edgekit.converters.targets import ncnn_graph, rewrites
from edgekit.converters.targets import ncnn_prepare_worker as preparing
from edgekit.errors import UnsupportedModelError


def prepared(folder, master, shape, tower):
    request = preparing.Request(str(master), shape, tower)
    (folder / preparing.REQUEST).write_text(schema.dumps(request))
    preparing.main(folder)
    facts = schema.loads(preparing.Facts, (folder / preparing.FACTS).read_bytes(), preparing.FACTS)
    return facts, store.load(folder / preparing.GRAPH)


def test_the_text_tower_looks_nothing_up_and_means_the_same(masters, rows, tmp_path) -> None:
    path, shape, ids = masters["text"]
    facts, model = prepared(tmp_path, path, shape, "text")
    assert facts.inputs == (ncnn_graph.WORDS, "token_ids")
    assert facts.input == "token_ids"
    assert facts.masks == 1
    assert {value.type.tensor_type.elem_type for value in model.graph.input} == {TensorProto.FLOAT}
    table = np.load(tmp_path / preparing.TABLE)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = np.concatenate(
        [session.run(None, {"words": table[row][None], "token_ids": row[None].astype(np.float32)})[0] for row in ids]
    )
    np.testing.assert_allclose(unit_rows(found), rows(path, ids), atol=1e-5)


def test_the_image_tower_takes_pixels_as_floats_and_means_the_same(masters, rows, tmp_path) -> None:
    path, shape, pixels = masters["image"]
    facts, model = prepared(tmp_path, path, shape, "image")
    assert facts.inputs == ("pixels",)
    assert "Cast" not in {node.op_type for node in model.graph.node}
    np.testing.assert_allclose(unit_rows(rows(model, pixels.astype(np.float32))), rows(path, pixels), atol=1e-5)


def test_ids_that_nothing_else_reads_are_no_input() -> None:
    model = lookup([helper.make_node("ReduceMax", ["rows"], ["y"], axes=[1], keepdims=0)])
    ncnn_graph.take_table_out(model)
    assert not ncnn_graph.compute_in_float(model)
    assert [value.name for value in model.graph.input] == [ncnn_graph.WORDS]


def lookup(nodes, tables=("table",)) -> onnx.ModelProto:
    """Ids int32 (1, 3) that are looked up in tables of 5 rows."""
    found = [
        helper.make_node("Gather", [name, "ids"], ["rows" if name == tables[0] else f"{name}.rows"]) for name in tables
    ]
    stored = [numpy_helper.from_array(np.ones((5, 2), np.float32), name) for name in tables]
    given = helper.make_tensor_value_info("ids", TensorProto.INT32, [1, 3])
    taken = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([*found, *nodes], "g", [given], [taken], stored)
    return onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    )


def test_two_tables_are_refused_by_name() -> None:
    model = lookup([helper.make_node("Add", ["rows", "other.rows"], ["y"])], ("table", "other"))
    with pytest.raises(UnsupportedModelError, match=r"looks its ids up in \['other', 'table'\].*mnn or openvino"):
        ncnn_graph.take_table_out(model)


def test_pixels_that_are_not_cast_are_refused(masters, folded) -> None:
    model = folded("text")
    with pytest.raises(UnsupportedModelError, match="does not begin by casting its pixels"):
        model.graph.node[0].op_type = "Identity"
        ncnn_graph.float_pixels(model)


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[1], [-1], [1, 2]])
def test_sums_are_means_and_mean_the_same(axes, keepdims) -> None:
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], "total", keepdims=keepdims)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * (3 if keepdims else 3 - len(axes)))],
        [numpy_helper.from_array(np.array(axes, np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert ncnn_graph.sums_as_means(model) == 1
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["ReduceMean", "Mul"]
    values = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = values.sum(axis=tuple(axes), keepdims=bool(keepdims))
    np.testing.assert_allclose(session.run(None, {"x": values})[0], wanted, atol=1e-5)
    assert ncnn_graph.sums_as_means(model) == 0


def test_a_sum_of_unknown_axes_is_refused() -> None:
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["x"], ["y"], "total")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    with pytest.raises(UnsupportedModelError, match=r"'total' \(ReduceSum\) has no fixed axes"):
        ncnn_graph.sums_as_means(helper.make_model(graph))


@pytest.mark.parametrize("shape", [[], [1], [2, 3]])
@pytest.mark.parametrize("value", [np.array([True]), np.array([2.5], np.float32), None])
def test_fills_are_stored_as_what_they_are(shape, value) -> None:
    given = {} if value is None else {"value": numpy_helper.from_array(value)}
    graph = helper.make_graph(
        [
            helper.make_node("ConstantOfShape", ["shape"], ["filled"], "fill", **given),
            helper.make_node("Identity", ["filled"], ["y"]),
        ],
        "g",
        [],
        [
            helper.make_tensor_value_info(
                "y", TensorProto.BOOL if value is not None and value.dtype == bool else 1, None
            )
        ],
        [numpy_helper.from_array(np.array(shape, np.int64), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert rewrites.store_fills(model) == 1
    assert [tensor.name for tensor in model.graph.initializer] == ["filled"]
    stored = numpy_helper.to_array(model.graph.initializer[0])
    assert stored.shape == tuple(shape)
    assert stored.dtype == (np.float32 if value is None else value.dtype)
    assert (stored == (0 if value is None else value[0])).all()
    assert rewrites.store_fills(model) == 0


def test_an_anchor_changes_nothing_at_all() -> None:
    model = lookup([helper.make_node("ReduceMax", ["rows"], ["y"], axes=[1], keepdims=0)])
    ncnn_graph.take_table_out(model)
    ncnn_graph.compute_in_float(model)
    ncnn_graph.anchor_batches(model)
    assert [node.op_type for node in model.graph.node] == ["BatchNormalization", "ReduceMax"]
    words = np.random.default_rng(0).normal(size=(1, 3, 2)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {ncnn_graph.WORDS: words})[0], words.max(axis=1))


IDS = np.array([[4, 0, 2]], np.int32)


@pytest.mark.parametrize(
    "before",
    [
        [],
        [helper.make_node("Cast", ["ids"], ["i"], to=TensorProto.INT64)],
        # As transformers' text towers are exported.
        [
            helper.make_node("Cast", ["ids"], ["wide"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["wide", "same"], ["i"]),
        ],
        [helper.make_node("Identity", ["ids"], ["copy"]), helper.make_node("Reshape", ["copy", "same"], ["i"])],
    ],
)
def test_a_table_is_found_behind_ids_of_another_type_or_form(before) -> None:
    """Both look-ups of one table are the rows that the layer before the graph gives."""
    model = lookup([])
    del model.graph.node[:]
    ids = before[-1].output[0] if before else "ids"
    nodes = [
        *before,
        helper.make_node("Gather", ["table", ids], ["rows"]),
        helper.make_node("Gather", ["table", "ids"], ["again"]),
        helper.make_node("Mul", ["rows", "again"], ["y"]),
    ]
    model.graph.node.extend(nodes)
    table = np.arange(10, dtype=np.float32).reshape(5, 2)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(table, "table"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 3]), "same"))
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    np.testing.assert_array_equal(ncnn_graph.take_table_out(model), table)
    assert not ncnn_graph.compute_in_float(model)
    assert [value.name for value in model.graph.input] == [ncnn_graph.WORDS]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {ncnn_graph.WORDS: table[IDS]})[0], table[IDS] ** 2)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda gather: gather.attribute.append(helper.make_attribute("axis", 1)), r"ids up in \['table'\]"),
        (lambda gather: gather.input.__setitem__(1, "shorter"), "ids up in no table"),
    ],
)
def test_another_way_to_look_up_is_told(change, told) -> None:
    """Along another axis; or only a part of the ids, whose rows are not those of all of them."""
    model = lookup([helper.make_node("ReduceMax", ["rows"], ["y"], axes=[1], keepdims=0)])
    model.graph.initializer.append(numpy_helper.from_array(np.array([[0, 1]]), "few"))
    model.graph.node.insert(0, helper.make_node("GatherElements", ["ids", "few"], ["shorter"], axis=1))
    (gather,) = [node for node in model.graph.node if node.op_type == "Gather"]
    change(gather)
    with pytest.raises(UnsupportedModelError, match=told):
        ncnn_graph.take_table_out(model)


def test_pixels_that_two_layers_cast_are_floats_for_both() -> None:
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, 2, 2, 3])
    taken = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 2, 3])
    nodes = [
        helper.make_node("Cast", ["pixels"], ["a"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["pixels"], ["b"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["a", "b"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", [pixels], [taken])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    ncnn_graph.float_pixels(model)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Mul"]
    values = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"pixels": values})[0], values**2)


@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=4),
    st.data(),
    st.booleans(),
)
@settings(deadline=None, max_examples=25)
def test_any_sum_is_a_mean_of_as_many(shape, data, keepdims) -> None:
    places = st.integers(-len(shape), len(shape) - 1)
    axes = data.draw(st.lists(places, min_size=1, max_size=len(shape), unique_by=lambda axis: axis % len(shape)))
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=int(keepdims))],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(axes, np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert ncnn_graph.sums_as_means(model) == 1
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = values.sum(axis=tuple(axes), keepdims=keepdims)
    np.testing.assert_allclose(session.run(None, {"x": values})[0], wanted, atol=1e-4)
