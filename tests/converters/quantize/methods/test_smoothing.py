from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgekit.converters.graph import store
from edgekit.converters.quantize.methods import calibration, smoothing
from edgekit.converters.quantize.methods.apply import quantize_model
from edgekit.converters.quantize.methods.editor import Editor
from edgekit.converters.quantize.methods.groups import find_groups
from edgekit.converters.quantize.methods.records import Range, TowerDecision
from edgekit.errors import InputError
from small_towers import convnet, cosines, gemm_tower, ids, pixels, run, transformer


def _keys(model):
    return [name for group in find_groups(model) if group.kind != "table" for name in group.nodes]


def _measured(model, path, batch, method="dynamic_int8", alpha=0.5):
    groups = {group.name: method for group in find_groups(model) if group.kind != "table"}
    decision = TowerDecision(groups, alpha)
    store.save(onnx.ModelProto.FromString(model.SerializeToString()), path)
    needed = calibration.needed_tensors(model, decision)
    return decision, calibration.measure(path, [batch], needed, "minmax")


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("post_norm", [False, True], ids=["pre-norm", "post-norm"])
def test_in_floats_nothing_changes(post_norm, alpha, tmp_path):
    model = transformer(post_norm=post_norm, outliers=20.0)
    expected = run(model, ids())
    _, ranges = _measured(model, tmp_path / "m.onnx", ids())
    editor = Editor(model)
    smoothing.smooth(editor, _keys(model), ranges, alpha)
    np.testing.assert_allclose(run(editor.close(), ids()), expected, atol=2e-5)


def test_towers_of_gemm_are_smoothed_too(tmp_path):
    model = gemm_tower()
    expected = run(model, pixels())
    _, ranges = _measured(model, tmp_path / "m.onnx", pixels())
    editor = Editor(model)
    done = smoothing.smooth(editor, _keys(model), ranges, 0.5)
    assert done.scaled == ("flat.out", "first.relu.out", "second.relu.out")
    np.testing.assert_allclose(run(editor.close(), pixels()), expected, atol=2e-5)


def test_factors_go_into_the_normalization_where_only_products_read_it(tmp_path):
    model = transformer()
    _, ranges = _measured(model, tmp_path / "m.onnx", ids())
    done = smoothing.smooth(Editor(model), _keys(model), ranges, 0.5)
    norms = {f"layer{i}.{part}.norm.out" for i in range(2) for part in ("attention", "mlp")}
    assert set(done.fused) == norms
    assert set(done.scaled) == {"pool.out"} | {
        f"layer{i}.{name}.out" for i in range(2) for name in ("attention.join", "mlp.gelu")
    }


def test_factors_become_a_multiplication_where_a_residual_reads_the_normalization(tmp_path):
    model = transformer(post_norm=True)
    _, ranges = _measured(model, tmp_path / "m.onnx", ids())
    done = smoothing.smooth(Editor(model), _keys(model), ranges, 0.5)
    assert "layer0.attention.norm.out" in done.scaled
    assert "layer0.mlp.norm.out" in done.scaled
    assert done.fused == ()


def test_tensors_that_layers_share_are_changed_for_one_only(tmp_path):
    model = transformer()
    shared = {"layer1.mlp.norm": "layer0.mlp.norm"}
    for node in model.graph.node:
        if node.name in shared:
            node.input[1] = "layer0.mlp.norm.scale"
            node.input[2] = "layer0.mlp.norm.bias"
    expected = run(model, ids())
    _, ranges = _measured(model, tmp_path / "m.onnx", ids())
    editor = Editor(model)
    smoothing.smooth(editor, ["layer0.mlp.up"], ranges, 0.5)
    np.testing.assert_allclose(run(editor.close(), ids()), expected, atol=2e-5)


