from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.quantize.methods import qdq
from edgekit.converters.quantize.methods.editor import Editor
from edgekit.converters.quantize.methods.records import Range
from edgekit.errors import InputError
from small_towers import ids, run, transformer

_GRIDS = pytest.mark.parametrize("grid", [qdq.UINT8, qdq.INT8, qdq.UINT16], ids=lambda grid: grid.dtype)
_BORDERS = st.floats(-1e6, 1e6, width=32)


@_GRIDS
@settings(max_examples=60, deadline=None)
@given(_BORDERS, _BORDERS, st.floats(0, 1))
def test_a_value_in_the_range_is_off_by_half_a_step_and_zero_by_nothing(grid, a, b, share):
    low, high = min(a, b), max(a, b)
    scale, zero = qdq.parameters(Range(low, high), grid)
    limits = np.iinfo(grid.dtype)
    assert zero.dtype == grid.dtype
    assert limits.min <= int(zero) <= limits.max
    assert scale > 0

    def held(value):
        code = np.clip(np.rint(value / float(scale)) + int(zero), limits.min, limits.max)
        return (code - int(zero)) * float(scale)

    assert held(0.0) == 0.0
    value = low + share * (high - low)
    # The zero point is rounded, which moves the ends of the range by half a step at most.
    assert abs(held(value) - value) <= float(scale) * 1.01


@_GRIDS
def test_a_range_of_nothing_has_a_scale(grid):
    scale, zero = qdq.parameters(Range(0.0, 0.0), grid)
    assert scale == 1
    assert int(zero) == np.iinfo(grid.dtype).min


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_range_that_is_not_finite_is_refused(bad):
    with pytest.raises(InputError, match="cannot be quantized; calibrate on finite outputs"):
        qdq.parameters(Range(0.0, bad), qdq.UINT8)


def test_a_missing_range_names_the_tensor():
    with pytest.raises(InputError, match="the range of 'x' is missing"):
        qdq.span_of({}, "x")


def test_one_pair_serves_all_who_ask_for_the_same_grid():
    editor = Editor(transformer())
    ranges = {"tokens.out": Range(-3, 3)}
    first = qdq.held(editor, "tokens.out", ranges, qdq.UINT8)
    assert qdq.held(editor, "tokens.out", ranges, qdq.UINT8) == first
    assert qdq.held(editor, "tokens.out", ranges, qdq.INT8) != first


def test_an_output_that_is_held_is_read_so_by_all():
    model = transformer()
    expected = run(model, ids())
    editor = Editor(model)
    ranges = {"layer0.mlp.norm.out": Range(-6, 6)}
    qdq.hold_output(editor, "layer0.mlp.norm.out", ranges, qdq.UINT8)
    assert qdq.held(editor, "layer0.mlp.norm.out", ranges, qdq.UINT8) == "layer0.mlp.norm.out"
    found = run(editor.close(), ids())
    assert 1e-4 < np.abs(found - expected).max() < 0.1
    writer = next(node for node in model.graph.node if "layer0.mlp.norm.out" in node.output)
    assert writer.op_type == "DequantizeLinear"


def test_an_input_and_an_output_of_the_tower_are_not_renamed():
    editor = Editor(transformer())
    for name in ("token_ids", "embedding"):
        qdq.hold_output(editor, name, {name: Range(-1, 1)}, qdq.UINT8)
    assert editor.close().SerializeToString(deterministic=True) == transformer().SerializeToString(deterministic=True)
