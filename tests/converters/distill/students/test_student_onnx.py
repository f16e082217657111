"""A portable ONNX tower as a module: the engine's numbers at any size, and gradients for every weight."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import small_towers
import tiny_towers
from edgekit.bundle.manifest import ImageSpec
from edgekit.converters.distill.students.adapt import last_linear
from edgekit.converters.distill.students.onnx_ends import beginning, ending, planes_of
from edgekit.converters.distill.students.onnx_files import FromPlanes, image_module, text_module
from edgekit.converters.distill.students.onnx_tower import OnnxTower
from edgekit.converters.graph import store
from edgekit.errors import InputError, UnsupportedModelError


def _whole(model):
    return OnnxTower(model, model.graph.input[0].name, model.graph.output[0].name)


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (small_towers.convnet, small_towers.pixels),
        (small_towers.gemm_tower, small_towers.pixels),
        (small_towers.transformer, small_towers.ids),
    ],
    ids=["convolutions", "gemm", "transformer"],
)
def test_the_module_computes_what_the_engine_does(make, inputs, rows):
    model, batch = make(), inputs(rows)
    found = _whole(model)(torch.from_numpy(batch)).detach().numpy()
    np.testing.assert_allclose(found, small_towers.run(model, batch), atol=1e-5)


@pytest.mark.parametrize("length", [1, 3, 9])
def test_the_length_of_texts_is_free(length):
    model, batch = small_towers.transformer(post_norm=True), small_towers.ids(3, length)
    found = _whole(model)(torch.from_numpy(batch)).detach().numpy()
    np.testing.assert_allclose(found, small_towers.run(model, batch), atol=1e-5)


@pytest.mark.parametrize("make", [small_towers.convnet, small_towers.transformer], ids=["convolutions", "transformer"])
def test_every_weight_gets_a_gradient_and_can_learn(make):
    module = _whole(make())
    batch = small_towers.pixels() if make is small_towers.convnet else small_towers.ids()
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    target = nn.functional.normalize(torch.ones(8, small_towers.DIMENSION), dim=-1)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = (module(torch.from_numpy(batch)) - target).square().sum()
        loss.backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_matrices_are_layers_with_their_bias():
    module = _whole(small_towers.transformer(blocks=1))
    layers = [part for part in module.modules() if isinstance(part, nn.Linear)]
    assert len(layers) == 7
    assert [layer.bias is None for layer in layers].count(True) == 1  # the projection
    assert sum(isinstance(part, nn.LayerNorm) for part in module.modules()) == 3
    assert sum(isinstance(part, nn.Embedding) for part in module.modules()) == 1
    # Single numbers, such as the square root in GELU, do not learn.
    assert all(parameter.numel() > 1 for parameter in module.parameters())


def test_shared_weights_become_separate_ones():
    model = small_towers.transformer(blocks=1)
    for node in model.graph.node:
        if node.op_type == "LayerNormalization":
            node.input[1] = "last.norm.scale"
    module = _whole(model)
    norms = [part.weight for part in module.modules() if isinstance(part, nn.LayerNorm)]
    assert len({id(weight) for weight in norms}) == 3


def test_the_ends_of_a_contract_graph_are_found(tmp_path):
    weights = tiny_towers.weights(0, 50)
    tiny_towers.save_image_tower(tmp_path / "image.onnx", weights)
    model = store.load(tmp_path / "image.onnx")
    size = tiny_towers.SIZE
    spec = ImageSpec(size, size, "squash", 0, "bicubic", (0, 0, 0), tiny_towers.MEAN, tiny_towers.STD)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8))
    assert beginning(model, spec) == "planes"
    assert ending(model, pixels) == "projected"
    tower = OnnxTower(model, "planes", "projected")
    rows = nn.functional.normalize(tower(planes_of(pixels, spec)), dim=-1).detach().numpy()
    np.testing.assert_allclose(rows, tiny_towers.embed_pixels(weights, pixels.numpy()), atol=1e-5)
    assert last_linear(tower).out_features == tiny_towers.DIMENSION


def test_a_graph_of_another_scale_is_given_pixels():
    model = small_towers.convnet()  # divides by 128, which no mean and standard deviation of this record do
    side = small_towers.SIDE
    spec = ImageSpec(side, side, "squash", 0, "bicubic", (0, 0, 0), (0.5, 0.4, 0.3), (0.5, 0.6, 0.7))
    assert beginning(model, spec) == ""
    batch = small_towers.pixels()
    module = FromPlanes(OnnxTower(model, "pixels", ending(model, torch.from_numpy(batch))), spec)
    rows = nn.functional.normalize(module(planes_of(torch.from_numpy(batch), spec)), dim=-1).detach().numpy()
    np.testing.assert_allclose(rows, small_towers.run(model, batch), atol=1e-4)
    assert last_linear(module) is not None


def test_an_end_that_is_more_than_unit_length_stays():
    model = small_towers.gemm_tower()
    weight = numpy_helper.from_array(np.linspace(1, 2, small_towers.DIMENSION, dtype=np.float32), "uneven")
    model.graph.initializer.append(weight)
    model.graph.node[-1].output[0] = "unit"
    model.graph.node.append(helper.make_node("Mul", ["unit", "uneven"], ["embedding"], name="uneven.mul"))
    assert ending(model, torch.from_numpy(small_towers.pixels(2))) == "embedding"


@pytest.mark.parametrize("length", [3, 8])
def test_dynamic_shapes_are_followed(length):
    """What the exporter writes of Python's shapes: Shape, Gather, Concat, Range, Expand, Where, a sliced table."""
    random = np.random.default_rng(0)
    stored = {
        "table": random.normal(size=(20, 6)).astype(np.float32),
        "positions": random.normal(size=(8, 6)).astype(np.float32),
        "mask": np.triu(np.full((8, 8), -1e4, np.float32), 1),
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.int64),
        "start": np.array([0], np.int64),
        "axis": np.array([1], np.int64),
        "first": np.array([0], np.int64),
        "two": np.array([2], np.int64),
        "three": np.array([3], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["table", "token_ids"], ["tokens"]),
        helper.make_node("Shape", ["token_ids"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["length"]),
        helper.make_node("Gather", ["shape", "zero"], ["rows"]),
        helper.make_node("Unsqueeze", ["length", "first"], ["end"]),
        helper.make_node("Unsqueeze", ["rows", "first"], ["count"]),
        helper.make_node("Slice", ["positions", "start", "end", "first"], ["used"]),
        helper.make_node("Add", ["tokens", "used"], ["x"]),
        helper.make_node("Concat", ["count", "end", "two", "three"], ["split"], axis=0),
        helper.make_node("Reshape", ["x", "split"], ["parts"]),
        helper.make_node("ReduceMean", ["parts"], ["mean"], axes=[2], keepdims=0),
        helper.make_node("Transpose", ["mean"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["mean", "turned"], ["logits"]),
        helper.make_node("Slice", ["mask", "start", "end", "first"], ["few"]),
        helper.make_node("Slice", ["few", "start", "end", "axis"], ["masked"]),
        helper.make_node("Add", ["logits", "masked"], ["added"]),
        helper.make_node("Softmax", ["added"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "mean"], ["mixed"]),
        helper.make_node("ArgMax", ["token_ids"], ["last"], axis=1, keepdims=0),
        helper.make_node("Range", ["zero", "rows", "one"], ["range"]),
        helper.make_node("Unsqueeze", ["range", "axis"], ["range_column"]),
        helper.make_node("Unsqueeze", ["last", "axis"], ["last_column"]),
        helper.make_node("Concat", ["range_column", "last_column"], ["places"], axis=1),
        helper.make_node("GatherND", ["mixed", "places"], ["embedding"]),
    ]
    ids = helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["N", "L"])
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 3])
    tensors = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    graph = helper.make_graph(nodes, "g", [ids], [out], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    batch = random.integers(0, 20, (4, length)).astype(np.int32)
    module = _whole(model)
    np.testing.assert_allclose(
        module(torch.from_numpy(batch)).detach().numpy(), small_towers.run(model, batch), atol=1e-5
    )
    # The table and the positions learn, the mask does not.
    assert sorted(tuple(parameter.shape) for parameter in module.parameters()) == [(8, 6), (20, 6)]


def test_an_operator_that_cannot_be_trained_is_named():
    model = small_towers.gemm_tower()
    model.graph.node[3].op_type = "Mish"
    with pytest.raises(UnsupportedModelError, match=r"\(Mish\): a tower with this operator cannot be trained"):
        _whole(model)


def test_a_quantized_bundle_is_refused_with_the_way_out(tmp_path):
    from dataclasses import replace

    import student_kit
    import tiny_bundle
    from edgekit.converters.distill.recipe import ImageStudent
    from edgekit.converters.distill.students.create import create

    def quantized(manifest):
        return replace(manifest, variants=tuple(replace(one, precision="int8") for one in manifest.variants))

    bundle = tiny_bundle.build(tmp_path / "int8.edge", change=quantized)
    recipe = student_kit.recipe(tmp_path, ImageStudent("teacher"), None, teacher=str(bundle))
    with pytest.raises(InputError, match=r"student\.image\.arch teacher: .*holds int8 \(onnx\).*--weights float32"):
        create(recipe, bundle, tmp_path / "student")


def test_what_is_stored_is_the_tower_alone(make):
    from edgekit.converters.distill.recipe import ImageStudent, TextStudent

    student, folder = make(ImageStudent("teacher"), TextStudent("teacher"))
    image = store.load(folder / "image.onnx").graph
    assert (image.input[0].name, image.output[0].name) == ("planes", "projected")
    assert type(image_module(folder, student.image.spec)) is OnnxTower
    assert type(text_module(folder)) is OnnxTower
    assert "pixels" not in {name for node in image.node for name in node.input}
