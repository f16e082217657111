"""The layer that looks ids up is put before pnnx's own, in a file that ncnn reads to its end."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.converters.targets import ncnn_worker
from edgekit.runtimes import ncnn_model

# As pnnx writes a text tower: the rows that were looked up, the ids as numbers, and the layers behind them.
PARAM = """7767517
4 4
Input            in0                      0 1 in0
Input            in1                      0 1 in1
BinaryOp         choose                   2 1 in0 in1 1 0=2
Softmax          softmax                  1 1 1 out0 0=0
"""
AFTER = b"weights of the layers after it"
FLOAT32, FLOAT16 = b"\0\0\0\0", struct.pack("<I", 0x01306B47)  # ncnn, ModelBin: tags before a layer's weights


@pytest.fixture
def put(tmp_path):
    """Put a table before a text tower; returns the layers, the file that names them, and the weights."""

    def run(table, *, half, words="in0"):
        param, weights = tmp_path / "text.param", tmp_path / "text.bin"
        param.write_text(PARAM, encoding="ascii")
        weights.write_bytes(AFTER)
        ncnn_worker.look_up_first(param, weights, table, ("token_ids", words), half=half)
        text = param.read_text(encoding="ascii")
        return ncnn_model.layers(text), text, weights.read_bytes()

    return run


@pytest.mark.parametrize(("words", "other"), [("in0", "in1"), ("in1", "in0")])
def test_the_table_is_the_layer_after_the_input_of_ids(put, words, other) -> None:
    # The runtime's own reader checks the counts, and that no layer reads what none before it writes.
    layers, text, _ = put(np.ones((50, 6), np.float32), half=False, words=words)
    inputs = [layer.name for layer in layers if layer.kind == "Input"]
    assert sorted(inputs) == sorted(["token_ids", other])
    (embed,) = [layer for layer in layers if layer.kind == "Embed"]
    assert (embed.bottoms, embed.tops) == (("token_ids",), (words,))
    line = next(line for line in text.splitlines() if line.startswith("Embed"))
    # num_output, input_dim, bias_term and weight_data_size, by the numbers that ncnn's documentation gives them.
    told = dict(part.split("=") for part in line.split() if "=" in part)
    assert told == {"0": "6", "1": "50", "2": "0", "3": "300"}
    assert [layer.kind for layer in layers][-2:] == ["BinaryOp", "Softmax"]


@given(st.integers(1, 9), st.integers(1, 7), st.booleans(), st.sampled_from([1.0, 6e4, 7e4, 1e30]))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_weights_are_read_to_their_end(put, rows, width, half, largest) -> None:
    """A tag, the table, zeros up to a multiple of four bytes, and then the other layers' weights as they were."""
    table = np.random.default_rng(rows * 7 + width).uniform(-1, 1, (rows, width)).astype(np.float32)
    table[0, 0] = largest
    _, _, data = put(table, half=half)
    small = half and largest < 65_504
    assert data[:4] == (FLOAT16 if small else FLOAT32)
    size = table.size * (2 if small else 4)
    stored = np.frombuffer(data[4 : 4 + size], "<f2" if small else "<f4").reshape(table.shape)
    # What float16 cannot hold stays float32, rather than become infinity.
    np.testing.assert_array_equal(stored, table.astype(np.float16) if small else table)
    padded = -(-size // 4) * 4
    assert data[4 + size : 4 + padded] == bytes(padded - size)
    assert data[4 + padded :] == AFTER


def test_a_graph_without_the_input_is_not_half_changed(tmp_path) -> None:
    param, weights = tmp_path / "text.param", tmp_path / "text.bin"
    param.write_text(PARAM, encoding="ascii")
    weights.write_bytes(AFTER)
    with pytest.raises(ValueError, match="not enough values"):
        ncnn_worker.look_up_first(param, weights, np.ones((2, 2), np.float32), ("ids", "in7"), half=True)
    assert (param.read_text(encoding="ascii"), weights.read_bytes()) == (PARAM, AFTER)
