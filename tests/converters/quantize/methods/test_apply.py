from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from edgekit.converters.graph import store
from edgekit.converters.quantize.methods import calibration
from edgekit.converters.quantize.methods.apply import choices, quantize_model, quantize_tower
from edgekit.converters.quantize.methods.groups import find_groups
from edgekit.converters.quantize.methods.records import TowerDecision
from edgekit.converters.quantize.methods.table import METHODS
from edgekit.errors import ConversionError, InputError
from small_towers import convnet, cosines, gemm_tower, ids, pixels, run, transformer

_TOWERS = {"transformer": (transformer, ids), "convnet": (convnet, pixels), "gemm": (gemm_tower, pixels)}
_LEAST = {
    "float16_weights": 0.9999,
    "int8_weights": 0.998,
    "float16": 0.9999,
    "dynamic_int8": 0.98,
    "dynamic_int8_7bit": 0.98,
    "static_int8": 0.98,
    "static_int8_7bit": 0.97,
    "static_int8_s8s8": 0.98,
    "a16w8": 0.99,
    "int8_blocks": 0.98,
    "int4_weights": 0.9,
    "int4_weights_128": 0.8,
}


def _everywhere(model, method):
    return TowerDecision({group.name: method for group in find_groups(model) if group.kind in METHODS[method].kinds})


@pytest.fixture(scope="module")
def masters(tmp_path_factory):
    """Each tower on disk, with the ranges that all methods together need, and its reference rows."""
    folder = tmp_path_factory.mktemp("masters")
    made = {}
    for name, (make, inputs) in _TOWERS.items():
        path = folder / f"{name}.onnx"
        store.save(make(), path)
        model = onnx.load(str(path), load_external_data=False)
        names = {n for method in METHODS for n in calibration.needed_tensors(model, _everywhere(model, method))}
        made[name] = path, calibration.measure(path, [inputs(seed=9)], sorted(names), "minmax"), run(path, inputs())
    return made


@pytest.mark.parametrize("tower", _TOWERS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_the_embeddings_of_every_tower(method, tower, masters, tmp_path):
    master, ranges, expected = masters[tower]
    decision = _everywhere(store.load(master), method)
    out = tmp_path / "tower.onnx"
    quantize_tower(master, out, decision, ranges)
    onnx.checker.check_model(str(out))
    found = run(out, _TOWERS[tower][1]())
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)
    assert cosines(found, expected).min() >= _LEAST[method]
    assert not np.array_equal(found, expected)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_decision_gives_the_same_bytes(method, masters, tmp_path):
    master, ranges, _ = masters["transformer"]
    decision = _everywhere(store.load(master), method)
    content = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        out = tmp_path / name / "tower.onnx"
        quantize_tower(master, out, decision, ranges)
        data = out.with_name("tower.onnx.data")
        content.append((out.read_bytes(), data.read_bytes()))
    assert content[0] == content[1]


@pytest.mark.parametrize("method", [name for name in METHODS if not METHODS[name].activations.startswith("float")])
def test_groups_that_are_not_named_stay_float(method, masters):
    master, ranges, _ = masters["transformer"]
    model = quantize_model(store.load(master), TowerDecision({"block00.mlp": method}), ranges)
    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    before = {tensor.name for tensor in store.load(master).graph.initializer if len(tensor.dims) > 1}
    assert {name for name in before if stored.get(name) == TensorProto.FLOAT} == {
        name for name in before if not name.startswith("layer0.mlp.")
    }


def test_an_empty_decision_computes_the_same(masters, tmp_path):
    master, _, expected = masters["transformer"]
    quantize_tower(master, tmp_path / "same.onnx", TowerDecision({}), {})
    np.testing.assert_array_equal(run(tmp_path / "same.onnx", ids()), expected)


def test_methods_can_be_mixed(masters, tmp_path):
    master, ranges, expected = masters["transformer"]
    methods = {
        "table": "int4_weights",
        "block00.attention": "static_int8",
        "block00.mlp": "dynamic_int8",
        "block01.attention": "float16",
        "block01.mlp": "int8_blocks",
        "head": "int8_weights",
    }
    quantize_tower(master, tmp_path / "mixed.onnx", TowerDecision(methods), ranges)
    found = run(tmp_path / "mixed.onnx", ids())
    assert cosines(found, expected).min() > 0.9
    operators = Counter(node.op_type for node in onnx.load(str(tmp_path / "mixed.onnx")).graph.node)
    assert operators["DynamicQuantizeLinear"] == 2
    assert operators["MatMulNBits"] == 2
    assert operators["QuantizeLinear"] == 2
    assert operators["GatherBlockQuantized"] == 1


