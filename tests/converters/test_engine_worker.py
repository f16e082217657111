"""The child that runs exported graphs: its arrays are the graphs' own, and graphs off the contract are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import foreign_graphs as foreign
import work_folder
from edgekit.bundle import schema
from edgekit.bundle.manifest import TensorSpec
from edgekit.converters import engine_worker, exchange, verdict
from edgekit.errors import ConversionError, EdgekitError
from foreign_graphs import info
from tiny_towers import DIMENSION, SIZE, embed_ids, embed_pixels
from work_folder import Work


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return work_folder.make(tmp_path / "work")


def stored(work: Work, name: str) -> np.ndarray:  # type: ignore[type-arg]
    found: np.ndarray = np.load(exchange.array(work.folder, name))  # type: ignore[type-arg]
    return found


def test_every_row_is_stored_at_every_batch_size(work: Work) -> None:
    """Seven photos and nine texts: no batch of five divides them."""
    engine_worker.main(work.folder, "float32")
    images, texts = embed_pixels(work.weights, work.pixels), embed_ids(work.weights, work.ids)
    for batch in engine_worker.BATCHES:
        np.testing.assert_allclose(stored(work, f"float32_image_batch{batch}"), images, atol=1e-5)
        np.testing.assert_allclose(stored(work, f"float32_text_batch{batch}"), texts, atol=1e-5)
    # Padding does not count in this model: without it every text embeds as before.
    np.testing.assert_allclose(stored(work, "float32_text_trimmed"), texts, atol=1e-5)
    assert verdict.trims(work.folder)


def test_the_tensors_are_told_as_the_engine_sees_them(work: Work) -> None:
    engine_worker.main(work.folder, "float32")
    text = (work.folder / "float32" / exchange.SHAPES).read_text()
    shapes = schema.loads(exchange.Shapes, text, exchange.SHAPES)
    assert shapes.image.input == TensorSpec("pixels", "uint8", ("N", SIZE, SIZE, 3))
    assert shapes.image.output == TensorSpec("embedding", "float32", ("N", DIMENSION))
    # Whatever the graph calls its free dimensions, the contract has one name for each.
    assert shapes.text.input == TensorSpec("token_ids", "int32", ("N", "L"))
    import onnxruntime

    assert shapes.engine == onnxruntime.__version__


def replace_tower(work: Work, tower: str, nodes: list[onnx.NodeProto], inputs: list[onnx.ValueInfoProto]) -> None:
    outputs = [info("embedding", TensorProto.FLOAT, None)]
    foreign.save(work.folder / "float32" / f"{tower}.onnx", nodes, inputs, outputs)


def test_a_text_tower_of_one_length_is_not_asked_for_shorter_texts(work: Work) -> None:
    path = work.folder / "float32" / "text.onnx"
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = work.ids.shape[1]
    onnx.save(model, path)
    engine_worker.main(work.folder, "float32")
    assert not exchange.array(work.folder, "float32_text_trimmed").exists()
    assert not verdict.trims(work.folder)
    shapes = schema.loads(exchange.Shapes, (path.parent / exchange.SHAPES).read_text(), exchange.SHAPES)
    assert shapes.text.input.shape == ("N", work.ids.shape[1])


@pytest.mark.parametrize("tower", ["image", "text"])
def test_two_inputs_are_counted_before_anything_runs(work: Work, tower: str) -> None:
    nodes = [
        helper.make_node("Add", ["one", "two"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["embedding"], to=TensorProto.FLOAT),
    ]
    inputs = [info(name, TensorProto.INT32, ["N", "L"]) for name in ("one", "two")]
    replace_tower(work, tower, nodes, inputs)
    with pytest.raises(ConversionError, match=rf"{tower}\.onnx: has 2 inputs and 1 outputs, not 1"):
        engine_worker.main(work.folder, "float32")
    assert not (work.folder / "float32" / exchange.SHAPES).exists()


def test_a_photo_of_free_size_is_off_the_contract(work: Work) -> None:
    nodes = [
        helper.make_node("Cast", ["pixels"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["embedding"], axes=[1, 2], keepdims=0),
    ]
    replace_tower(work, "image", nodes, [info("pixels", TensorProto.UINT8, ["N", "H", "W", 3])])
    with pytest.raises(ConversionError, match=r"image\.onnx: pixels has shape \(None, None, None, 3\); only N may be"):
        engine_worker.main(work.folder, "float32")


def test_an_embedding_of_free_length_is_off_the_contract(work: Work) -> None:
    replace_tower(
        work,
        "text",
        [helper.make_node("Cast", ["token_ids"], ["embedding"], to=TensorProto.FLOAT)],
        [info("token_ids", TensorProto.INT32, ["N", "L"])],
    )
    with pytest.raises(
        ConversionError, match=r"text\.onnx: embedding has shape \(None, None\); only N may be left free"
    ):
        engine_worker.main(work.folder, "float32")


def test_weights_that_are_missing_are_told_with_the_graph(work: Work) -> None:
    (work.folder / "float32" / "image.onnx.data").unlink()
    with pytest.raises(EdgekitError, match=r"image\.onnx"):
        engine_worker.main(work.folder, "float32")


def test_a_graph_that_ends_halfway_is_told(work: Work) -> None:
    """The text table has no row for the ids: the engine fails while it runs, not while it opens."""
    path = work.folder / "float32" / "text.onnx"
    model = onnx.load(path)
    (table,) = [tensor for tensor in model.graph.initializer if tensor.name == "table"]
    table.CopyFrom(numpy_helper.from_array(work.weights.table[:2], "table"))
    onnx.save(model, path)
    with pytest.raises(EdgekitError, match=r"text\.onnx"):
        engine_worker.main(work.folder, "float32")
    assert not (work.folder / "float32" / exchange.SHAPES).exists()
