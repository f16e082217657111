from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from edgekit.converters.graph import store
from edgekit.converters.quantize.methods import calibration
from edgekit.converters.quantize.methods.groups import find_groups
from edgekit.converters.quantize.methods.records import TowerDecision
from edgekit.errors import ConversionError, InputError
from small_towers import convnet, ids, pixels, transformer


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("calibration") / "text.onnx"
    store.save(transformer(outliers=20.0), path)
    return path


def _values(path, tensor, batch):
    """The tensor's values, by another way than the code under test: the model cut off there."""
    model = store.load(path)
    model.graph.output.append(onnx.ValueInfoProto(name=tensor))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([tensor], {session.get_inputs()[0].name: batch})[0]


def test_extremes_means_and_channels_are_those_of_the_values(text):
    name, batches = "layer0.mlp.norm.out", [ids(3, 4, seed=1), ids(2, 6, seed=2)]
    values = [_values(text, name, batch).reshape(-1, 32) for batch in batches]
    rows = np.concatenate(values)
    found = calibration.measure(text, batches, [name], "minmax")[name]
    assert found.low == pytest.approx(rows.min(), rel=1e-5)
    assert found.high == pytest.approx(rows.max(), rel=1e-5)
    assert found.largest == pytest.approx(np.abs(rows).max(), rel=1e-5)
    np.testing.assert_allclose(found.channels, np.abs(rows).max(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.means, rows.astype(np.float64).mean(axis=0), atol=1e-5)


def test_means_of_what_is_convolved_are_those_of_its_planes(tmp_path):
    path = tmp_path / "image.onnx"
    store.save(convnet(), path)
    found = calibration.measure(path, [pixels()], ["stem.relu.out", "widen.clip.out"], "minmax")
    for name, count in (("stem.relu.out", 8), ("widen.clip.out", 16)):
        values = _values(path, name, pixels())
        np.testing.assert_allclose(found[name].means, values.mean(axis=(0, 2, 3)), atol=1e-4)
        assert len(found[name].means) == count
        assert found[name].channels == ()


def test_a_tensor_that_meets_no_weights_has_no_channels(text):
    found = calibration.measure(text, [ids()], ["layer0.attention.softmax.out"], "minmax")
    (span,) = found.values()
    assert span.channels == span.means == ()
    assert 0 <= span.low < span.high <= 1


@pytest.mark.parametrize("how", ["minmax", "percentile", "entropy"])
def test_the_same_batches_give_the_same_ranges(how, text):
    names = ["layer0.mlp.norm.out", "layer1.mlp.gelu.out"]
    first, second = (calibration.measure(text, [ids(), ids(seed=8)], names, how) for _ in range(2))
    assert first == second
    assert list(first) == names


@pytest.mark.parametrize("how", ["percentile", "entropy"])
def test_cut_ranges_lie_within_the_extremes_and_keep_the_rest(how, text):
    name = "layer0.mlp.norm.out"
    whole = calibration.measure(text, [ids(64)], [name], "minmax")[name]
    cut = calibration.measure(text, [ids(64)], [name], how)[name]
    assert whole.low <= cut.low < 0 < cut.high <= whole.high
    assert (cut.largest, cut.channels, cut.means) == (whole.largest, whole.channels, whole.means)


def test_many_tensors_are_counted_a_few_at_a_time(text, monkeypatch):
    names = [f"layer{i}.mlp.{part}.out" for i in range(2) for part in ("norm", "gelu", "erf")]
    at_once = calibration.measure(text, [ids()], names, "percentile")
    runs = []
    original = calibration._runs
    monkeypatch.setattr(calibration, "_CHUNK_BYTES", 1)
    monkeypatch.setattr(calibration, "_runs", lambda *args: runs.append(args[3]) or original(*args))
    assert calibration.measure(text, [ids()], names, "percentile") == at_once
    assert runs[1:] == [[name] for name in names]


def test_batches_may_come_from_a_generator(text):
    name = "layer0.mlp.norm.out"
    batches = [ids(seed=1), ids(seed=2)]
    assert calibration.measure(text, (batch for batch in batches), [name], "percentile") == calibration.measure(
        text, batches, [name], "percentile"
    )


def test_the_towers_own_output_can_be_measured(text):
    (span,) = calibration.measure(text, [ids()], ["embedding"], "percentile").values()
    assert -1 <= span.low < span.high <= 1


def test_nothing_to_measure_is_nothing(text):
    assert calibration.measure(text, [ids()], [], "minmax") == {}


def test_no_batch_an_unknown_tensor_and_an_unknown_way_are_refused(text):
    with pytest.raises(InputError, match="at least one input"):
        calibration.measure(text, [], ["embedding"], "minmax")
    with pytest.raises(InputError, match="'nowhere' is not in the graph"):
        calibration.measure(text, [ids()], ["nowhere"], "minmax")
    with pytest.raises(InputError, match="'median' is not one of minmax, percentile, entropy"):
        calibration.measure(text, [ids()], ["embedding"], "median")


def test_a_file_that_is_no_graph_is_named(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no graph at all")
    with pytest.raises(ConversionError, match=r"broken.onnx: not a readable ONNX graph"):
        calibration.measure(tmp_path / "broken.onnx", [ids()], ["embedding"], "minmax")


def test_a_tower_that_gives_infinity_is_refused(tmp_path):
    model = transformer()
    for tensor in model.graph.initializer:
        if tensor.name == "layer0.mlp.up.weight":
            value = numpy_helper.to_array(tensor) * np.float32(1e38)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    store.save(model, tmp_path / "huge.onnx")
    with pytest.raises(ConversionError, match=r"'layer0.mlp.product.out' is not finite on the calibration data"):
        calibration.measure(tmp_path / "huge.onnx", [ids()], ["layer0.mlp.product.out"], "minmax")


def test_an_input_of_the_wrong_shape_names_the_file(text):
    with pytest.raises(ConversionError, match=r"text.onnx: calibration cannot run the float tower"):
        calibration.measure(text, [np.zeros((1, 2, 3, 4), np.int32)], ["embedding"], "minmax")


def test_a_decision_needs_the_inputs_of_its_groups_in_order():
    model = transformer()
    decision = TowerDecision({"head": "static_int8", "block00.mlp": "static_int8"})
    assert calibration.needed_tensors(model, decision) == (
        "layer0.mlp.norm.out",
        "layer0.mlp.gelu.out",
        "pool.out",
    )


def test_methods_that_only_store_tables_need_nothing():
    decision = TowerDecision({"table": "int8_weights", "block00.mlp": "float16_weights"})
    assert calibration.needed_tensors(transformer(), decision) == ()


def test_smoothing_needs_the_inputs_of_dynamic_products_too():
    groups = {group.name: "dynamic_int8" for group in find_groups(transformer()) if group.kind == "mlp"}
    with_smoothing = calibration.needed_tensors(transformer(), TowerDecision(groups, 0.5))
    assert set(with_smoothing) >= {"layer0.mlp.norm.out", "layer0.mlp.gelu.out"}


def test_a_wrong_decision_is_refused_before_anything_runs():
    with pytest.raises(InputError, match="group 'body' does not exist"):
        calibration.needed_tensors(transformer(), TowerDecision({"body": "static_int8"}))
