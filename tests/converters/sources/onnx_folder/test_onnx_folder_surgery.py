"""What is put around a foreign graph computes what it should for any input, and what is cut off was not needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import foreign_graphs as foreign
from edgekit.bundle.manifest import ImageSpec
from edgekit.converters.sources import onnx_folder_surgery as surgery
from edgekit.errors import UnsupportedModelError
from foreign_graphs import info

RULES = ("ones", "not_pad", "to_first_pad")
ids = st.lists(st.integers(0, 4), min_size=6, max_size=6)


def model(path: Path, nodes: Any, inputs: Any, outputs: Any, values: Any = None) -> onnx.ModelProto:
    return onnx.load(foreign.save(path, nodes, inputs, outputs, values))


def run(graph: onnx.ModelProto, **given_inputs: Any) -> Any:
    onnx.checker.check_model(graph)
    return onnxruntime.InferenceSession(graph.SerializeToString()).run(None, given_inputs)[0]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ids, min_size=1, max_size=3), pad=st.integers(0, 4), rule=st.sampled_from(RULES))
def test_the_graph_derives_the_mask_that_numpy_derives(tmp_path: Path, rows: Any, pad: int, rule: Any) -> None:
    """A graph that gives back its mask shows what it is fed for any ids."""
    node = helper.make_node("Cast", ["attention_mask"], ["seen"], to=TensorProto.FLOAT)
    inputs = [info(name, TensorProto.INT64, ["N", "L"]) for name in ("input_ids", "attention_mask")]
    graph = model(tmp_path / "in.onnx", [node], inputs, [info("seen", TensorProto.FLOAT, ["N", "L"])])
    surgery.isolate(graph, "seen")
    surgery.text_input(graph, "input_ids", "attention_mask", None, rule, pad, "L")
    batch = np.array(rows, np.int32)
    found = run(graph, token_ids=batch)
    np.testing.assert_array_equal(found, surgery.mask_of(batch, rule, pad))


def test_token_types_are_zeros_whatever_the_ids(tmp_path: Path) -> None:
    node = helper.make_node("Cast", ["token_type_ids"], ["seen"], to=TensorProto.FLOAT)
    inputs = [info("input_ids", TensorProto.INT64, ["N", "L"]), info("token_type_ids", TensorProto.INT32, ["N", "L"])]
    graph = model(tmp_path / "in.onnx", [node], inputs, [info("seen", TensorProto.FLOAT, ["N", "L"])])
    surgery.isolate(graph, "seen")
    surgery.text_input(graph, "input_ids", None, "token_type_ids", "ones", 0, 4)
    assert [dim.dim_value for dim in graph.graph.input[0].type.tensor_type.shape.dim] == [0, 4]
    np.testing.assert_array_equal(run(graph, token_ids=np.array([[1, 2, 3, 4]], np.int32)), np.zeros((1, 4)))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.floats(-6e4, 6e4, width=16), min_size=3, max_size=3), min_size=1, max_size=3))
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_any_row_gets_length_one_and_zeros_stay(tmp_path: Path, kind: int, rows: Any) -> None:
    """Up to the largest numbers of float16, whose squares do not fit in it."""
    graph = model(
        tmp_path / "in.onnx",
        [helper.make_node("Identity", ["rows"], ["same"])],
        [info("rows", kind, ["N", 3])],
        [info("same", kind, ["N", 3])],
    )
    surgery.isolate(graph, "same")
    surgery.unit_output(graph, 3)
    values = np.array(rows, np.float16 if kind == TensorProto.FLOAT16 else np.float32)
    found = run(graph, **{"tower/rows": values})
    assert found.dtype == np.float32
    exact = values.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1)
    for row, wanted, length in zip(found, exact, lengths, strict=True):
        if length == 0:
            np.testing.assert_array_equal(row, 0)
        elif length > 1e-3:  # below, a row counts as noise and is not blown up to length one
            np.testing.assert_allclose(row, wanted / length, atol=1e-6)
        assert np.isfinite(row).all()


def branch(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), name, [], [info(name, TensorProto.FLOAT, None)])


def test_what_only_a_body_reads_is_kept_and_the_rest_goes(tmp_path: Path) -> None:
    """``hidden`` is an input of no node of the main graph: only the branches of the If read it."""
    nodes = [
        helper.make_node("Neg", ["x"], ["hidden"]),
        helper.make_node("Exp", ["x"], ["unused"]),
        helper.make_node(
            "If",
            ["yes"],
            ["kept"],
            then_branch=branch("then", helper.make_node("Mul", ["hidden", "two"], ["then"])),
            else_branch=branch("else", helper.make_node("Identity", ["hidden"], ["else"])),
        ),
    ]
    outputs = [info(name, TensorProto.FLOAT, ["N", 2]) for name in ("unused", "kept")]
    values = {"yes": np.array(True), "two": np.array(2, np.float32)}
    graph = model(tmp_path / "in.onnx", nodes, [info("x", TensorProto.FLOAT, ["N", 2])], outputs, values)
    surgery.isolate(graph, "kept")
    assert [node.op_type for node in graph.graph.node] == ["Neg", "If"]
    assert [value.name for value in graph.graph.output] == ["tower/kept"]
    x = np.array([[1, -2]], np.float32)
    np.testing.assert_array_equal(run(graph, **{"tower/x": x}), -2 * x)


def test_an_output_in_the_middle_of_the_graph_ends_it(tmp_path: Path) -> None:
    nodes = [helper.make_node("Neg", ["x"], ["middle"]), helper.make_node("Exp", ["middle"], ["end"])]
    outputs = [info(name, TensorProto.FLOAT, ["N", 2]) for name in ("end", "middle")]
    graph = model(tmp_path / "in.onnx", nodes, [info("x", TensorProto.FLOAT, ["N", 2])], outputs)
    graph.graph.value_info.append(info("middle", TensorProto.FLOAT, [1, 2]))  # of one batch, which is no longer true
    surgery.isolate(graph, "middle")
    assert [node.op_type for node in graph.graph.node] == ["Neg"]
    assert not graph.graph.value_info
    x = np.array([[1, -2], [3, 4]], np.float32)
    np.testing.assert_array_equal(run(graph, **{"tower/x": x}), -x)


def test_defaults_of_inputs_are_weights_and_true_inputs_stay(tmp_path: Path) -> None:
    node = helper.make_node("Mul", ["x", "w"], ["y"])
    inputs = [info("w", TensorProto.FLOAT, [2]), info("x", TensorProto.FLOAT, ["N", 2])]
    outputs, values = [info("y", TensorProto.FLOAT, ["N", 2])], {"w": np.array([3, 4], np.float32)}
    graph = model(tmp_path / "in.onnx", [node], inputs, outputs, values)
    surgery.isolate(graph, "y")
    assert [value.name for value in graph.graph.input] == ["tower/x"]
    (weight,) = graph.graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(weight), [3, 4])


def test_an_input_that_is_not_there_is_told(tmp_path: Path) -> None:
    node = helper.make_node("Neg", ["x"], ["y"])
    inputs, outputs = [info("x", TensorProto.FLOAT, ["N", 2])], [info("y", TensorProto.FLOAT, ["N", 2])]
    graph = model(tmp_path / "in.onnx", [node], inputs, outputs)
    surgery.isolate(graph, "y")
    spec = ImageSpec(4, 6, "squash", 0, "bicubic", (0, 0, 0), (0.5,) * 3, (0.5,) * 3)
    with pytest.raises(UnsupportedModelError, match="the graph has no input 'pixel_values'"):
        surgery.image_input(graph, "pixel_values", spec, 1)
