"""Pixels go into an int8 file as they are, and the file computes what it did."""

from __future__ import annotations

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from edgekit.converters.targets.ethos_input import take_pixels

SHAPE = [1, 4, 4, 3]
KIND, TYPE = schema.BuiltinOperator, schema.TensorType


def _tensor(name, kind, scale=None, zero=None):
    made = schema.TensorT()
    made.name, made.type, made.shape, made.buffer = name, kind, SHAPE, 0
    if scale is not None:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [scale], [zero]
    return made


def _write(path, steps, tensors, outputs):
    """Write a file of one subgraph whose first tensor is its input; each step is (operator, input, output)."""
    model = schema.ModelT()
    model.version, model.description = 3, "pixels"
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs = tensors, [0], outputs
    graph.operators, model.operatorCodes = [], []
    for kind, read, made in steps:
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), 1
        model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = len(model.operatorCodes) - 1, [read], [made]
        graph.operators.append(operator)
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def _tensors(scale, zero, first=TYPE.UINT8):
    return [
        _tensor("pixels", first),
        _tensor("levels", TYPE.FLOAT32),
        _tensor("rounded", TYPE.INT8, scale, zero),
        _tensor("out", TYPE.FLOAT32),
    ]


STEPS = [(KIND.CAST, 0, 1), (KIND.QUANTIZE, 1, 2), (KIND.DEQUANTIZE, 2, 3)]


def _run(path):
    pixels = np.arange(48, dtype=np.uint8).reshape(SHAPE) * 5
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _kinds(path):
    model = flatbuffer_utils.read_model(str(path))
    return [model.operatorCodes[one.opcodeIndex].builtinCode for one in model.subgraphs[0].operators]


@pytest.mark.parametrize(("scale", "zero"), [(1.0, -128), (0.9803922, -128), (2.0, -100)])
def test_the_pair_becomes_one_and_computes_the_same(tmp_path, scale, zero) -> None:
    path = tmp_path / "image.tflite"
    _write(path, STEPS, _tensors(scale, zero), [3])
    wanted = _run(path)
    assert take_pixels(path)
    assert _kinds(path) == [KIND.QUANTIZE, KIND.DEQUANTIZE]
    # A tie may be rounded to the other side: one step at most.
    np.testing.assert_allclose(_run(path), wanted, atol=scale * 1.001)
    assert not take_pixels(path)


def test_with_a_scale_of_one_nothing_changes_at_all(tmp_path) -> None:
    path = tmp_path / "image.tflite"
    _write(path, STEPS, _tensors(1.0, -128), [3])
    wanted = _run(path)
    take_pixels(path)
    np.testing.assert_array_equal(_run(path), wanted)


@pytest.mark.parametrize("given", ["ids", "two readers", "no rounding"])
def test_what_is_no_such_pair_is_left(tmp_path, given) -> None:
    path = tmp_path / "other.tflite"
    tensors, steps = _tensors(1.0, -128, TYPE.INT32 if given == "ids" else TYPE.UINT8), list(STEPS)
    outputs = [3]
    if given == "two readers":
        tensors.append(_tensor("again", TYPE.FLOAT32))
        steps.append((KIND.CAST, 0, 4))
        outputs = [3, 4]
    if given == "no rounding":
        steps, outputs = steps[:1], [1]
    _write(path, steps, tensors, outputs)
    before = path.read_bytes()
    assert not take_pixels(path)
    assert path.read_bytes() == before