def test_weights_that_two_groups_share_can_have_two_methods(masters):
    model = transformer()
    for node in model.graph.node:
        if node.name == "layer1.mlp.up":
            node.input[1] = "layer0.mlp.up.weight"
    expected = run(model, ids())
    decision = TowerDecision({"block00.mlp": "dynamic_int8", "block01.mlp": "int8_weights"})
    found = run(quantize_model(model, decision, {}), ids())
    assert cosines(found, expected).min() > 0.98


def test_a_group_that_does_not_exist_is_named():
    with pytest.raises(
        InputError, match=r"group 'block07.mlp' does not exist; this tower has table, block00.attention"
    ):
        quantize_model(transformer(), TowerDecision({"block07.mlp": "dynamic_int8"}), {})


def test_a_method_that_does_not_exist_is_named():
    with pytest.raises(InputError, match="group 'head': method 'int3' does not exist; there are float16_weights"):
        quantize_model(transformer(), TowerDecision({"head": "int3"}), {})


@pytest.mark.parametrize(
    ("make", "group", "method"),
    [(transformer, "table", "dynamic_int8"), (transformer, "table", "static_int8"), (convnet, "stem", "dynamic_int8")],
    ids=["dynamic table", "static table", "dynamic convolution"],
)
def test_a_method_for_another_kind_is_refused_with_what_fits(make, group, method):
    with pytest.raises(InputError, match=rf"group '{group}': '{method}' is not for the kind .*int8_weights"):
        quantize_model(make(), TowerDecision({group: method}), {})


@pytest.mark.parametrize("method", ["static_int8", "a16w8", "float16"])
def test_a_missing_range_names_group_and_tensor(method):
    with pytest.raises(InputError, match=r"group 'block00.mlp': the range of 'layer0.mlp.*' is missing"):
        quantize_model(transformer(), TowerDecision({"block00.mlp": method}), {})


@pytest.mark.parametrize("method", METHODS)
def test_weights_with_nan_name_group_and_tensor(method, masters):
    master, ranges, _ = masters["transformer"]
    model = store.load(master)
    tensor = next(t for t in model.graph.initializer if t.name == "layer0.mlp.up.weight")
    value = numpy_helper.to_array(tensor).copy()
    value[3, 4] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    with pytest.raises(
        ConversionError, match=r"group 'block00.mlp': weights 'layer0.mlp.up.weight' hold infinity or NaN"
    ):
        quantize_model(model, TowerDecision({"block00.mlp": method}), ranges)


@pytest.mark.parametrize("method", METHODS)
def test_a_channel_of_zeros_stays_finite(method, masters):
    master, ranges, _ = masters["transformer"]
    model = store.load(master)
    for tensor in model.graph.initializer:
        if tensor.name == "layer0.mlp.up.weight":
            value = numpy_helper.to_array(tensor).copy()
            value[:, 5] = 0
            value[7] = 0
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    expected = run(model, ids())
    found = run(quantize_model(model, TowerDecision({"block00.mlp": method}), ranges), ids())
    assert cosines(found, expected).min() > 0.95


def test_a_method_that_fits_no_node_of_a_group_says_so():
    model = gemm_tower()
    node = next(node for node in model.graph.node if node.name == "second")
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "second.weight")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).T.copy(), "second.weight"))
    for attribute in node.attribute:
        if attribute.name == "transB":
            attribute.i = 0
    turn = onnx.helper.make_node("Transpose", [node.input[0]], ["turned"], name="turn", perm=[1, 0])
    model.graph.node.insert(list(model.graph.node).index(node), turn)
    node = next(node for node in model.graph.node if node.name == "second")
    node.input[0] = "turned"
    node.attribute.append(onnx.helper.make_attribute("transA", 1))
    with pytest.raises(ConversionError, match=r"group 'block00.mlp': 'dynamic_int8' fits none of its nodes"):
        quantize_model(model, TowerDecision({"block00.mlp": "dynamic_int8"}), {})


def test_the_float_graph_is_never_replaced(masters):
    master, _, _ = masters["gemm"]
    with pytest.raises(InputError, match="would replace the float graph"):
        quantize_tower(master, master, TowerDecision({}), {})


def test_choices_keep_the_order_of_the_groups():
    groups = find_groups(transformer())
    found = choices(groups, TowerDecision({"head": "int8_weights", "table": "float16_weights"}))
    assert [(group.name, method.name) for group, method in found] == [
        ("table", "float16_weights"),
        ("head", "int8_weights"),
    ]
