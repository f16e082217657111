"""A static graph computes what its master computes, with nothing left that follows from the shape."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.targets import static
from edgekit.errors import ConversionError, UnsupportedModelError

SHAPE_OPS = {"Shape", "ConstantOfShape", "Range", "Constant", "Identity"}


@pytest.mark.parametrize("name", ["image", "text"])
def test_folding_changes_nothing(masters, folded, rows, name: str) -> None:
    path, shape, inputs = masters[name]
    model = folded(name)
    assert not {node.op_type for node in model.graph.node} & SHAPE_OPS
    assert {node.domain for node in model.graph.node} == {""}
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == list(shape)
    assert model.graph.output[0].type.tensor_type.shape.dim[0].dim_value == 1
    np.testing.assert_allclose(rows(model, inputs), rows(path, inputs), atol=1e-5)


def test_nothing_is_left_beside_the_graph(masters, tmp_path) -> None:
    path, shape, _ = masters["text"]
    static.fold(path, tmp_path / "out.onnx", shape)
    assert {file.name for file in tmp_path.iterdir()} == {"out.onnx", "out.onnx.data"}


def test_a_shape_that_cannot_be_is_told(masters, tmp_path) -> None:
    with pytest.raises(ConversionError, match=r"image\.onnx: ONNX Runtime refuses the shape \(1, 2, 2, 5\)"):
        static.fold(masters["image"][0], tmp_path / "out.onnx", (1, 2, 2, 5))


def test_the_scaling_moves_out(masters, folded, rows) -> None:
    path, _, inputs = masters["image"]
    model = folded("image")
    found = static.move_scaling_out(model)
    import tiny_masters

    np.testing.assert_allclose(found.mean, 255 * np.array(tiny_masters.SPEC.mean), rtol=1e-4)
    np.testing.assert_allclose(found.std, 255 * np.array(tiny_masters.SPEC.std), rtol=1e-4)
    given = model.graph.input[0].type.tensor_type
    assert given.elem_type == TensorProto.FLOAT
    assert [d.dim_value for d in given.shape.dim] == [1, 3, tiny_masters.SIZE, tiny_masters.SIZE]
    scaled = ((inputs - np.array(found.mean)) / np.array(found.std)).transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_allclose(rows(model, scaled), rows(path, inputs), atol=1e-4)


def _graph(nodes, constants=(), out=(1, 4, 4, 3)):
    given = helper.make_tensor_value_info("pixels", TensorProto.UINT8, (1, 4, 4, 3))
    taken = helper.make_tensor_value_info("y", TensorProto.FLOAT, out)
    graph = helper.make_graph(nodes, "g", [given], [taken], list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_rows_first_get_a_transposition(rows) -> None:
    half = numpy_helper.from_array(np.float32(0.5), "half")
    nodes = [
        helper.make_node("Cast", ["pixels"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "half"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
    ]
    model = _graph(nodes, [half])
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    wanted = rows(model, pixels)
    found = static.move_scaling_out(model)
    onnx.checker.check_model(model)
    assert found.std == pytest.approx((2, 2, 2))
    scaled = (pixels / 2).transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_allclose(rows(model, scaled), wanted, atol=1e-5)


def test_what_is_no_scaling_is_refused() -> None:
    cast = helper.make_node("Cast", ["pixels"], ["f"], to=TensorProto.FLOAT)
    end = helper.make_node("Relu", ["s"], ["y"])
    square = _graph([cast, helper.make_node("Neg", ["f"], ["s"]), end])
    # The head is the cast alone then, and the layer comes after it: a scaling by one.
    assert static.move_scaling_out(square).std == pytest.approx((1, 1, 1))
    place = numpy_helper.from_array(np.arange(48, dtype=np.float32).reshape(1, 4, 4, 3), "place")
    with pytest.raises(UnsupportedModelError, match="by their place"):
        static.move_scaling_out(_graph([cast, helper.make_node("Add", ["f", "place"], ["s"]), end], [place]))
    minus = numpy_helper.from_array(np.float32(-1), "minus")
    with pytest.raises(UnsupportedModelError, match="no scaling per channel"):
        static.move_scaling_out(_graph([cast, helper.make_node("Mul", ["f", "minus"], ["s"]), end], [minus]))
    turned = helper.make_node("Transpose", ["f"], ["s"], perm=[0, 2, 3, 1])
    with pytest.raises(UnsupportedModelError, match=r"into \(1, 4, 3, 4\)"):
        static.move_scaling_out(_graph([cast, turned, end], out=(1, 4, 3, 4)))
    with pytest.raises(UnsupportedModelError, match="does not scale its input"):
        static.move_scaling_out(_graph([helper.make_node("ArgMax", ["pixels"], ["y"])]))


def test_constants_are_read_by_name(folded) -> None:
    model = folded("text")
    first = model.graph.initializer[0].name
    assert static.array_of(model, first) is not None
    assert static.array_of(model, "nothing") is None


levels = st.floats(1, 254, width=32)
spreads = st.floats(4, 250, width=32)


def _written(form, mean, std):
    """The same scaling, as exporters write it: nodes from ``f`` to ``s``, and their constants."""
    mean, std = (np.asarray(values, np.float32) for values in (mean, std))
    if form == "parts of one":
        constants = {"all": np.float32(255), "mean": mean / 255, "std": std / 255}
        steps = [("Div", "all"), ("Sub", "mean"), ("Div", "std")]
    elif form == "levels":
        constants, steps = {"mean": mean, "std": std}, [("Sub", "mean"), ("Div", "std")]
    else:
        constants, steps = {"factor": 1 / std, "term": -mean / std}, [("Mul", "factor"), ("Add", "term")]
    names = ["f", *(f"step{number}" for number in range(1, len(steps))), "s"]
    nodes = [helper.make_node(op, [names[i], read], [names[i + 1]]) for i, (op, read) in enumerate(steps)]
    return nodes, [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]


@given(
    st.sampled_from(["parts of one", "levels", "factor and term"]),
    st.sampled_from(["rows", "planes first", "planes last"]),
    st.lists(st.tuples(levels, spreads), min_size=3, max_size=3),
)
@settings(deadline=None, max_examples=25)
def test_a_scaling_is_found_however_it_is_written(form, layout, channels) -> None:
    mean, std = (np.array(values, np.float32) for values in zip(*channels, strict=True))
    first = layout == "planes first"
    nodes, constants = _written(form, *(v[:, None, None] if first else v for v in (mean, std)))
    cast = helper.make_node("Cast", ["pixels"], ["float" if first else "f"], to=TensorProto.FLOAT)
    turn = helper.make_node("Transpose", ["float"], ["f"], perm=[0, 3, 1, 2])
    late = helper.make_node("Transpose", ["s"], ["planes"], perm=[0, 3, 1, 2])
    end = helper.make_node("Relu", ["planes" if layout == "planes last" else "s"], ["y"])
    parts = {"rows": [cast, *nodes, end], "planes first": [cast, turn, *nodes, end]}
    out = (1, 4, 4, 3) if layout == "rows" else (1, 3, 4, 4)
    model = _graph(parts.get(layout, [cast, *nodes, late, end]), constants, out)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), dtype=np.uint8)
    scaled = (pixels - mean) / std
    found = static.move_scaling_out(model)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(found.std, std, rtol=1e-3)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == (["Transpose", "Relu"] if layout == "rows" else ["Relu"])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    told = session.run(None, {"pixels": scaled.transpose(0, 3, 1, 2).astype(np.float32)})[0]
    wanted = np.maximum(scaled if layout == "rows" else scaled.transpose(0, 3, 1, 2), 0)
    np.testing.assert_allclose(told, wanted, atol=1e-4)


def test_pixels_that_two_layers_read_are_not_scaled_outside() -> None:
    cast = helper.make_node("Cast", ["pixels"], ["f"], to=TensorProto.FLOAT)
    again = helper.make_node("Cast", ["pixels"], ["g"], to=TensorProto.FLOAT)
    model = _graph([cast, again, helper.make_node("Add", ["f", "g"], ["y"])])
    with pytest.raises(UnsupportedModelError, match="does not scale its input 'pixels'"):
        static.move_scaling_out(model)


@pytest.mark.parametrize(("op", "value"), [("Div", 0.0), ("Mul", np.nan), ("Mul", 0.0), ("Add", np.inf)])
def test_a_scaling_that_no_number_undoes_is_refused(op, value) -> None:
    cast = helper.make_node("Cast", ["pixels"], ["f"], to=TensorProto.FLOAT)
    nodes = [cast, helper.make_node(op, ["f", "c"], ["s"]), helper.make_node("Relu", ["s"], ["y"])]
    model = _graph(nodes, [numpy_helper.from_array(np.float32(value), "c")])
    before = model.SerializeToString()
    with np.errstate(all="ignore"), pytest.raises(UnsupportedModelError, match="no scaling per channel"):
        static.move_scaling_out(model)
    assert model.SerializeToString() == before


def test_a_graph_at_another_batch_keeps_it(masters, tmp_path, rows) -> None:
    """Targets ask for one; the function gives what it is asked for, at the output too."""
    path, shape, inputs = masters["text"]
    out = tmp_path / "four.onnx"
    static.fold(path, out, (4, *shape[1:]))
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    assert [one.shape[0] for one in (*session.get_inputs(), *session.get_outputs())] == [4, 4]
    found = session.run(None, {session.get_inputs()[0].name: inputs[:4]})[0]
    np.testing.assert_allclose(found, rows(path, inputs[:4]), atol=1e-5)


def test_a_master_that_is_no_graph_is_named_and_nothing_is_left(tmp_path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"none")
    with pytest.raises(ConversionError, match=r"bad\.onnx: not a readable ONNX graph"):
        static.fold(tmp_path / "bad.onnx", tmp_path / "out.onnx", (1, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["bad.onnx"]


def test_scaling_is_that_which_was_moved_out() -> None:
    pixels = np.full((2, 4, 6, 3), 30, np.uint8)
    found = static.scaled(pixels, (10.0, 20.0, 30.0), (2.0, 4.0, 5.0))
    assert (found.shape, found.dtype) == ((2, 3, 4, 6), np.float32)
    assert found.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(found[0, :, 0, 0], [10, 2.5, 0])
    assert static.scaled(pixels, (), ()) is pixels
