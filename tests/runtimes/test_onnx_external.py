"""The hand-written reader of ONNX files against the `onnx` package, on models of every shape that can hold a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import onnx_models
from edgekit.errors import ExecutionError
from edgekit.runtimes.onnx_external import External, references, rewrite

LOCATIONS = st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40
)  # anything that is a protobuf string
REFERENCES = st.builds(External, LOCATIONS, st.integers(0, 1 << 62), st.none() | st.integers(0, 1 << 62))


def tensor(reference: External | None) -> TensorProto:
    if reference is None:
        return numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3), "inline")
    zeros = np.zeros((2, 3), np.float32)
    return onnx_models.external("outside", zeros, reference.location, reference.offset, reference.length)


TENSORS = st.builds(tensor, st.none() | REFERENCES)


@st.composite
def sparse(draw: st.DrawFn) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=draw(TENSORS), indices=draw(TENSORS), dims=[6])


@st.composite
def attributes(draw: st.DrawFn, depth: int) -> onnx.AttributeProto:
    kinds = ["int", "tensor", "tensors", "sparse", "sparses", "strings"] + (["graph", "graphs"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    attribute = onnx.AttributeProto(name=kind, type=onnx.AttributeProto.TENSOR)
    if kind == "int":
        attribute.i = draw(st.integers(-(1 << 63), (1 << 63) - 1))
    elif kind == "strings":
        attribute.strings.extend(draw(st.lists(st.binary(max_size=200), max_size=3)))
    elif kind == "tensor":
        attribute.t.CopyFrom(draw(TENSORS))
    elif kind == "tensors":
        attribute.tensors.extend(draw(st.lists(TENSORS, max_size=3)))
    elif kind == "sparse":
        attribute.sparse_tensor.CopyFrom(draw(sparse()))
    elif kind == "sparses":
        attribute.sparse_tensors.extend(draw(st.lists(sparse(), max_size=2)))
    elif kind == "graph":
        attribute.g.CopyFrom(draw(graphs(depth - 1)))
    else:
        attribute.graphs.extend(draw(st.lists(graphs(depth - 1), max_size=2)))
    return attribute


@st.composite
def nodes(draw: st.DrawFn, depth: int) -> onnx.NodeProto:
    node = helper.make_node("Anything", ["a", ""], ["b"], name=draw(st.text(max_size=5)), domain="test")
    node.attribute.extend(draw(st.lists(attributes(depth), max_size=3)))
    return node


@st.composite
def graphs(draw: st.DrawFn, depth: int = 2) -> onnx.GraphProto:
    graph = onnx.GraphProto(name="g", doc_string=draw(st.text(max_size=300)))
    graph.node.extend(draw(st.lists(nodes(depth), max_size=3)))
    graph.initializer.extend(draw(st.lists(TENSORS, max_size=4)))
    graph.sparse_initializer.extend(draw(st.lists(sparse(), max_size=2)))
    graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3]))
    return graph


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    function = onnx.FunctionProto(name="f", domain="local", input=["x"], output=["y"])
    function.node.extend(draw(st.lists(nodes(1), max_size=2)))
    function.attribute_proto.extend(draw(st.lists(attributes(1), max_size=2)))
    return onnx_models.model_of(draw(graphs()), functions=[function])


def every_tensor(message: Any) -> list[TensorProto]:
    """Every TensorProto anywhere below a message, found by reflection and not by a list of fields."""
    if isinstance(message, TensorProto):
        return [message]
    found: list[TensorProto] = []
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in value if field.is_repeated else [value]:
                found += every_tensor(item)
    return found


def normal(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model, each reference with its offset written out and its entries in one order."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    for found in every_tensor(copy):
        if found.external_data:
            entries = {"offset": "0", **{entry.key: entry.value for entry in found.external_data}}
            del found.external_data[:]
            for key in ("location", "offset", "length"):
                if key in entries:
                    found.external_data.add(key=key, value=entries[key])
    return copy


def of(found: TensorProto) -> External:
    entries = {entry.key: entry.value for entry in found.external_data}
    length = entries.get("length")
    return External(entries["location"], int(entries["offset"]), None if length is None else int(length))


@settings(max_examples=60, deadline=None)
@given(models())
def test_every_reference_is_found_wherever_it_is(model: onnx.ModelProto) -> None:
    wanted = [of(found) for found in every_tensor(model) if found.external_data]
    found = references(model.SerializeToString(), "model")
    assert sorted(found, key=repr) == sorted(wanted, key=repr)


@settings(max_examples=50, deadline=None)
@given(models())
def test_rewriting_without_a_change_keeps_the_model(model: onnx.ModelProto) -> None:
    again = onnx.ModelProto.FromString(rewrite(model.SerializeToString(), "model", lambda reference: reference))
    assert normal(again) == normal(model)


@settings(max_examples=30, deadline=None)
@given(models(), REFERENCES)
def test_rewriting_changes_every_reference_and_nothing_else(model: onnx.ModelProto, target: External) -> None:
    again = onnx.ModelProto.FromString(rewrite(model.SerializeToString(), "model", lambda _: target))
    assert {of(found) for found in every_tensor(again) if found.external_data} <= {target}
    for found in [*every_tensor(again), *every_tensor(model)]:
        del found.external_data[:]
    assert again == model


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_else(data: bytes) -> None:
    try:
        rewrite(data, "noise", lambda reference: reference)
    except ExecutionError as error:
        assert str(error).startswith("noise: ")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_model_raises_nothing_else(data: st.DataObject) -> None:
    model = bytearray(onnx_models.two_inputs())
    for _ in range(data.draw(st.integers(1, 4))):
        model[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(model)))
    try:
        references(bytes(model[:cut]), "damaged")
    except ExecutionError as error:
        assert str(error).startswith("damaged: not a well-formed ONNX model: ")


def test_what_the_protocol_buffers_library_accepts_is_accepted() -> None:
    # A view, fields in any order, a field of fixed width, and a number that takes ten bytes.
    odd = b"\xbd\x3e\x01\x02\x03\x04" + b"\xb9\x3e12345678" + b"\x08" + b"\xff" * 9 + b"\x01"
    model = odd + onnx_models.two_inputs()
    onnx.ModelProto.FromString(model)
    assert len(references(memoryview(model), "odd")) == 2
    assert rewrite(model, "odd", lambda r: r)[: len(odd)] == odd


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x08", "index out"),  # a number that never comes
        (b"\x08" + b"\xff" * 11, "too long"),
        (b"\x3a\x7f\x01", "longer than the file"),
        (b"\x09\x01", "longer than the file"),
        (b"\x0d\x01", "longer than the file"),
        (b"\x0b", "wire type 3"),
    ],
)
def test_each_way_to_be_malformed_is_told(data: bytes, problem: str) -> None:
    with pytest.raises(ExecutionError, match=f"noise: not a well-formed ONNX model: .*{problem}"):
        references(data, "noise")


def test_a_number_that_is_none_is_malformed() -> None:
    bad = onnx_models.external("w", np.zeros(1, np.float32), "w.bin", 0, None)
    bad.external_data[1].value = "many"
    model = onnx_models.model_of(helper.make_graph([], "g", [], [], [bad])).SerializeToString()
    with pytest.raises(ExecutionError, match="well-formed"):
        references(model, "noise")


def field(number: int, body: bytes) -> bytes:
    length, digits = len(body), bytearray()
    while length > 0x7F:
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *digits, length]) + body


def test_nesting_is_bounded() -> None:
    graph = b""
    for _ in range(100):
        graph = field(1, field(5, field(6, graph)))  # a node, its attribute, that one's graph
    with pytest.raises(ExecutionError, match="nested too deeply"):
        references(field(7, graph), "deep")
