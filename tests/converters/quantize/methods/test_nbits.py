from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.quantize.methods import block_weights, nbits
from edgekit.converters.quantize.methods.editor import Editor
from small_towers import Graph, convnet, cosines, gemm_tower, ids, pixels, run, transformer

_MATRICES = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 5), st.integers(1, 70)), elements=st.floats(-1e4, 1e4, width=32)
)


@settings(max_examples=60, deadline=None)
@given(_MATRICES, st.sampled_from([16, 32, 64]))
def test_with_eight_bits_no_value_is_off_by_more_than_a_step(matrix, block):
    code = nbits.quantize(matrix, 8, block)
    steps = np.repeat(code.scales, block, axis=1)[:, : matrix.shape[1]]
    assert (np.abs(code.decoded(matrix.shape[1]) - matrix) <= steps * 1.001 + 1e-30).all()


@settings(max_examples=60, deadline=None)
@given(_MATRICES, st.sampled_from([4, 8]))
def test_shapes_types_and_zero(matrix, bits):
    code = nbits.quantize(matrix, bits, 32)
    blocks = -(-matrix.shape[1] // 32)
    assert code.codes.shape == (len(matrix), blocks, 32)
    assert code.scales.shape == code.zeros.shape == (len(matrix), blocks)
    assert code.codes.max() < 2**bits
    assert np.isfinite(code.scales).all()
    assert (code.scales > 0).all()
    decoded = code.decoded(matrix.shape[1])
    assert not decoded[matrix == 0].any()


def test_shrinking_the_range_never_loses():
    matrix = np.random.default_rng(0).standard_t(3, (64, 256)).astype(np.float32)
    found = nbits.quantize(matrix, 4, 32)
    low, high = np.minimum(matrix.reshape(64, 8, 32).min(2), 0), np.maximum(matrix.reshape(64, 8, 32).max(2), 0)
    scale = (high - low) / 15
    zero = np.rint(-low / scale)
    plain = (
        np.clip(np.rint(matrix.reshape(64, 8, 32) / scale[..., None]) + zero[..., None], 0, 15) - zero[..., None]
    ) * (scale[..., None])
    errors = np.square(found.decoded(256) - matrix).reshape(64, 8, 32).sum(2)
    before = np.square(plain.reshape(64, 256) - matrix).reshape(64, 8, 32).sum(2)
    assert (errors <= before * 1.0001).all()
    assert errors.sum() < 0.97 * before.sum()


def test_rows_do_not_depend_on_those_around_them():
    matrix = np.random.default_rng(0).normal(size=(3000, 96)).astype(np.float32)
    whole, last = nbits.quantize(matrix, 4, 32), nbits.quantize(matrix[-5:], 4, 32)
    np.testing.assert_array_equal(whole.codes[-5:], last.codes)
    np.testing.assert_array_equal(whole.scales[-5:], last.scales)


def test_two_codes_share_a_byte_the_first_in_the_low_half():
    assert nbits.packed(np.array([[1, 2, 3, 15]], np.uint8), 4).tolist() == [[0x21, 0xF3]]
    assert nbits.packed(np.array([[1, 2, 3]], np.uint8), 4).tolist() == [[0x21, 0x03]]
    assert nbits.packed(np.array([[1, 200]], np.uint8), 8).tolist() == [[1, 200]]


@pytest.mark.parametrize(
    ("apply", "bits", "block"),
    [(block_weights.apply_int4, 4, 32), (block_weights.apply_int4_128, 4, 128), (block_weights.apply_int8, 8, 128)],
    ids=["int4", "int4_128", "int8"],
)
def test_the_engine_decodes_what_was_meant(apply, bits, block):
    """A Gemm's result against the same tower with the decoded weights in float."""
    model, reference = gemm_tower(), gemm_tower()
    editor = Editor(model)
    assert apply(editor, "first", {})
    editor.close()
    for tensor in reference.graph.initializer:
        if tensor.name == "first.weight":
            decoded = nbits.quantize(numpy_helper.to_array(tensor), bits, block).decoded(768)
            tensor.CopyFrom(numpy_helper.from_array(decoded, tensor.name))
    node = next(node for node in model.graph.node if node.op_type == "MatMulNBits")
    settings = {attribute.name: attribute.i for attribute in node.attribute}
    assert settings == {"K": 768, "N": 32, "bits": bits, "block_size": block, "accuracy_level": 4}
    # Only the rounding of the activations, in blocks of 8 bits, is left.
    assert cosines(run(model, pixels()), run(reference, pixels())).min() > 0.999


@pytest.mark.parametrize("columns", [24, 33, 96])
def test_widths_that_are_no_multiple_of_the_block(columns):
    graph = Graph(0)
    x = graph.op(
        "pool", "ReduceMean", graph.op("rows", "Gather", graph.weight("t", 64, columns), "token_ids"), axes=[1]
    )
    graph.unit(graph.op("project", "MatMul", graph.op("flat", "Flatten", x), graph.weight("p", columns, 24)))
    model = graph.model(helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["N", "L"]))
    expected = run(model, ids())
    editor = Editor(model)
    assert block_weights.apply_int8(editor, "project", {})
    assert cosines(run(editor.close(), ids()), expected).min() > 0.99


@pytest.mark.parametrize(("apply", "bits"), [(block_weights.apply_int4, 4), (block_weights.apply_int8, 8)])
def test_a_table_looks_up_the_decoded_rows(apply, bits):
    model, reference = transformer(), transformer()
    editor = Editor(model)
    assert apply(editor, "tokens", {})
    editor.close()
    for tensor in reference.graph.initializer:
        if tensor.name == "table":
            decoded = nbits.quantize(numpy_helper.to_array(tensor), bits, 32).decoded(32)
            tensor.CopyFrom(numpy_helper.from_array(decoded, "table"))
    np.testing.assert_allclose(run(model, ids()), run(reference, ids()), atol=1e-5)
    assert Counter(node.op_type for node in model.graph.node)["GatherBlockQuantized"] == 1
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    assert sizes[f"table.int{bits}"] == 64 * 32 * bits // 8


def test_what_does_not_fit_is_left_alone():
    editor = Editor(convnet())
    assert not block_weights.apply_int4(editor, "stem", {})
    assert editor.node("stem").op_type == "Conv"
