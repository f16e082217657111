"""The graph that engines take as it is: shapes stay free, tables may be small, and known faults are answered."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from edgekit.bundle import schema
from edgekit.converters.graph import store
from edgekit.converters.targets import operators, portable_worker
from edgekit.errors import UnsupportedModelError

ENGINES = ("mnn", "ncnn", "openvino")


def made(folder, master, tower, *, small_tables: bool = False, table: str = "mnn"):
    folder.mkdir(exist_ok=True)
    request = portable_worker.Request(str(master), tower, table, small_tables)
    (folder / portable_worker.REQUEST).write_text(schema.dumps(request))
    portable_worker.main(folder)
    text = (folder / portable_worker.FACTS).read_bytes()
    return schema.loads(portable_worker.Facts, text, portable_worker.FACTS), folder / portable_worker.GRAPH


@pytest.mark.parametrize(("tower", "shape"), [("image", ("N", 32, 32, 3)), ("text", ("N", "L"))])
def test_shapes_stay_free_and_nothing_else_changes(masters, rows, tmp_path, tower, shape) -> None:
    path, _, inputs = masters[tower]
    facts, graph = made(tmp_path, path, tower)
    assert facts.shape == shape
    assert (facts.output, facts.dimension, facts.tables, facts.unknown) == ("embedding", 16, 0, ())
    np.testing.assert_allclose(rows(graph, inputs), rows(path, inputs), atol=1e-6)
    assert "ConstantOfShape" not in {
        node.op_type
        for node in store.load(graph).graph.node
        if node.input[0] in {tensor.name for tensor in store.load(graph).graph.initializer}
    }


def test_small_tables_are_int8_with_a_scale_a_row(masters, rows, tmp_path) -> None:
    path, _, ids = masters["text"]
    facts, graph = made(tmp_path, path, "text", small_tables=True)
    assert facts.tables == 1
    stored = [numpy_helper.to_array(tensor) for tensor in store.load(graph).graph.initializer]
    assert [array.shape for array in stored if array.dtype == np.int8] == [(100, 32)]
    found, wanted = rows(graph, ids), rows(path, ids)
    assert 0 < np.abs(found - wanted).max() < 0.05


def test_an_operator_of_the_table_is_refused_before_the_tool_sees_it(masters, tmp_path) -> None:
    path, _, _ = masters["image"]
    model = store.load(path)
    model.graph.node[0].op_type = "ScatterND"
    other = tmp_path / "other.onnx"
    store.save(model, other)
    with pytest.raises(
        UnsupportedModelError, match=r"\(ScatterND\) cannot be compiled by MNN 3\.6\.1: MNN computes it wr"
    ):
        made(tmp_path / "work", other, "image")


@pytest.mark.parametrize("name", ENGINES)
def test_the_tables_are_whole(name) -> None:
    table = operators.read(name)
    assert table.opset == 17
    assert {"Conv", "MatMul", "Softmax", "LayerNormalization", "Reshape", "Erf"} <= set(table.proven)
    assert not set(table.proven) & set(table.refused)
    assert all(refusal.reason and refusal.offer.endswith(".") for refusal in table.refused.values())
    known = {item.name for item in onnx.defs.get_all_schemas()}
    assert {*table.proven, *table.refused} <= known
    assert onnxruntime.__version__
