from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from edgekit.bundle.manifest import TensorSpec
from edgekit.converters import export, parity
from edgekit.errors import ConversionError

IDS = TensorSpec("token_ids", "int32", ("N", "L"))
PIXELS = TensorSpec("pixels", "uint8", ("N", 4, 6, 3))
EMBEDDING = TensorSpec("embedding", "float32", ("N", 3))


class Mean(torch.nn.Module):
    def forward(self, ids):
        return ids.float().mean(dim=1, keepdim=True).repeat(1, 3)


class Picky(torch.nn.Module):
    def forward(self, ids):
        if ids.shape[1] != 9:
            raise RuntimeError("only nine")
        return ids[:, :3].float()


def test_examples_fit_the_input_and_repeat():
    pixels = parity.example(PIXELS, rows=2, length=0)
    assert (pixels.shape, pixels.dtype) == ((2, 4, 6, 3), np.uint8)
    ids = parity.example(IDS, rows=3, length=7)
    assert (ids.shape, ids.dtype) == ((3, 7), np.int32)
    assert ids.min() >= 3
    assert ids.max() < 100
    np.testing.assert_array_equal(ids, parity.example(IDS, rows=3, length=7))


@pytest.mark.parametrize(("length", "expected"), [(1, 1), (2, 1), (64, 21), (77, 25)])
def test_the_short_length_is_shorter(length, expected):
    assert parity.short(length) == expected


def test_the_shape_is_free_where_the_module_agrees():
    assert parity.free_shape(Mean(), IDS, 9) == IDS
    assert parity.free_shape(Picky(), IDS, 9).shape == ("N", 9)
    assert parity.free_shape(Picky(), PIXELS, 0) == PIXELS


def test_exporting_gives_the_declared_interface(tmp_path):
    model = export.export_module(Mean(), torch.ones(2, 5, dtype=torch.int32), IDS, EMBEDDING, tmp_path)
    dims = model.graph.output[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["N", 3]
    assert list(tmp_path.iterdir()) == []
    onnx.checker.check_model(model)


def test_a_module_that_cannot_be_traced_is_named(tmp_path):
    with pytest.raises(ConversionError, match="Picky: tracing failed: only nine"):
        export.export_module(Picky(), torch.ones(2, 5, dtype=torch.int32), IDS, EMBEDDING, tmp_path)
    assert list(tmp_path.iterdir()) == []


def write(path, node):
    """A graph that does one thing to ids and calls it an embedding."""
    ids = helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["N", "L"])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, None)
    cast = helper.make_node("Cast", ["token_ids"], ["x"], to=TensorProto.FLOAT)
    graph = helper.make_graph([cast, node], "g", [ids], [embedding])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


class AsFloat(torch.nn.Module):
    def forward(self, ids):
        return ids.float()


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (helper.make_node("Identity", ["x"], ["embedding"]), None),
        (helper.make_node("Neg", ["x"], ["embedding"]), "batch 1, length 9 differs from the module by"),
        (helper.make_node("ReduceSum", ["x"], ["embedding"]), r"batch 1, length 9 gives shape \(1, 1\)"),
        (helper.make_node("Log", ["embedding_"], ["embedding"]), "cannot open"),
        (helper.make_node("SpaceToDepth", ["x"], ["embedding"], blocksize=2), "fails at batch 1|cannot open"),
    ],
    ids=["same", "other values", "other shape", "unreadable", "does not run"],
)
def test_a_file_is_held_against_the_module(tmp_path, node, message):
    write(tmp_path / "text.onnx", node)
    if message is None:
        parity.check(tmp_path / "text.onnx", AsFloat(), AsFloat(), IDS, 9)
        return
    with pytest.raises(ConversionError, match=rf"text\.onnx: .*({message})"):
        parity.check(tmp_path / "text.onnx", AsFloat(), AsFloat(), IDS, 9)


def test_not_a_number_is_a_difference(tmp_path):
    write(tmp_path / "text.onnx", helper.make_node("Sqrt", ["n"], ["embedding"]))
    model = onnx.load(str(tmp_path / "text.onnx"))
    model.graph.node.insert(1, helper.make_node("Neg", ["x"], ["n"]))
    onnx.save(model, str(tmp_path / "text.onnx"))
    with pytest.raises(ConversionError, match="differs from the module by nan"):
        parity.check(tmp_path / "text.onnx", AsFloat(), AsFloat(), IDS, 9)


def test_the_first_line_of_a_message():
    assert export.first_line(ValueError("\n  one\ntwo")) == "one"
    assert export.first_line(ValueError()) == "ValueError"


def test_the_fast_path_is_off_only_inside():
    torch.backends.mha.set_fastpath_enabled(True)
    with export.plain_attention():
        assert not torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mha.get_fastpath_enabled()
