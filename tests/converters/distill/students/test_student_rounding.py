"""Training that sees int8, against what the int8 methods themselves compute."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper
from torch import nn

from edgekit.converters import towers
from edgekit.converters.compress.int8_weights import quantize
from edgekit.converters.distill.students.finish import finish
from edgekit.converters.distill.students.rounding import add_rounding, affine, remove_rounding, symmetric
from edgekit.converters.distill.students.transformer import TextTransformer
from edgekit.converters.graph import store
from edgekit.converters.quantize.methods import dynamic_int8
from edgekit.converters.quantize.methods.editor import Editor, node_keys

_FLOATS = st.floats(-100, 100, width=32)


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=_FLOATS),
    st.sampled_from([63, 127]),
)
def test_weights_are_rounded_as_a_file_stores_them(value, levels):
    expected = quantize(value, 0, levels).decoded()
    found = symmetric(torch.from_numpy(value), levels).numpy()
    # In float32 a tie may fall to either side: half a step then.
    np.testing.assert_allclose(found, expected, atol=np.abs(value).max() / levels * 1.001 + 1e-30)
    assert np.mean(np.abs(found - expected) > 1e-4 * np.abs(value).max() + 1e-30) <= 0.1 or value.size < 10


@pytest.fixture(scope="module")
def engine():
    """ONNX Runtime's DynamicQuantizeLinear and back."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["code", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["code", "scale", "zero"], ["y"]),
    ]
    given, taken = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    model = helper.make_model(
        helper.make_graph(nodes, "g", [given], [taken]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("low", [-3.0, 0.0, 1.5], ids=["both signs", "positive", "far from zero"])
def test_activations_are_rounded_as_the_engine_does(low, engine):
    values = np.random.default_rng(0).uniform(low, 4, 500).astype(np.float32)
    (expected,) = engine.run(None, {"x": values})
    np.testing.assert_allclose(affine(torch.from_numpy(values)).numpy(), expected, atol=1e-5)


def test_zero_stays_zero():
    assert float(affine(torch.zeros(3)).abs().max()) == 0
    assert float(symmetric(torch.zeros(2, 3), 63).abs().max()) == 0


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def _net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 5))


def test_the_same_parameters_go_on_learning():
    net = _net()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    own = {id(parameter) for parameter in net.parameters()}
    add_rounding(net)
    assert {id(parameter) for parameter in net.parameters()} == own
    before = [parameter.clone() for parameter in net.parameters()]
    net(torch.randn(4, 3, 6, 6)).square().sum().backward()
    optimizer.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True) if a.ndim > 1)


def test_gradients_pass_through():
    layer = nn.Linear(6, 3)
    rounded = copy.deepcopy(layer)
    add_rounding(rounded)
    x = torch.randn(5, 6)
    given, plain = x.clone().requires_grad_(True), x.clone().requires_grad_(True)
    rounded(given).sum().backward()
    layer(plain).sum().backward()
    torch.testing.assert_close(given.grad, plain.grad, atol=0.02, rtol=0.1)
    torch.testing.assert_close(layer.weight.grad, rounded.parametrizations.weight.original.grad, atol=0.2, rtol=0.1)


def test_finishing_leaves_the_float_weights():
    net = _net()
    planes = torch.randn(2, 3, 6, 6)
    expected = {name: value.clone() for name, value in net.state_dict().items()}
    add_rounding(net)
    add_rounding(net)  # a second time changes nothing
    plain = finish(net)
    assert plain.state_dict().keys() == expected.keys()
    assert all(torch.equal(plain.state_dict()[name], value) for name, value in expected.items())
    assert not any(part._forward_pre_hooks for part in plain.modules())
    assert not torch.equal(net.eval()(planes), plain(planes))
    remove_rounding(net)
    assert torch.equal(net(planes), plain(planes))


def test_rows_of_a_table_are_rounded_one_by_one():
    table = nn.Embedding(20, 8)
    with torch.no_grad():
        table.weight[3] *= 100
    expected = symmetric(table.weight.detach(), 127)
    add_rounding(table)
    ids = torch.tensor([[3, 4], [4, 19]])
    torch.testing.assert_close(table(ids).detach(), expected[ids])
    table(ids).sum().backward()
    assert float(table.weight.grad[4].sum()) == 16  # looked up twice, and passed straight through


def _int8(path):
    """Rewrite every product of a graph as `edgekit quantize` does for any processor."""
    model = store.load(path)
    keys = list(node_keys(model))
    editor = Editor(model)
    for key in keys:
        if editor.node(key).op_type in ("MatMul", "Gemm"):
            dynamic_int8.apply_7bit(editor, key, {})
    return editor.close()


def _run(model, ids):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"token_ids": ids.numpy().astype(np.int32)})[0]


def test_a_rounded_tower_computes_what_its_int8_file_will(tmp_path):
    torch.manual_seed(3)
    module = TextTransformer(100, 16, 16, 1, 2, 8, 12, 0).eval()
    towers.text_tower(module, 8, 0).export(tmp_path / "text.onnx")
    ids = torch.randint(1, 100, (6, 8))
    found = _run(_int8(tmp_path / "text.onnx"), ids)
    add_rounding(module)
    for hook in list(module.table._forward_hooks):
        del module.table._forward_hooks[hook]  # the table of that file is float
    with torch.no_grad():
        rounded = nn.functional.normalize(module(ids), dim=-1).numpy()
        remove_rounding(module)
        plain = nn.functional.normalize(module(ids), dim=-1).numpy()
    assert np.abs(rounded - found).max() < 0.25 * np.abs(plain - found).max()


def test_training_with_rounding_lowers_the_int8_error(tmp_path):
    """A tower whose weights differ in size a hundredfold within a channel, which one scale a channel serves badly."""
    torch.manual_seed(0)
    module = TextTransformer(100, 16, 16, 1, 2, 8, 12, 0)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Linear):
                part.weight[:, 0] *= 30
    ids = torch.randint(1, 100, (64, 8))
    with torch.no_grad():
        target = nn.functional.normalize(module.eval()(ids), dim=-1)
    errors = {}
    for rounding in (False, True):
        student = copy.deepcopy(module).train()
        if rounding:
            add_rounding(student)
        optimizer = torch.optim.Adam(student.parameters(), 3e-4)
        for _ in range(60):
            optimizer.zero_grad()
            (nn.functional.normalize(student(ids), dim=-1) - target).square().sum(1).mean().backward()
            optimizer.step()
        path = tmp_path / f"{rounding}.onnx"
        towers.text_tower(finish(student), 8, 0).export(path)
        assert onnx.load(str(path), load_external_data=False).graph.node
        errors[rounding] = float(np.square(_run(_int8(path), ids) - target.numpy()).sum(1).mean())
    assert errors[True] < 0.7 * errors[False]
