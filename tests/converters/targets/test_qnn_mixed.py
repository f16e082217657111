"""Mixed precision for Qualcomm: what is told to the vendor's tool, and the emulation of it, on the tiny towers."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize
from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config

from edgekit.converters.targets import qnn_mixed


def _values(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


@pytest.fixture
def net():
    """Two products with a shared constant between, no node with a name: (1, 4) to (1, 3)."""
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["a"]),
        helper.make_node("Add", ["a", "one"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("MatMul", ["c", "second"], ["d"]),
        helper.make_node("Add", ["d", "one"], ["e"]),
        helper.make_node("Clip", ["e", "low"], ["y"]),
    ]
    constants = {"first": _values(4, 3), "second": _values(3, 3), "one": np.float32(1), "low": np.float32(-2)}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Reader(CalibrationDataReader):
    """Rows of the net's input."""

    def __init__(self, rows):
        self.rows = iter(rows)

    def get_next(self):
        row = next(self.rows, None)
        return None if row is None else {"x": row[None]}


def _quantized(model, path, kept=(), activations=QuantType.QUInt8):
    source = path.with_name("source.onnx")
    onnx.save(model, str(source))
    types = {8: QuantType.QUInt8, 16: QuantType.QUInt16}
    told = {}
    for tensor, found in qnn_mixed.overrides(model, kept).items():
        told[tensor] = [{"quant_type": types[found["bits"]]}]
        if found["others"]:
            told[tensor][0]["convert"] = {"quant_type": types[24 - found["bits"]], "recv_nodes": {*found["others"]}}
    rows = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    config = get_qnn_qdq_config(
        source, Reader(rows), activation_type=activations, init_overrides=told, add_qtype_converts=False
    )
    quantize(source, path, config)
    return onnx.load(str(path))


def _run(model, rows):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": row[None]})[0] for row in rows])


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)


def test_every_node_gets_a_name_and_its_own_constant(net, rows) -> None:
    wanted = _run(net, rows)
    qnn_mixed.settle(net)
    onnx.checker.check_model(net)
    names = [node.name for node in net.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    first, second = (node.input[1] for node in net.graph.node if node.op_type == "Add")
    assert first != second
    np.testing.assert_array_equal(_run(net, rows), wanted)


def test_names_that_are_there_stay_and_twins_are_told_apart(net) -> None:
    for node in net.graph.node:
        node.name = "twin"
    qnn_mixed.settle(net)
    assert net.graph.node[0].name == "twin"
    assert len({node.name for node in net.graph.node}) == 6


def test_runs_begin_with_products_and_hold_every_node_once(net) -> None:
    found = qnn_mixed.runs(net, 10)
    assert [nodes for _, nodes in found] == [("a", "b", "c"), ("d", "e", "y")]
    assert found[0][0] == "MatMul a to Relu c"
    (whole,) = qnn_mixed.runs(net, 1)
    assert whole[1] == ("a", "b", "c", "d", "e", "y")


def test_what_is_told_has_conversions_at_both_borders(net) -> None:
    qnn_mixed.settle(net)
    assert qnn_mixed.overrides(net, ()) == {}
    names = {node.output[0]: node.name for node in net.graph.node}
    found = qnn_mixed.overrides(net, {"d", "e"})
    (constant,) = [name for node in net.graph.node if node.output[0] == "e" for name in node.input if name != "d"]
    assert found == {
        "c": {"bits": 8, "others": [names["d"]]},
        "d": {"bits": 16, "others": []},
        "e": {"bits": 16, "others": [names["y"]]},
        constant: {"bits": 16, "others": []},
    }


def test_the_weights_of_a_product_and_the_bounds_of_a_range_keep_their_type(net) -> None:
    qnn_mixed.settle(net)
    everything = {node.output[0] for node in net.graph.node}
    found = qnn_mixed.overrides(net, everything)
    assert not {"first", "second", "low"} & set(found)
    assert found["x"] == {"bits": 8, "others": [net.graph.node[0].name]}


@pytest.mark.parametrize("kept", [{"d", "e", "y"}, {"a", "b", "c"}, {"a", "b", "c", "d", "e", "y"}])
def test_the_emulation_says_what_the_built_file_says(net, rows, tmp_path, kept) -> None:
    qnn_mixed.settle(net)
    exact = _run(net, rows)
    eight = _quantized(net, tmp_path / "eight.onnx")
    before = eight.SerializeToString()
    emulated = _run(qnn_mixed.emulate(eight, kept), rows)
    assert eight.SerializeToString() == before
    built = _run(_quantized(net, tmp_path / "mixed.onnx", kept), rows)
    coarse = np.abs(_run(eight, rows) - exact).mean()
    # The grids of 16 bits differ by a part of one of their steps; a step of 8 bits is 257 of them.
    assert np.abs(emulated - built).mean() < coarse / 4
    assert np.abs(emulated - exact).mean() < coarse


def test_without_a_node_the_emulation_is_the_file(net, rows, tmp_path) -> None:
    qnn_mixed.settle(net)
    eight = _quantized(net, tmp_path / "eight.onnx")
    np.testing.assert_array_equal(_run(qnn_mixed.emulate(eight, ()), rows), _run(eight, rows))


def test_the_files_own_output_has_the_bits_of_its_node(net, tmp_path) -> None:
    qnn_mixed.settle(net)
    made = qnn_mixed.emulate(_quantized(net, tmp_path / "eight.onnx"), {"d", "e", "y"})
    last = next(node for node in made.graph.node if "y" in node.output)
    (zero,) = [tensor for tensor in made.graph.initializer if tensor.name == last.input[2]]
    assert zero.data_type == TensorProto.UINT16
    onnx.checker.check_model(made)
