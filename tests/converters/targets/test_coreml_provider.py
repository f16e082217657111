"""Graphs for ONNX Runtime's Core ML provider: static, scaled outside, typed, and run before any Mac has them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgekit.converters.quantize.data import GOLDEN, HELD_OUT
from edgekit.converters.targets import catalog
from edgekit.converters.targets.records import TowerJob
from edgekit.errors import ConversionError, UnsupportedModelError
from edgekit.fidelity import agreement


@pytest.fixture
def job(masters, tmp_path):
    """A job on a tiny tower for a chip, and the float rows of its inputs."""

    def make(name, precision, chip="coreml-provider"):
        path, shape, samples = masters[name]
        np.save(tmp_path / "inputs.npy", samples)
        folder = tmp_path / f"{name}-{precision}"
        folder.mkdir()
        parts = dict.fromkeys((HELD_OUT, GOLDEN), tmp_path / "inputs.npy")
        target, found = catalog.find(chip)
        asked = TowerJob(name, found, precision, path, shape, parts, tmp_path / "none.npy", 0.99, folder)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return target, asked, session.run(None, {session.get_inputs()[0].name: samples})[0]

    return make


@pytest.mark.parametrize("name", ["image", "text"])
@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.999999), ("fp16", 0.999)])
def test_a_tower_is_typed_static_and_right(job, name, precision, least) -> None:
    target, asked, rows = job(name, precision)
    stages: list[str] = []
    built = target.build(asked, stages.append)
    assert agreement(built.rows[HELD_OUT], rows).centred_mean > least
    assert (built.precision, built.files[0].name) == (precision, f"{name}.onnx")
    model = onnx.load(str(built.files[0]))
    kinds = Counter(tensor.data_type for tensor in model.graph.initializer)
    assert (kinds[TensorProto.FLOAT16] > 5) == (precision == "fp16")
    (given,), (taken,) = model.graph.input, model.graph.output
    assert [dim.dim_value for dim in given.type.tensor_type.shape.dim] == list(built.input.shape)
    # Core ML's arrays are of floats and 32-bit integers.
    wanted = TensorProto.FLOAT if name == "image" else TensorProto.INT32
    assert given.type.tensor_type.elem_type == wanted
    assert (taken.name, taken.type.tensor_type.elem_type) == ("projection", TensorProto.FLOAT)
    assert any("rounded to float16" in stage for stage in stages) == (precision == "fp16")


def test_the_file_opens_on_the_processor_and_says_nearly_the_same(job) -> None:
    target, asked, rows = job("image", None)
    built = target.build(asked, lambda _: None)
    assert built.precision == "fp16"
    session = onnxruntime.InferenceSession(str(built.files[0]), providers=["CPUExecutionProvider"])
    given = np.load(asked.folder / f"{HELD_OUT}.half.npy")
    found = np.concatenate([session.run(None, {built.input.name: row[None]})[0] for row in given])
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    assert agreement(found.astype(np.float32), rows).centred_mean > 0.999


def changed(job, tmp_path, nodes, constants=()):
    """The text tower with nodes behind its last product, from ``straight`` to the last node's output."""
    target, asked, _ = job("text", "fp16")
    model = onnx.load(str(asked.master))
    last = next(one for one in reversed(model.graph.node) if one.op_type == "MatMul")
    place, nodes[-1].output[0] = list(model.graph.node).index(last), last.output[0]
    last.output[0] = "straight"
    for node in reversed(nodes):
        model.graph.node.insert(place + 1, node)
    model.graph.initializer.extend(constants)
    path = tmp_path / "changed.onnx"
    onnx.save(model, str(path))
    return target, replace(asked, master=path)


def test_an_operator_without_a_form_is_named(job, tmp_path) -> None:
    node = helper.make_node("Hardmax", ["straight"], ["?"], "head/hardmax")
    target, asked = changed(job, tmp_path, [node])
    with pytest.raises(
        UnsupportedModelError, match=r"'head/hardmax' \(Hardmax\) cannot be compiled by onnxruntime's Core"
    ):
        target.build(asked, lambda _: None)


def test_a_tower_that_leaves_the_range_of_float16_is_refused(job, tmp_path) -> None:
    big = onnx.numpy_helper.from_array(np.float32([6e4]), "big")
    nodes = [
        helper.make_node("Mul", ["straight", "big"], ["larger"]),
        helper.make_node("Mul", ["larger", "big"], ["largest"]),
        helper.make_node("LeakyRelu", ["largest"], ["?"], alpha=0.5),
    ]
    target, asked = changed(job, tmp_path, nodes, [big])
    with pytest.raises(ConversionError, match=r"the text tower on coreml-provider: .*NaN"):
        target.build(asked, lambda _: None)
