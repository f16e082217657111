"""The static graph that compilers take: each of a request's options is done, told, and changes no embedding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tiny_masters
from edgekit.adapting import PROJECTION, unit_rows
from edgekit.bundle import schema
from edgekit.converters.graph import store
from edgekit.converters.targets import prepare_worker
from edgekit.converters.targets.prepare_worker import FACTS, GRAPH, REQUEST, Facts, Request
from edgekit.errors import ConversionError, EdgekitError, InputError, UnsupportedModelError


@pytest.fixture
def prepare(masters, tmp_path):
    """Prepare a tiny tower; returns what was said and the graph."""

    def run(tower, master=None, **options):
        path, shape, _ = masters[tower]
        asked = replace(Request(str(master or path), shape, tower, "ascend"), **options)
        (tmp_path / REQUEST).write_text(schema.dumps(asked))
        prepare_worker.main(tmp_path)
        told = schema.loads(Facts, (tmp_path / FACTS).read_bytes(), FACTS)
        return told, store.load(tmp_path / asked.out)

    return run


def kinds(model) -> set[str]:
    return {node.op_type for node in model.graph.node}


def test_pixels_are_scaled_outside_and_the_scaling_is_told(prepare, masters, rows) -> None:
    path, _, pixels = masters["image"]
    told, model = prepare("image")
    mean, std = (255 * np.array(values) for values in (tiny_masters.SPEC.mean, tiny_masters.SPEC.std))
    np.testing.assert_allclose(told.mean, mean, rtol=1e-4)
    np.testing.assert_allclose(told.std, std, rtol=1e-4)
    assert (told.input, told.dimension, model.graph.output[0].name) == ("pixels", tiny_masters.DIMENSION, PROJECTION)
    scaled = ((pixels - told.mean) / told.std).astype(np.float32).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(unit_rows(rows(model, scaled)), rows(path, pixels), atol=1e-5)


def rich(master, tower, out):
    """Write a tower with an average over its picture, or a choice and a length behind its last product."""
    model = store.load(master)
    kind = "Conv" if tower == "image" else "MatMul"
    last = next(node for node in reversed(model.graph.node) if node.op_type == kind)
    place, name = list(model.graph.node).index(last), last.output[0]
    last.output[0] = "straight"
    for constant, value in (("zero", 0.0), ("whole", 1.0), ("half", 0.5)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), constant))
    pictures = [
        helper.make_node("GlobalAveragePool", ["straight"], ["average"], "average"),
        helper.make_node("Add", ["straight", "average"], [name], "brighter"),
    ]
    words = [
        helper.make_node("Greater", ["straight", "zero"], ["positive"], "positive"),
        helper.make_node("Where", ["positive", "whole", "half"], ["factor"], "leaky"),
        helper.make_node("Mul", ["straight", "factor"], ["bent"], "bent"),
        helper.make_node("ReduceL2", ["bent"], ["length"], "length", axes=[-1]),
        helper.make_node("Add", ["bent", "length"], [name], "longer"),
    ]
    for node in reversed(pictures if tower == "image" else words):
        model.graph.node.insert(place + 1, node)
    store.save(model, out)
    return out


@pytest.mark.parametrize(
    ("tower", "options", "gone"),
    [
        ("image", {"averages": False}, {"GlobalAveragePool"}),
        ("image", {"biases": False}, set()),
        ("text", {"argmax": False}, {"ArgMax"}),
        ("text", {"lengths": False}, {"ReduceL2"}),
        ("text", {"choices": False}, {"Where"}),
        ("text", {"lengths": False, "choices": False, "argmax": False, "averages": False}, {"ArgMax", "Where"}),
    ],
)
def test_what_a_compiler_has_not_is_written_otherwise(prepare, masters, rows, tmp_path, tower, options, gone) -> None:
    path, inputs = rich(masters[tower][0], tower, tmp_path / "rich.onnx"), masters[tower][2]
    told, model = prepare(tower, path, scaling_outside=False, **options)
    onnx.checker.check_model(model)
    every = {"GlobalAveragePool"} if tower == "image" else {"ArgMax", "ReduceL2", "Where"}
    assert kinds(model) & every == every - gone - ({"ReduceL2"} if "lengths" in options else set())
    assert (told.mean, told.std) == ((), ())
    np.testing.assert_allclose(unit_rows(rows(model, inputs)), rows(path, inputs), atol=1e-5)
    assert (told.biases > 0) == options.get("biases", True)
    assert told.masks == (1 if tower == "text" else 0)


def test_the_file_has_the_name_that_was_asked_for_and_nothing_else_is_left(prepare, tmp_path) -> None:
    prepare("text", out="text.onnx")
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        REQUEST,
        FACTS,
        "text.onnx",
        "text.onnx.data",
    }


def test_an_operator_that_is_refused_leaves_no_facts(prepare, masters, tmp_path) -> None:
    """Whoever reads the facts may trust that the graph is whole."""
    model = store.load(masters["text"][0])
    place = next(i for i, node in enumerate(model.graph.node) if node.op_type == "Softmax")
    old = model.graph.node[place]
    model.graph.node.insert(place, helper.make_node("Hardmax", list(old.input), list(old.output), "layer/odd", axis=-1))
    model.graph.node.remove(model.graph.node[place + 1])
    store.save(model, tmp_path / "odd.onnx")
    with pytest.raises(
        UnsupportedModelError, match=r"'layer/odd' \(Hardmax\) cannot be compiled by onnxruntime's Core"
    ):
        prepare("text", tmp_path / "odd.onnx", table="coreml-provider")
    assert not (tmp_path / FACTS).exists()


def test_a_tower_without_a_length_is_told(prepare, tmp_path, masters) -> None:
    model = store.load(masters["text"][0])
    end = next(node for node in model.graph.node if node.output[0] == model.graph.output[0].name)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "one"))
    end.output[0] = "unit"
    model.graph.node.append(helper.make_node("Sub", ["unit", "one"], [model.graph.output[0].name], "shift"))
    store.save(model, tmp_path / "shifted.onnx")
    with pytest.raises(UnsupportedModelError, match="does not end in rows of length one"):
        prepare("text", tmp_path / "shifted.onnx")


def test_a_newer_operator_set_than_the_tools_is_told(prepare, tmp_path, masters) -> None:
    model = store.load(masters["image"][0])
    (entry,) = [one for one in model.opset_import if one.domain in ("", "ai.onnx")]
    entry.version = 22
    # From set 18 on a mean's axes are an input.
    for node in model.graph.node:
        for attribute in [one for one in node.attribute if one.name == "axes"]:
            name = f"{node.output[0]}.axes"
            model.graph.initializer.append(numpy_helper.from_array(np.array(attribute.ints), name))
            node.input.append(name)
            node.attribute.remove(attribute)
    store.save(model, tmp_path / "young.onnx")
    with pytest.raises(UnsupportedModelError, match=r"image tower uses operator set 22, CANN 8 reads 18"):
        prepare("image", tmp_path / "young.onnx")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", REQUEST),
        ('{"master": "a.onnx"}', REQUEST),
        ('{"master": "a.onnx", "shape": [1], "tower": "text", "table": "qnn", "extra": 1}', "extra"),
    ],
)
def test_a_request_that_is_malformed_is_named(tmp_path, text, told) -> None:
    (tmp_path / REQUEST).write_text(text)
    with pytest.raises(EdgekitError, match=told):
        prepare_worker.main(tmp_path)


def test_a_master_that_is_missing_is_named(prepare, tmp_path) -> None:
    with pytest.raises((ConversionError, InputError), match=r"away\.onnx"):
        prepare("text", tmp_path / "away.onnx")
    assert not (tmp_path / GRAPH).exists()


def test_the_batch_is_one_whatever_the_master_says(prepare) -> None:
    for tower in ("image", "text"):
        _, model = prepare(tower, scaling_outside=False)
        for value in (*model.graph.input, *model.graph.output):
            assert value.type.tensor_type.shape.dim[0].dim_value == 1
            assert all(dim.dim_value > 0 for dim in value.type.tensor_type.shape.dim)
        assert model.graph.input[0].type.tensor_type.elem_type in (TensorProto.UINT8, TensorProto.INT32)
