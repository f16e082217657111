"""What ONNX targets share: files, tensors, and rows that the processor computes with the very file."""

from __future__ import annotations

import time

import numpy as np
import onnx
import onnxruntime
import pytest

from edgekit.converters.graph import store
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT
from edgekit.converters.targets import onnx_target, prepare_worker, steps
from edgekit.converters.targets.records import Chip, TowerJob
from edgekit.errors import ConversionError, ExecutionError
from edgekit.fidelity import agreement

CHIP = Chip("test-chip", "test", ("fp32",), "reference before compilation", "")


@pytest.fixture
def prepared(masters, tmp_path):
    """Prepare a tiny tower's graph; returns the job, the file, its facts, and the float rows of its inputs."""

    def make(name, *, outside):
        path, shape, samples = masters[name]
        np.save(tmp_path / "inputs.npy", samples)
        folder = tmp_path / "work"
        folder.mkdir()
        parts = dict.fromkeys((HELD_OUT, GOLDEN), tmp_path / "inputs.npy")
        job = TowerJob(name, CHIP, "fp32", path, shape, parts, tmp_path / "none.npy", 0.99, folder)
        out = f"{name}.onnx"
        asked = prepare_worker.Request(str(path), shape, name, "qnn", scaling_outside=outside, biases=False, out=out)
        facts = steps.prepare(job, asked, lambda _: None)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return job, folder / out, facts, session.run(None, {session.get_inputs()[0].name: samples})[0]

    return make


@pytest.mark.parametrize(("name", "outside"), [("image", True), ("image", False), ("text", True)])
def test_the_file_computes_what_the_master_does(prepared, name, outside) -> None:
    job, model, facts, rows = prepared(name, outside=outside)
    stages: list[str] = []
    built = onnx_target.built(job, model, facts, "fp32", {"a": "b"}, time.monotonic() - 1, stages.append)
    for part in (HELD_OUT, GOLDEN):
        assert built.rows[part].dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(built.rows[part], axis=1), 1, atol=1e-6)
        assert agreement(built.rows[part], rows).centred_min > 0.99999
    assert [file.name for file in built.files] == [f"{name}.onnx", f"{name}.onnx.data"]
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (given,), (taken,) = session.get_inputs(), session.get_outputs()
    assert (built.input.name, list(built.input.shape)) == (given.name, given.shape)
    assert (built.output.name, list(built.output.shape)) == (taken.name, taken.shape)
    assert f"tensor({built.input.dtype.replace('float32', 'float')})" == given.type
    assert (built.precision, built.facts["a"]) == ("fp32", "b")
    assert built.toolchain["onnxruntime"] == onnxruntime.__version__
    assert built.seconds >= 1
    assert all(f"{name} tower: " in stage for stage in stages) and len(stages) == 2


def test_operators_beyond_the_table_are_told(prepared) -> None:
    job, model, facts, _ = prepared("text", outside=False)
    assert facts.unknown
    built = onnx_target.built(job, model, facts, "fp32", {}, time.monotonic(), lambda _: None)
    assert built.facts["operators beyond the table"] == ", ".join(facts.unknown)


def test_rows_that_are_no_numbers_are_refused(prepared) -> None:
    job, model, facts, _ = prepared("text", outside=False)
    graph = store.load(model)
    for tensor in graph.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            shape = tuple(tensor.dims)
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(shape, np.nan, np.float32), tensor.name))
    store.save(graph, model)
    with pytest.raises(ConversionError, match=r"the text tower for test-chip: ONNX Runtime returns .*, or NaN"):
        onnx_target.reference(job, model, facts, HELD_OUT, lambda _: None)


def test_a_file_that_does_not_open_is_told(prepared) -> None:
    job, model, facts, _ = prepared("text", outside=False)
    model.write_bytes(b"not a model")
    with pytest.raises(ExecutionError, match=r"text\.onnx"):
        onnx_target.reference(job, model, facts, HELD_OUT, lambda _: None)
