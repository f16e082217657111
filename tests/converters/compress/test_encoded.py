from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.compress import encoded, int8_weights


def _initializer(model, name):
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def _operators(model):
    return [node.op_type for node in model.graph.node]


def test_only_large_float32_weights_are_offered(random_text_model):
    random_text_model.graph.initializer.append(numpy_helper.from_array(np.zeros((64, 64), np.int64), "numbers"))
    random_text_model.graph.initializer.append(numpy_helper.from_array(np.zeros((64, 64)), "doubles"))
    assert [tensor.name for tensor, _ in encoded.large_weights(random_text_model)] == ["table", "weight"]


def test_the_least_size_counts_as_large(text_model):
    model = text_model(np.ones((32, 32), np.float32), np.ones((32, 31), np.float32), np.ones(31, np.float32))
    assert [tensor.name for tensor, _ in encoded.large_weights(model)] == ["table"]


def test_a_table_is_what_only_look_ups_of_rows_read(random_text_model):
    assert encoded.is_table(random_text_model, "table")
    assert not encoded.is_table(random_text_model, "weight")
    assert not encoded.is_table(random_text_model, "nobody reads this")


def test_a_table_read_by_something_else_too_is_none(random_text_model):
    random_text_model.graph.node.append(helper.make_node("Identity", ["table"], ["copy"]))
    assert not encoded.is_table(random_text_model, "table")


def test_looking_up_columns_makes_no_table(random_text_model):
    random_text_model.graph.node[0].attribute[0].i = 1
    assert not encoded.is_table(random_text_model, "table")


def test_a_table_is_decoded_after_the_look_up(random_text_model, run, ids):
    table = _initializer(random_text_model, "table")
    before = run(random_text_model, ids)
    exact = encoded.Encoded(numpy_helper.to_array(table) * np.float32(0.5), np.full((200, 1), 2.0, np.float32))
    encoded.replace(random_text_model, table, exact)
    assert _operators(random_text_model)[:4] == ["Gather", "Gather", "Cast", "Mul"]
    assert np.allclose(run(random_text_model, ids), before, atol=1e-6)


def test_other_weights_are_decoded_from_constants_alone(random_text_model, run, ids):
    weight = _initializer(random_text_model, "weight")
    before = run(random_text_model, ids)
    exact = encoded.Encoded(numpy_helper.to_array(weight) * np.float32(0.25), np.full((1, 32), 4.0, np.float32))
    encoded.replace(random_text_model, weight, exact)
    first, second = random_text_model.graph.node[:2]
    constants = {tensor.name for tensor in random_text_model.graph.initializer}
    assert first.op_type == "Cast" and set(first.input) <= constants
    assert second.op_type == "Mul" and set(second.input) <= constants | set(first.output)
    assert np.allclose(run(random_text_model, ids), before, atol=1e-6)


def test_without_a_scale_there_is_only_a_cast(random_text_model, run, ids):
    table, weight = (_initializer(random_text_model, name) for name in ("table", "weight"))
    before = run(random_text_model, ids)
    for tensor in (table, weight):
        encoded.replace(random_text_model, tensor, encoded.Encoded(numpy_helper.to_array(tensor)))
    assert _operators(random_text_model)[:4] == ["Cast", "Gather", "Cast", "MatMul"]
    assert np.array_equal(run(random_text_model, ids), before)


def test_every_reader_of_a_shared_table_is_served(random_text_model, run, ids):
    graph = random_text_model.graph
    graph.node.insert(1, helper.make_node("Gather", ["table", "token_ids"], ["again"]))
    graph.node.insert(2, helper.make_node("Add", ["rows", "again"], ["twice"]))
    graph.node[3].input[0] = "twice"
    before = run(random_text_model, ids)
    int8_weights.apply(random_text_model)
    assert _operators(random_text_model).count("Gather") == 4
    assert ((run(random_text_model, ids) * before).sum(1) > 0.999).all()


def test_a_tied_weight_is_decoded_once_for_all_readers(text_model, run):
    random = np.random.default_rng(0)
    square = random.normal(size=(40, 40)).astype(np.float32)
    model = text_model(square, square, np.zeros(40, np.float32))
    model.graph.node[1].input[1] = "table"
    model.graph.initializer.remove(_initializer(model, "weight"))
    ids = np.arange(40, dtype=np.int32)[None]
    before = run(model, ids)
    assert int8_weights.apply(model) == 1
    assert _operators(model)[:3] == ["Cast", "Mul", "Gather"]
    assert ((run(model, ids) * before).sum(1) > 0.999).all()


def test_bodies_of_control_flow_read_the_decoded_weight():
    def body(name, node):
        out = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 32])
        return helper.make_graph([node], name, [], [out])

    then = body("then", helper.make_node("MatMul", ["x", "weight"], ["then"]))
    other = body("other", helper.make_node("Identity", ["x"], ["other"]))
    graph = helper.make_graph(
        [helper.make_node("If", ["yes"], ["y"], then_branch=then, else_branch=other)],
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 32])],
        [
            numpy_helper.from_array(np.array(True), "yes"),
            numpy_helper.from_array(np.eye(32, dtype=np.float32), "weight"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert int8_weights.apply(model) == 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(3, 32)).astype(np.float32)
    assert np.allclose(session.run(None, {"x": x})[0], x, atol=1e-6)


def test_onnx_runtime_decodes_weights_when_it_opens_the_file(image_model, tmp_path):
    int8_weights.apply(image_model)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(image_model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    optimized = onnx.load(str(tmp_path / "optimized.onnx"))
    assert "Mul" not in _operators(optimized)
    assert {tensor.data_type for tensor in optimized.graph.initializer if tensor.dims} == {TensorProto.FLOAT}
