"""Nodes one by one: what the module computes against ONNX Runtime, and which of them become layers that learn."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgekit.converters.distill.students.onnx_layers import add_bias, layer_of
from edgekit.converters.distill.students.onnx_tower import OnnxTower
from edgekit.converters.litert.call import Call
from edgekit.errors import UnsupportedModelError

_KINDS = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32, "int64": TensorProto.INT64}


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _integers(*values):
    return np.array(values, np.int64)


def _model(nodes, stored, given, taken=TensorProto.FLOAT):
    sizes = [f"d{i}" for i in range(given.ndim)]
    x = helper.make_tensor_value_info("x", _KINDS[str(given.dtype)], sizes)
    y = helper.make_tensor_value_info("y", taken, None)
    tensors = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    graph = helper.make_graph([helper.make_node(*node[:3], **node[3]) for node in nodes], "g", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _engine(model, given):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": given})[0]


def _tower(model):
    return OnnxTower(model, "x", "y")


def _agrees(nodes, stored, given, taken=TensorProto.FLOAT):
    model = _model(nodes, stored, given, taken)
    tower = _tower(model)
    expected = _engine(model, given)
    found = tower(torch.from_numpy(given)).detach().numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)
    return tower


def _one(op, inputs=("x",), **attributes):
    return [(op, list(inputs), ["y"], attributes)]


LAYERS = {
    "matmul": (_one("MatMul", ("x", "w")), {"w": _normal(4, 3)}, _normal(2, 4), nn.Linear),
    "matmul of three axes": (_one("MatMul", ("x", "w")), {"w": _normal(4, 3)}, _normal(2, 5, 4), nn.Linear),
    "matmul of width 1": (_one("MatMul", ("x", "w")), {"w": _normal(1, 1)}, _normal(1, 1), nn.Linear),
    "gemm": (_one("Gemm", ("x", "w", "b")), {"w": _normal(4, 3), "b": _normal(3)}, _normal(2, 4), nn.Linear),
    "gemm turned": (
        _one("Gemm", ("x", "w", "b"), transB=1),
        {"w": _normal(3, 4), "b": _normal(1, 3)},
        _normal(2, 4),
        nn.Linear,
    ),
    "gemm with one number": (
        _one("Gemm", ("x", "w", "b")),
        {"w": _normal(4, 3), "b": _normal(1)},
        _normal(2, 4),
        nn.Linear,
    ),
    "convolution": (_one("Conv", ("x", "w")), {"w": _normal(5, 2, 3, 3)}, _normal(1, 2, 6, 6), nn.Conv2d),
    "strided grouped dilated convolution": (
        _one("Conv", ("x", "w", "b"), strides=[2, 1], group=2, dilations=[1, 2], pads=[1, 2, 1, 2]),
        {"w": _normal(4, 1, 3, 3), "b": _normal(4)},
        _normal(2, 2, 7, 8),
        nn.Conv2d,
    ),
    "unevenly padded convolution": (
        _one("Conv", ("x", "w"), pads=[0, 1, 2, 0]),
        {"w": _normal(3, 2, 3, 2)},
        _normal(1, 2, 5, 5),
        nn.Conv2d,
    ),
    "table": (_one("Gather", ("w", "x")), {"w": _normal(9, 4)}, np.array([[0, 8], [3, 3]], np.int32), nn.Embedding),
    "norm": (
        _one("LayerNormalization", ("x", "w", "b"), epsilon=0.1),
        {"w": _normal(4), "b": _normal(4, seed=1)},
        _normal(2, 3, 4),
        nn.LayerNorm,
    ),
    "norm without a bias": (_one("LayerNormalization", ("x", "w")), {"w": _normal(4)}, _normal(1, 4), nn.LayerNorm),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_node_becomes_a_layer_with_the_engines_numbers(name):
    nodes, stored, given, kind = LAYERS[name]
    tower = _agrees(nodes, stored, given)
    assert sum(isinstance(part, kind) for part in tower.modules()) == 1
    assert sum(parameter.numel() for parameter in tower.parameters()) >= stored["w"].size
    tower(torch.from_numpy(given)).square().sum().backward()
    assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in tower.parameters())


NODES = {
    "gemm of a turned input": (_one("Gemm", ("x", "w"), transA=1), {"w": _normal(2, 3)}, _normal(2, 4)),
    "gemm with factors": (
        _one("Gemm", ("x", "w", "b"), alpha=0.5, beta=2.0),
        {"w": _normal(4, 3), "b": _normal(3)},
        _normal(2, 4),
    ),
    "matrix on the left": (_one("MatMul", ("w", "x")), {"w": _normal(3, 4)}, _normal(4, 2)),
    "reshape that copies a length": (_one("Reshape", ("x", "s")), {"s": _integers(0, -1)}, _normal(2, 3, 4)),
    "expand": (_one("Expand", ("x", "s")), {"s": _integers(2, 3, 1)}, _normal(3, 4)),
    "tile": (_one("Tile", ("x", "s")), {"s": _integers(2, 1)}, _normal(1, 3)),
    "gather one from the end": (_one("Gather", ("x", "i"), axis=1), {"i": np.array(-1)}, _normal(2, 3, 4)),
    "gather some from the end": (_one("Gather", ("x", "i"), axis=1), {"i": _integers(-1, 0)}, _normal(2, 3, 4)),
    "gather a matrix of places": (
        _one("Gather", ("x", "i"), axis=-1),
        {"i": np.array([[0, 2], [1, -3]])},
        _normal(2, 3),
    ),
    "gather elements": (_one("GatherElements", ("x", "i"), axis=1), {"i": np.array([[0], [2]])}, _normal(2, 3)),
    "gather by places": (_one("GatherND", ("x", "i")), {"i": np.array([[0, 1], [1, 0]])}, _normal(2, 3, 4)),
    "slice": (
        _one("Slice", ("x", "a", "b", "c", "d")),
        {"a": _integers(-3), "b": _integers(2**62), "c": _integers(1), "d": _integers(2)},
        _normal(2, 5),
    ),
    "batch norm": (
        _one("BatchNormalization", ("x", "s", "b", "m", "v"), epsilon=0.01),
        {"s": _normal(2), "b": _normal(2), "m": _normal(2), "v": np.abs(_normal(2)) + 0.1},
        _normal(1, 2, 3, 3),
    ),
    "norm over two axes": (
        _one("LayerNormalization", ("x", "w", "b"), axis=1, epsilon=0.01),
        {"w": _normal(3, 4), "b": _normal(3, 4, seed=1)},
        _normal(2, 3, 4),
    ),
    "norm over two axes with weights of one": (
        _one("LayerNormalization", ("x", "w"), axis=1),
        {"w": _normal(4)},
        _normal(2, 3, 4),
    ),
    "norm over the last of three axes by its number": (
        _one("LayerNormalization", ("x", "w", "b"), axis=2),
        {"w": _normal(4), "b": _normal(4, seed=1)},
        _normal(2, 3, 4),
    ),
    "gemm with one number a row": (
        _one("Gemm", ("x", "w", "b")),
        {"w": _normal(4, 3), "b": _normal(3, 1)},
        _normal(3, 4),
    ),
    "transpose": (_one("Transpose", perm=[2, 0, 1]), {}, _normal(2, 3, 4)),
    "softmax": (_one("Softmax", axis=1), {}, _normal(2, 3, 4)),
    "mean": (_one("ReduceMean", axes=[1], keepdims=0), {}, _normal(2, 3)),
    "mean over everything": (_one("ReduceMean", axes=[0, 1], keepdims=1), {}, _normal(1, 1)),
    "cast": ([("Cast", ["x"], ["n"], {"to": 6}), ("Cast", ["n"], ["y"], {"to": 1})], {}, _normal(2, 3) * 10),
    "constant of a shape": (
        [("Shape", ["x"], ["s"], {}), ("ConstantOfShape", ["s"], ["o"], {}), ("Add", ["x", "o"], ["y"], {})],
        {},
        _normal(2, 3),
    ),
    "part of a shape": ([("Shape", ["x"], ["s"], {"start": -1}), ("Cast", ["s"], ["y"], {"to": 1})], {}, _normal(2, 5)),
    "split in two": ([("Split", ["x"], ["a", "b"], {"axis": 1}), ("Sub", ["b", "a"], ["y"], {})], {}, _normal(2, 6)),
    "uneven split": (
        [("Split", ["x", "n"], ["a", "b"], {"axis": 1}), ("Identity", ["b"], ["y"], {})],
        {"n": _integers(1, 4)},
        _normal(2, 5),
    ),
}


@pytest.mark.parametrize("name", NODES)
def test_another_node_computes_what_the_engine_does(name):
    nodes, stored, given = NODES[name]
    _agrees(nodes, stored, given)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_places_of_extremes(op, keepdims):
    _agrees(_one(op, axis=1, keepdims=keepdims), {}, _normal(3, 4), TensorProto.INT64)


@pytest.mark.parametrize(
    ("nodes", "stored", "why"),
    [
        (_one("ArgMax", select_last_index=1), {}, "select_last_index"),
        (_one("GatherND", ("x", "i"), batch_dims=1), {"i": np.array([[0], [1]])}, "batch_dims"),
    ],
    ids=["last of equals", "batched places"],
)
def test_a_setting_that_is_not_covered_is_named(nodes, stored, why):
    with pytest.raises(UnsupportedModelError, match=why):
        _tower(_model(nodes, stored, _normal(2, 3)))(torch.ones(2, 3))


@pytest.mark.parametrize("turned", [False, True], ids=["after", "before"])
def test_an_added_vector_becomes_the_bias_of_the_layer_before_it(turned):
    order = ["b", "h"] if turned else ["h", "b"]
    nodes = [("MatMul", ["x", "w"], ["h"], {}), ("Add", order, ["y"], {})]
    tower = _agrees(nodes, {"w": _normal(4, 3), "b": _normal(3)}, _normal(2, 4))
    (layer,) = (part for part in tower.modules() if isinstance(part, nn.Linear))
    assert layer.bias.detach().tolist() == pytest.approx(_normal(3).tolist())
    assert tower.last


def test_what_two_nodes_read_takes_no_bias():
    nodes = [
        ("MatMul", ["x", "w"], ["h"], {}),
        ("Add", ["h", "b"], ["a"], {}),
        ("Mul", ["h", "a"], ["y"], {}),
    ]
    tower = _agrees(nodes, {"w": _normal(4, 3), "b": _normal(3)}, _normal(2, 4))
    (layer,) = (part for part in tower.modules() if isinstance(part, nn.Linear))
    assert layer.bias is None
    assert tower.last == ""


def test_a_bias_is_only_taken_once_and_by_linear_layers():
    layer = nn.Linear(3, 2, bias=False)
    assert not add_bias(layer, torch.ones(3))
    assert not add_bias(layer, torch.ones(1, 2))
    assert add_bias(layer, torch.ones(2))
    assert not add_bias(layer, torch.ones(2))
    assert not add_bias(nn.Conv2d(1, 2, 1, bias=False), torch.ones(2))


NO_LAYERS = {
    "integers": (Call("n", "MatMul", ("x", "w"), ("y",)), {"w": torch.ones(2, 2, dtype=torch.int64)}),
    "three axes": (Call("n", "MatMul", ("x", "w"), ("y",)), {"w": torch.ones(2, 2, 2)}),
    "two inputs": (Call("n", "MatMul", ("x", "z"), ("y",)), {}),
    "an unknown bias": (Call("n", "Gemm", ("x", "w", "z"), ("y",)), {"w": torch.ones(2, 2)}),
    "a bias for every number": (
        Call("n", "Gemm", ("x", "w", "b"), ("y",)),
        {"w": torch.ones(2, 2), "b": torch.ones(3, 2)},
    ),
    "a kernel of one axis": (Call("n", "Conv", ("x", "w"), ("y",)), {"w": torch.ones(2, 2, 3)}),
    "automatic padding": (
        Call("n", "Conv", ("x", "w"), ("y",), {"auto_pad": "SAME_UPPER"}),
        {"w": torch.ones(1, 1, 3, 3)},
    ),
    "a table of integers": (Call("n", "Gather", ("w", "x"), ("y",)), {"w": torch.ones(3, 2, dtype=torch.int64)}),
    "columns": (Call("n", "Gather", ("w", "x"), ("y",), {"axis": 1}), {"w": torch.ones(3, 2)}),
    "a norm that also tells its mean": (Call("n", "LayerNormalization", ("x", "w"), ("y", "m")), {"w": torch.ones(2)}),
    "anything else": (Call("n", "Relu", ("x",), ("y",)), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_LAYERS)
def test_what_is_no_layer_is_left_to_its_operator(name):
    assert layer_of(*NO_LAYERS[name]) is None


def test_masks_and_single_numbers_do_not_learn_but_added_positions_do():
    stored = {"mask": np.array([[0, -1e9]], np.float32), "one": np.float32(2).reshape(1), "places": _normal(1, 2)}
    nodes = [
        ("Add", ["x", "mask"], ["a"], {}),
        ("Mul", ["a", "one"], ["b"], {}),
        ("Add", ["b", "places"], ["y"], {}),
    ]
    tower = _agrees(nodes, stored, _normal(3, 2))
    assert [tuple(parameter.shape) for parameter in tower.parameters()] == [(1, 2)]
    assert list(tower.state_dict()) == [name for name, _ in tower.named_parameters()]


def test_a_batch_norm_of_its_own_learns_its_scale_and_keeps_what_was_measured():
    nodes, stored, given = NODES["batch norm"]
    tower = _tower(_model(nodes, stored, given))
    assert sorted(tuple(parameter.shape) for parameter in tower.parameters()) == [(2,), (2,)]
    batch = torch.from_numpy(given)
    tower.train()(batch).square().sum().backward()
    assert all(float(parameter.grad.abs().max()) > 0 for parameter in tower.parameters())
    torch.testing.assert_close(tower.train()(batch), tower.eval()(batch))


def test_what_depends_on_no_input_is_computed_once():
    nodes = [("Mul", ["a", "b"], ["w"], {}), ("MatMul", ["x", "w"], ["y"], {})]
    tower = _agrees(nodes, {"a": _normal(4, 3), "b": _normal(4, 3, seed=1)}, _normal(2, 4))
    (weight,) = tower.parameters()
    np.testing.assert_allclose(weight.detach().numpy().T, _normal(4, 3) * _normal(4, 3, seed=1), rtol=1e-6)


def test_nodes_that_the_result_does_not_need_are_left_out():
    nodes = [("Relu", ["x"], ["y"], {}), ("MatMul", ["x", "w"], ["lost"], {})]
    model = _model(nodes, {"w": _normal(4, 3)}, _normal(2, 4))
    assert list(_tower(model).parameters()) == []
    assert set(_tower(model).values(torch.ones(1, 4))) == {"x", "y"}
