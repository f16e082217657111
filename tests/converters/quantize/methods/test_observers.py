"""What is measured of an activation, against NumPy, over batches of different sizes."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.quantize.methods.histograms import BINS, Histogram, entropy, percentile
from edgekit.converters.quantize.methods.observers import Observer
from edgekit.errors import ConversionError

EXAMPLES = settings(max_examples=12, deadline=None, derandomize=True)


def model(op, rank, weight):
    """``x`` of a rank meets a stored weight."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None] * rank)
    inputs = ["x", *(["w"] if weight is not None else [])]
    node = helper.make_node(op, inputs, ["y"], name="n")
    stored = [] if weight is None else [numpy_helper.from_array(weight, "w")]
    graph = helper.make_graph([node], "g", [value], [helper.make_empty_tensor_value_info("y")], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def observe(made, batches):
    observer = Observer(made, "x", "edgekit0")
    made.graph.node.extend(observer.nodes)
    made.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in observer.outputs)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for batch in batches:
        values = session.run(list(observer.outputs), {"x": batch})
        observer.take(dict(zip(observer.outputs, values, strict=True)))
    return observer


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@EXAMPLES
@given(rows=st.lists(st.integers(1, 5), min_size=1, max_size=4), middle=st.lists(st.integers(1, 3), max_size=2))
def test_a_products_input_has_a_figure_for_each_channel(rows, middle):
    """Means are those of all rows, though batches differ in size."""
    batches = [numbers(count, *middle, 4, seed=i) + i for i, count in enumerate(rows)]
    observer = observe(model("MatMul", 2 + len(middle), numbers(4, 3)), batches)
    whole = np.concatenate([batch.reshape(-1, 4) for batch in batches])
    found = observer.range()
    assert (found.low, found.high) == (whole.min(), whole.max())
    assert found.largest == np.abs(whole).max()
    np.testing.assert_array_equal(found.channels, np.abs(whole).max(axis=0))
    np.testing.assert_allclose(found.means, whole.astype(np.float64).mean(axis=0), atol=1e-5)
    assert observer.size == max(batch.size for batch in batches)


@pytest.mark.parametrize(("op", "weight"), [("Conv", numbers(2, 3, 1, 1)), ("Pad", np.zeros(8, np.int64))], ids=str)
def test_a_convolutions_input_has_means_of_its_planes_and_no_magnitudes(op, weight):
    batches = [numbers(2, 3, 4, 5, seed=1), numbers(1, 3, 6, 2, seed=2) + 3]
    found = observe(model(op, 4, weight), batches).range()
    total = sum(batch.sum(axis=(0, 2, 3), dtype=np.float64) for batch in batches)
    count = sum(batch.size // 3 for batch in batches)
    np.testing.assert_allclose(found.means, total / count, atol=1e-5)
    assert found.channels == ()


@pytest.mark.parametrize(("op", "weight"), [("Relu", None), ("Add", numbers(4))], ids=["alone", "added"])
def test_other_tensors_have_their_extremes_only(op, weight):
    observer = observe(model(op, 2, weight), [numbers(3, 4)])
    assert len(observer.nodes) == len(observer.outputs) == 4
    found = observer.range()
    assert (found.channels, found.means) == ((), ())
    assert found.low < 0 < found.high


def test_a_product_with_another_activation_is_no_stored_weight():
    made = model("MatMul", 2, numbers(4, 3))
    made.graph.node[0].input[1] = "x"
    assert len(Observer(made, "x", "p").nodes) == 4


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_names_the_tensor(bad):
    """Wherever it stands, in whichever batch: the engine's own extremes pass over most NaN."""
    for place in (0, 5, 39):
        rows = numbers(10, 4)
        rows.flat[place] = bad
        for batches in ([rows, numbers(2, 4)], [numbers(2, 4), rows]):
            with pytest.raises(ConversionError, match="tensor 'x' is not finite on the calibration data"):
                observe(model("MatMul", 2, numbers(4, 3)), batches).range()


def test_before_anything_was_taken_there_is_no_range():
    with pytest.raises(ConversionError, match="'x' is not finite"):
        Observer(model("Relu", 2, None), "x", "p").range()


@EXAMPLES
@given(low=st.floats(-100, 100, width=32), width=st.floats(0, 100, width=32))
def test_a_histogram_covers_its_borders(low, width):
    histogram = Histogram.empty(low, low + width)
    assert len(histogram.edges) == BINS + 1
    assert (np.diff(histogram.edges) > 0).all()
    histogram.add(np.array([low, low + width], np.float32).clip(histogram.edges[0], histogram.edges[-1]))
    assert histogram.counts.sum() == 2


@EXAMPLES
@given(seed=st.integers(0, 99), factor=st.sampled_from([0.01, 3.0, 1e4]))
def test_cuts_scale_with_the_values(seed, factor):
    values = np.random.default_rng(seed).standard_t(3, 4000).astype(np.float32)
    found = []
    for scaled in (values, values * np.float32(factor)):
        histogram = Histogram.empty(float(scaled.min()), float(scaled.max()))
        histogram.add(scaled)
        found.append([*percentile(histogram), *entropy(histogram)])
    steps = (values.max() - values.min()) / BINS
    np.testing.assert_allclose(np.array(found[1]) / factor, found[0], atol=40 * steps)


def test_percentile_leaves_out_a_share_and_not_a_number():
    """One outlier of a thousand stays, one of a hundred thousand goes."""
    for count, kept in ((1000, True), (100_000, False)):
        values = np.linspace(-1, 1, count, dtype=np.float32)
        values[0] = 50
        histogram = Histogram.empty(float(values.min()), 50.0)
        histogram.add(values)
        assert (percentile(histogram)[1] > 40) == kept


def test_entropy_cuts_both_sides_at_one_magnitude():
    values = np.concatenate([np.random.default_rng(0).normal(size=100_000), [-40, 50]]).astype(np.float32)
    histogram = Histogram.empty(-40.0, 50.0)
    histogram.add(values)
    low, high = entropy(histogram)
    assert -low == high < 20
