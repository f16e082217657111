"""The running sum of a tower is found by the graph's shape, and named in the tool's configuration."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.converters.targets.rknn_layers import configured, quantized, running_sum

# As rknn-toolkit2 2.5.0 writes its own graph: products are convolutions, norms have an operator of their own.
BLOCKS = [
    ("Gather", ["table", "ids"], "words"),
    ("Add", ["words", "positions"], "start"),  # of a stored tensor: no sum of two computed ones
    ("exNorm", ["start", "w", "b"], "norm.0"),
    ("Conv", ["norm.0", "k"], "queries"),
    ("exSDPAttention", ["queries", "queries", "queries"], "mixed"),
    ("Conv", ["mixed", "k"], "attended"),
    ("Add", ["attended", "norm.0"], "sum.1"),
    ("exNorm", ["sum.1", "w", "b"], "norm.1"),
    ("Conv", ["norm.1", "k"], "wide"),
    ("exGelu", ["wide"], "active"),
    ("Conv", ["active", "k"], "narrow"),
    ("Add", ["narrow", "norm.1"], "sum.2"),
    ("Reshape", ["sum.2", "shape"], "out"),
]

TEXT = """custom_quantize_layers: {}
quantize_parameters:
    norm.0:
        qtype: asym
        min:
        -   0.0
    sum.1:
        qtype: asym
"""


def _model(blocks):
    nodes = [helper.make_node(kind, read, [made], made) for kind, read, made in blocks]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT32, [1, 4])
    out = helper.make_tensor_value_info(blocks[-1][2], TensorProto.FLOAT, None)
    return helper.make_model(helper.make_graph(nodes, "tower", [ids], [out]))


def test_sums_and_norms_hold_the_running_sum() -> None:
    assert running_sum(_model(BLOCKS), products=False) == ["norm.0", "sum.1", "norm.1", "sum.2"]


def test_the_products_that_are_added_come_with_it() -> None:
    found = running_sum(_model(BLOCKS), products=True)
    assert found == ["norm.0", "attended", "sum.1", "norm.1", "narrow", "sum.2"]
    assert not {"queries", "wide", "active"} & set(found)


def test_standard_operators_are_known_too() -> None:
    renamed = {"exNorm": "LayerNormalization", "Conv": "MatMul"}
    blocks = [(renamed.get(kind, kind), read, made) for kind, read, made in BLOCKS]
    assert running_sum(_model(blocks), products=True) == running_sum(_model(BLOCKS), products=True)


def test_a_chain_has_no_running_sum() -> None:
    chain = [one for one in BLOCKS if one[0] != "Add"]
    assert running_sum(_model(chain), products=True) == []


def test_layers_are_named_where_the_tool_reads_them() -> None:
    made = configured(TEXT, ["norm.0", "sum.1"])
    assert made == TEXT.replace(
        "custom_quantize_layers: {}", "custom_quantize_layers:\n    norm.0: float16\n    sum.1: float16"
    )


def test_what_is_not_quantized_needs_no_entry() -> None:
    assert quantized(TEXT, ["sum.1", "ids", "norm.0", "min"]) == ["sum.1", "norm.0"]


def test_nothing_to_name_leaves_the_text() -> None:
    assert configured(TEXT, []) == TEXT


def test_another_version_of_the_file_is_told() -> None:
    with pytest.raises(ValueError, match=r"the tool's configuration has no 'custom_quantize_layers: \{\}'"):
        configured(TEXT.replace(": {}", ":"), ["norm.0"])


def test_weights_need_not_be_there(tmp_path) -> None:
    path = tmp_path / "chip.model"
    onnx.save(_model(BLOCKS), str(path))
    assert running_sum(onnx.load(str(path), load_external_data=False), products=False)[0] == "norm.0"
