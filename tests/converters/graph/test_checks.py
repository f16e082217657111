from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.bundle.manifest import TensorSpec
from edgekit.converters.graph import checks, store
from edgekit.errors import ConversionError

PIXELS = TensorSpec("pixels", "uint8", ("N", 4, 6, 3))
EMBEDDING = TensorSpec("embedding", "float32", ("N", 2))


def build(
    *,
    inputs=(("pixels", TensorProto.UINT8, ["N", 4, 6, 3]),),
    outputs=(("embedding", TensorProto.FLOAT, ["N", 2]),),
    nodes=(),
    initializers=(),
    opsets=(("", 17),),
):
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in initializers],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(*pair) for pair in opsets], ir_version=8)


def check(**changes):
    checks.check_contract(build(**changes), PIXELS, EMBEDDING)


def test_a_graph_of_the_contract_passes():
    check(initializers=[("w", np.array([-1e4, 0, 65504], np.float32)), ("i", np.array([2**62]))])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([("image", TensorProto.UINT8, ["N", 4, 6, 3])], "inputs are.*image.*pixels"),
        ([("pixels", TensorProto.FLOAT, ["N", 4, 6, 3])], "'pixels' is float32, the contract is uint8"),
        ([("pixels", TensorProto.UINT8, ["N", 6, 4, 3])], "'pixels' has shape"),
        ([("pixels", TensorProto.UINT8, ["N", 4, 6])], "'pixels' has shape"),
        ([("pixels", TensorProto.UINT8, [1, 4, 6, 3])], "fixed length 1 where 'N' must be free"),
        ([("pixels", TensorProto.UINT8, ["N", "H", 6, 3])], "'pixels' has shape"),
        ([("pixels", TensorProto.UINT8, ["N", 4, 6, 3]), ("mask", TensorProto.FLOAT, [1])], "inputs are.*mask"),
    ],
)
def test_the_input_is_checked(inputs, message):
    with pytest.raises(ConversionError, match=message):
        check(inputs=inputs)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (("features", TensorProto.FLOAT, ["N", 2]), "outputs are.*features"),
        (("embedding", TensorProto.FLOAT16, ["N", 2]), "float16, the contract is float32"),
        (("embedding", TensorProto.FLOAT, ["N", 3]), "'embedding' has shape"),
    ],
)
def test_the_output_is_checked(output, message):
    with pytest.raises(ConversionError, match=message):
        check(outputs=[output])


@pytest.mark.parametrize("opsets", [[("", 18)], [("com.microsoft", 1)]])
def test_the_opset_is_checked(opsets):
    with pytest.raises(ConversionError, match="opset"):
        check(opsets=opsets)


def test_operators_of_one_vendor_are_refused():
    node = helper.make_node("FusedGelu", ["a"], ["b"], name="gelu_3", domain="com.microsoft")
    with pytest.raises(ConversionError, match=r"gelu_3.*com\.microsoft::FusedGelu"):
        check(nodes=[node], opsets=[("", 17), ("com.microsoft", 1)])


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_constants_are_finite(value, dtype):
    with pytest.raises(ConversionError, match="constant 'w' holds infinity or NaN"):
        check(initializers=[("w", np.array([0, value], dtype))])


def test_attributes_are_finite():
    with pytest.raises(ConversionError, match=r"clip_1.*'alpha'"):
        check(nodes=[helper.make_node("Elu", ["a"], ["b"], name="clip_1", alpha=float("inf"))])
    filled = helper.make_node(
        "ConstantOfShape", ["a"], ["b"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [float("nan")])
    )
    with pytest.raises(ConversionError, match="constant 'b'"):
        check(nodes=[filled])


def test_external_weights_stay_inside():
    model = build(initializers=[("w", np.zeros(4, np.float32))])
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add(key="location", value="m.onnx.data")
    checks.check_contract(model, PIXELS, EMBEDDING)
    entry.value = "../m.onnx.data"
    with pytest.raises(ConversionError, match="'w' points outside"):
        checks.check_contract(model, PIXELS, EMBEDDING)


def test_the_onnx_checker_speaks(tmp_path):
    path = tmp_path / "m.onnx"
    store.save(build(nodes=[helper.make_node("NoSuchOperator", ["pixels"], ["embedding"])]), path)
    with pytest.raises(ConversionError, match=r"m\.onnx: refused.*NoSuchOperator"):
        checks.check_file(path)
