"""The same weights and towers quantized by ONNX Runtime's own tools: what is made here is never further from float."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from edgekit.converters.graph import store
from edgekit.converters.quantize.methods import block_weights, calibration, nbits
from edgekit.converters.quantize.methods.apply import quantize_model
from edgekit.converters.quantize.methods.editor import Editor
from edgekit.converters.quantize.methods.groups import find_groups
from edgekit.converters.quantize.methods.records import TowerDecision
from edgekit.converters.quantize.methods.table import METHODS
from small_towers import convnet, cosines, gemm_tower, ids, pixels, run, transformer

TOWERS = {
    "transformer": (transformer, ids),
    "post-norm": (lambda: transformer(post_norm=True), ids),
    "convnet": (convnet, pixels),
    "gemm": (gemm_tower, pixels),
}


def product(weight):
    """The node ``y = x @ weight``."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, len(weight)])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, weight.shape[1]])
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="n")
    graph = helper.make_graph([node], "g", [x], [y], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("block", [32, 128])
@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    columns=st.sampled_from([32, 96, 128, 257]),
    rows=st.integers(1, 9),
    tail=st.sampled_from([2.0, 5.0, 30.0]),
    shift=st.floats(-2, 2),
    seed=st.integers(0, 9),
)
def test_no_block_of_four_bits_is_further_off_than_the_engines_own(block, columns, rows, tail, shift, seed):
    weight = (np.random.default_rng(seed).standard_t(tail, (columns, rows)) + shift).astype(np.float32)
    theirs = MatMulNBitsQuantizer(product(weight), block_size=block, is_symmetric=False, accuracy_level=0)
    theirs.process()
    # Unit vectors read the weights out.
    unit = np.eye(columns, dtype=np.float32)
    decoded = run(theirs.model.model, unit)
    ours = nbits.quantize(np.ascontiguousarray(weight.T), 4, block).decoded(columns).T

    def losses(found):
        errors = np.zeros((-(-columns // block) * block, rows))
        errors[:columns] = np.square(found - weight)
        return errors.reshape(-1, block, rows).sum(axis=1)

    assert (losses(ours) <= losses(decoded) * (1 + 1e-4) + 1e-6).all()


def test_codes_are_laid_out_as_the_engines_own_tool_does():
    """Integers from 0 to 15 in every block, whose scale is 1 however one takes it: both must give the same bytes."""
    weight = np.stack([np.resize(np.arange(16.0), 64), np.resize(np.arange(15.0, -1, -1), 64)], axis=1)
    weight = weight.astype(np.float32)
    theirs = MatMulNBitsQuantizer(product(weight), block_size=32, is_symmetric=False, accuracy_level=4)
    theirs.process()
    editor = Editor(product(weight))
    assert block_weights.apply_int4(editor, "n", {})
    ours = editor.close()
    found, expected = (next(n for n in m.graph.node if n.op_type == "MatMulNBits") for m in (ours, theirs.model.model))
    assert {a.name: a.i for a in found.attribute} == {a.name: a.i for a in expected.attribute}
    for position in (1, 2, 3):
        mine, other = (
            next(numpy_helper.to_array(t) for t in m.graph.initializer if t.name == n.input[position])
            for m, n in ((ours, found), (theirs.model.model, expected))
        )
        np.testing.assert_array_equal(mine.reshape(-1), other.reshape(-1))


class Reader(CalibrationDataReader):
    """One batch, as ONNX Runtime's tool wants it."""

    def __init__(self, name, batch):
        self._left = [{name: batch}]

    def get_next(self):
        return self._left.pop() if self._left else None


def everywhere(model, method):
    return TowerDecision({group.name: method for group in find_groups(model) if group.kind in METHODS[method].kinds})


@pytest.mark.parametrize("tower", ["transformer", "gemm"])
def test_dynamic_products_are_no_further_off(tower, tmp_path):
    make, inputs = TOWERS[tower]
    store.save(make(), tmp_path / "float.onnx")
    quantize_dynamic(
        tmp_path / "float.onnx",
        tmp_path / "theirs.onnx",
        per_channel=True,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm"],
    )
    expected = run(make(), inputs(32))
    theirs = cosines(run(tmp_path / "theirs.onnx", inputs(32)), expected)
    ours = cosines(run(quantize_model(make(), everywhere(make(), "dynamic_int8"), {}), inputs(32)), expected)
    assert 1 - ours.mean() <= 1.1 * (1 - theirs.mean())


@pytest.mark.parametrize("tower", ["convnet", "gemm"])
def test_static_towers_are_no_further_off(tower, tmp_path):
    make, inputs = TOWERS[tower]
    store.save(make(), tmp_path / "float.onnx")
    batch = inputs(32, seed=9)
    quantize_static(
        tmp_path / "float.onnx",
        tmp_path / "theirs.onnx",
        Reader("pixels", batch),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "Gemm", "MatMul"],
    )
    decision = everywhere(make(), "static_int8")
    ranges = calibration.measure(
        tmp_path / "float.onnx", [batch], calibration.needed_tensors(make(), decision), "minmax"
    )
    expected = run(make(), inputs(32))
    theirs = cosines(run(tmp_path / "theirs.onnx", inputs(32)), expected)
    ours = cosines(run(quantize_model(make(), decision, ranges), inputs(32)), expected)
    assert 1 - ours.mean() <= 1.1 * (1 - theirs.mean())


@pytest.fixture(scope="module")
def masters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    found = {}
    for name, (make, inputs) in TOWERS.items():
        path = folder / f"{name}.onnx"
        store.save(make(), path)
        found[name] = path, run(make(), inputs())
    return found


@settings(max_examples=16, deadline=None, derandomize=True)
@given(data=st.data(), tower=st.sampled_from(sorted(TOWERS)), alpha=st.sampled_from([0.0, 0.5, 0.8]))
def test_any_mixture_of_methods_computes_the_tower(masters, data, tower, alpha):
    """Whatever stands beside whatever: types meet, shared tensors are held once, and the engine's fusions agree."""
    make, inputs = TOWERS[tower]
    path, expected = masters[tower]
    methods = {}
    for group in find_groups(make()):
        fitting = sorted(name for name, method in METHODS.items() if group.kind in method.kinds)
        chosen = data.draw(st.sampled_from(["", *fitting]), label=group.name)
        if chosen:
            methods[group.name] = chosen
    decision = TowerDecision(methods, alpha)
    needed = calibration.needed_tensors(onnx.load(str(path), load_external_data=False), decision)
    ranges = calibration.measure(path, [inputs(32, seed=9)], needed, "minmax")
    made = quantize_model(store.load(path), decision, ranges)
    onnx.checker.check_model(made)
    fused, written = run(made, inputs()), run(made, inputs(), optimize=False)
    np.testing.assert_allclose(np.linalg.norm(fused, axis=1), 1, atol=1e-3)
    # Values between two steps may fall to either side.
    np.testing.assert_allclose(fused, written, atol=0.03)
    coarse = any(name.startswith("int4") for name in methods.values())
    assert cosines(fused, expected).min() > (0.75 if coarse else 0.93)
    if not methods:
        np.testing.assert_array_equal(fused, expected)
