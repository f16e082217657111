"""Only a compiled file that holds its binary itself is opened."""

from __future__ import annotations

import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgekit.runtimes import onnx_context


def node(op: str = "EPContext", **attributes: object) -> onnx.NodeProto:
    given = {"main_context": 1, "ep_cache_context": b"\x00binary", "embed_mode": 1, **attributes}
    kept = {name: value for name, value in given.items() if value is not None}
    return helper.make_node(op, ["pixels"], ["embedding"], domain="com.microsoft", **kept)


def model(*nodes: onnx.NodeProto, tensors: tuple[onnx.TensorProto, ...] = ()) -> onnx.ModelProto:
    given = [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, 4, 4, 3])]
    taken = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 8])]
    return helper.make_model(helper.make_graph(list(nodes), "compiled", given, taken, list(tensors)))


def elsewhere() -> onnx.TensorProto:
    tensor = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def twice() -> onnx.NodeProto:
    """Two integers in one attribute: protocol buffers take the last."""
    made = node(embed_mode=None)
    spare = helper.make_attribute("embed_mode", 1).SerializeToString() + b"\x18\x00"
    made.attribute.append(onnx.AttributeProto())
    text = made.SerializeToString()
    # The empty attribute is a field of no length: the spare one takes its place.
    assert text.count(b"\x2a\x00") == 1
    return text.replace(b"\x2a\x00", b"\x2a" + bytes([len(spare)]) + spare)


@pytest.mark.parametrize("nodes", [(node(),), (node(), node(main_context=0))])
def test_what_holds_its_binary_is_right(nodes: tuple[onnx.NodeProto, ...]) -> None:
    assert onnx_context.problem(model(*nodes).SerializeToString()) == ""


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (model(node(embed_mode=0)), "it points at another file"),
        (model(node(embed_mode=None)), "it points at another file"),
        (model(node(), node(embed_mode=0)), "it points at another file"),
        (model(node(), tensors=(elsewhere(),)), "it points at another file"),
        (model(node("Relu")), "it is not what a provider compiled"),
        (model(node(), node("Relu")), "it is not what a provider compiled"),
        (model(), "it is not what a provider compiled"),
    ],
)
def test_anything_else_is_refused(made: onnx.ModelProto, told: str) -> None:
    assert onnx_context.problem(made.SerializeToString()) == told


def test_functions_are_refused() -> None:
    made = model(node())
    body = [helper.make_node("Relu", ["x"], ["y"])]
    made.functions.append(helper.make_function("own", "F", ["x"], ["y"], body, [helper.make_opsetid("", 17)]))
    assert onnx_context.problem(made.SerializeToString()) == "it is not what a provider compiled"


def test_of_two_values_of_one_field_none_is_passed_over() -> None:
    text = twice()
    assert onnx.NodeProto.FromString(text).attribute[-1].i == 0
    whole = model(node())
    plain = whole.graph.node[0].SerializeToString()
    data = whole.SerializeToString()
    # Lengths differ, so the model is put together again around the changed node.
    graph = whole.graph.SerializeToString().replace(_field(1, plain), _field(1, text))
    changed = data.replace(_field(7, whole.graph.SerializeToString()), _field(7, graph))
    assert onnx.load_from_string(changed).graph.node[0].attribute[-1].i == 0
    assert onnx_context.problem(changed) == "it points at another file"


def _field(number: int, body: bytes) -> bytes:
    size, rest = bytearray(), len(body)
    while rest > 127:
        size.append(rest & 127 | 128)
        rest >>= 7
    return bytes([number << 3 | 2, *size, rest]) + body


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(content: bytes) -> None:
    assert onnx_context.problem(content) in ("its file is no ONNX model", "it is not what a provider compiled")


@given(st.integers(0), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_changes_no_pointing(at: int, value: int) -> None:
    content = bytearray(model(node()).SerializeToString())
    content[at % len(content)] = value
    try:
        read = onnx.load_from_string(bytes(content))
    except (DecodeError, UnicodeDecodeError):
        return  # no engine reads it either
    embedded = [{a.name: a.i for a in one.attribute}.get("embed_mode") for one in read.graph.node]
    assert onnx_context.problem(bytes(content)) or set(embedded) == {1}