def test_outliers_cost_less_with_smoothing(tmp_path):
    make = lambda: transformer(outliers=60.0)  # noqa: E731
    expected = run(make(), ids())
    losses = {}
    for alpha in (0.0, 0.6):
        decision, ranges = _measured(make(), tmp_path / "m.onnx", ids(32, seed=9), alpha=alpha or 0.5)
        decision = TowerDecision(decision.methods, alpha)
        losses[alpha] = 1 - cosines(run(quantize_model(make(), decision, ranges), ids()), expected).mean()
    assert losses[0.6] < 0.5 * losses[0.0]


@pytest.mark.parametrize("method", ["static_int8", "dynamic_int8", "a16w8"])
def test_smoothed_ranges_hold_the_smoothed_values(method, tmp_path):
    model = transformer()
    expected = run(model, ids())
    decision, ranges = _measured(model, tmp_path / "m.onnx", ids(), method)
    found = run(quantize_model(model, decision, ranges), ids())
    assert cosines(found, expected).min() > 0.97


def test_the_factor_is_that_of_the_paper(tmp_path):
    model = transformer()
    _, ranges = _measured(model, tmp_path / "m.onnx", ids())
    weight = next(t for t in model.graph.initializer if t.name == "layer0.mlp.down.weight")
    before = numpy_helper.to_array(weight).copy()
    editor = Editor(model)
    smoothing.smooth(editor, ["layer0.mlp.down"], ranges, 0.5)
    after = editor.value(editor.node("layer0.mlp.down").input[1])
    factors = (after / before)[:, 0]
    span = np.array(ranges["layer0.mlp.gelu.out"].channels)
    wanted = np.sqrt(span / np.abs(before).max(axis=1))
    # Only ratios matter: a common factor cancels in the scale.
    np.testing.assert_allclose(factors / factors[0], wanted / wanted[0], rtol=1e-3)


def test_a_channel_that_is_always_zero_keeps_its_weights():
    model = transformer()
    channels = [1.0] * 32
    channels[4] = 0.0
    editor = Editor(model)
    spans = {"layer0.mlp.norm.out": Range(-1, 1, 1, tuple(channels), tuple([0.25] * 32))}
    done = smoothing.smooth(editor, ["layer0.mlp.up"], spans, 0.5)
    after = editor.value(editor.node("layer0.mlp.up").input[1])
    before = next(numpy_helper.to_array(t) for t in transformer().graph.initializer if t.name == "layer0.mlp.up.weight")
    np.testing.assert_array_equal(after[4], before[4])
    factors = after[:, 0] / before[:, 0]
    smoothed = done.ranges["layer0.mlp.norm.out"]
    np.testing.assert_allclose(smoothed.means, 0.25 / factors, rtol=1e-4)
    np.testing.assert_allclose(smoothed.channels, np.array(channels) / factors, rtol=1e-4)
    assert smoothed.high == pytest.approx(max(smoothed.channels))


def test_missing_channels_say_what_to_do():
    decision = TowerDecision({"block00.mlp": "dynamic_int8"}, 0.5)
    with pytest.raises(InputError, match=r"range of 'layer0.mlp.norm.out' is missing"):
        quantize_model(transformer(), decision, {})
    spans = {f"layer0.mlp.{name}.out": Range(-1, 1) for name in ("norm", "gelu")}
    with pytest.raises(InputError, match=r"32 channels, not 0; calibrate with a decision that has the same smoothing"):
        quantize_model(transformer(), decision, spans)


@pytest.mark.parametrize("alpha", [-0.1, 1.1])
def test_an_exponent_out_of_range_is_refused(alpha):
    with pytest.raises(InputError, match=r"is not in 0\.\.1"):
        smoothing.smooth(Editor(transformer()), [], {}, alpha)


def test_methods_that_do_not_quantize_activations_are_not_smoothed():
    found = quantize_model(transformer(), TowerDecision({"block00.mlp": "int8_weights"}, 0.5), {})
    assert not any("smooth" in tensor.name for tensor in found.graph.initializer)


def test_a_convolution_is_passed_over():
    editor = Editor(convnet())
    done = smoothing.smooth(editor, ["stem", "widen"], {}, 0.5)
    assert done == smoothing.Smoothed({}, (), ())
