"""What is ncnn's alone: options, damaged files with all their sidecars, arrays that die early, layers as nodes."""

from __future__ import annotations

import gc
import json
import sys
from dataclasses import replace

import numpy as np
import pytest

import ncnn_models
import onnx_models
from edgekit.errors import ExecutionError, InputError
from edgekit.runtimes import ncnn as adapter
from edgekit.runtimes.ncnn import Ncnn
from edgekit.runtimes.protocol import Artifact, Blob, SessionSettings
from runtime_contract import assert_same, inputs

ONE = SessionSettings(threads=1)
FREE = ncnn_models.artifact()


def with_files(param: bytes | None = None, weights: bytes | None = None, specs: bytes | None = None) -> Artifact:
    """The model with some of its files replaced."""
    files = {"m.bin": weights, "m.json": specs}
    sidecars = {name: Blob(memoryview(data)) for name, data in files.items() if data is not None}
    model = FREE.model if param is None else Blob(memoryview(param))
    return replace(FREE, model=model, sidecars={**FREE.sidecars, **sidecars})


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ((("threads", "2"),), "known: precision"),
        ((("precision", "f16"),), "takes high, low, not 'f16'"),
        ((("precision", "low"),) * 2, "twice"),
    ],
)
def test_a_wrong_option_is_refused(pairs, told):
    with pytest.raises(InputError, match=told):
        Ncnn().open(FREE, "cpu", SessionSettings(options=pairs))


@pytest.mark.parametrize("precision", ["high", "low"])
def test_each_precision_opens_and_is_near(precision):
    session = Ncnn().open(FREE, "cpu", SessionSettings(threads=1, options=(("precision", precision),)))
    found, wanted = session.run(inputs(3))["sum"], onnx_models.expected(inputs(3))["sum"]
    session.close()
    np.testing.assert_allclose(found, wanted, rtol=1e-5 if precision == "high" else 2e-2, atol=1e-2)


def test_the_options_reach_the_engine():
    import ncnn

    options = ncnn.Net().opt
    options.use_vulkan_compute = options.use_bf16_storage = True
    adapter._set(options, "high", SessionSettings(threads=3, spinning=False))
    assert options.num_threads == 3
    assert options.openmp_blocktime == 0
    assert not options.use_vulkan_compute
    assert not any(getattr(options, name) for name in adapter._SMALL)
    fresh = ncnn.Net().opt
    adapter._set(fresh, "low", SessionSettings())
    assert fresh.use_fp16_arithmetic
    assert fresh.openmp_blocktime > 0
    assert fresh.num_threads >= 1


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda text: "", "does not begin with 7767517"),
        (lambda text: text[1:], "does not begin with 7767517"),
        (lambda text: "7767517", "count the 0 layers"),
        (lambda text: text[: len(text) // 2], "count the 5 layers"),
        (lambda text: text.replace("8 8", "8 9"), "count the 8 blobs"),
        (lambda text: text.replace("flat product", "fiat product"), "multiply reads fiat, which no layer"),
        (lambda text: text.replace("flat product", "flat rows"), "gather writes rows again"),
        (lambda text: text.replace("2 1 product words sum", "2 9 product words sum"), "add is cut off"),
        (lambda text: text.replace("1 1 ids rows", "one 1 ids rows"), "'Embed gather one 1' is no layer"),
        (lambda text: text.replace("Flatten ", "Abacus "), "ncnn refused the layers"),
        (lambda text: text.replace("sum 0=0", "sum ÷"), "cannot read the model"),
    ],
)
def test_a_damaged_param_file_is_refused_with_its_line(damage, told):
    with pytest.raises(ExecutionError, match=told) as error:
        Ncnn().open(with_files(param=damage(ncnn_models.PARAM).encode()), "cpu", ONE)
    assert "test.param" in str(error.value)


@pytest.mark.parametrize("kept", [0, 1, 100, len(ncnn_models.WEIGHTS) - 1])
def test_weights_that_are_too_short_are_refused(kept):
    with pytest.raises(ExecutionError, match=r"test\.param: ncnn refused the weights"):
        Ncnn().open(with_files(weights=ncnn_models.WEIGHTS[:kept]), "cpu", ONE)


@pytest.mark.parametrize("ending", [".bin", ".json"])
def test_a_missing_file_is_named(ending):
    left = {name: blob for name, blob in FREE.sidecars.items() if not name.endswith(ending)}
    with pytest.raises(ExecutionError, match=rf"one file \*\{ending} beside it, here are 0"):
        Ncnn().open(replace(FREE, sidecars=left), "cpu", ONE)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda plain: plain.pop("outputs"), "another form"),
        (lambda plain: plain["inputs"][0].update(shape=[None]), "a batch and a row are needed"),
        (lambda plain: plain["inputs"][0].update(dtype="complex64"), "a type that ncnn does not take"),
        (lambda plain: plain["inputs"][1]["blobs"][0].update(dtype="int64"), "a type that ncnn does not take"),
        (lambda plain: plain["inputs"].pop(), r"its inputs are \['ids', 'pixels'\], the sidecar says \['pixels'\]"),
        (lambda plain: plain["outputs"][0].update(blob="total"), "it has no blob total"),
    ],
)
def test_a_wrong_sidecar_is_refused(change, told):
    plain = json.loads(ncnn_models.specs())
    change(plain)
    with pytest.raises(ExecutionError, match=told):
        Ncnn().open(with_files(specs=json.dumps(plain).encode()), "cpu", ONE)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"inputs": 3}', b"\xff"])
def test_a_sidecar_that_is_no_json_is_refused(content):
    with pytest.raises(ExecutionError, match=r"test\.param: ncnn cannot read the model"):
        Ncnn().open(with_files(specs=content), "cpu", ONE)


def test_an_output_of_another_shape_than_the_sidecar_says_is_an_error():
    plain = json.loads(ncnn_models.specs())
    plain["outputs"][0]["shape"] = [None, 4]
    session = Ncnn().open(with_files(specs=json.dumps(plain).encode()), "cpu", ONE)
    with pytest.raises(ExecutionError, match=r"sum of shape \(3,\), not \(4,\)"):
        session.run(inputs(2))
    session.close()


def test_an_input_may_feed_two_blobs_of_two_types():
    param = "7767517\n4 4\nInput i 0 1 ids\nInput f 0 1 ids_f\nEmbed e 1 1 ids rows 0=3 1=7 2=0 3=21\n"
    param += "Reduction r 1 1 ids_f total 0=0 1=1 4=0 5=1\n"
    blobs = [{"name": "ids", "dtype": "int32"}, {"name": "ids_f", "dtype": "float32"}]
    specs = {
        "inputs": [{"name": "ids", "dtype": "int32", "shape": [None, None], "blobs": blobs}],
        "outputs": [
            {"name": "rows", "shape": [None, None, 3], "blob": "rows"},
            {"name": "total", "shape": [None, 1], "blob": "total"},
        ],
    }
    table = ncnn_models.FLOAT32 + onnx_models.TABLE.tobytes()
    session = Ncnn().open(with_files(param.encode(), table, json.dumps(specs).encode()), "cpu", ONE)
    ids = inputs(3)["ids"]
    found = session.run({"ids": ids})
    session.close()
    np.testing.assert_array_equal(found["rows"], onnx_models.TABLE[ids])
    np.testing.assert_array_equal(found["total"][:, 0], ids.sum(axis=1))


def test_results_do_not_hang_on_arrays_that_are_gone():
    # A Mat of an array only points at it; the adapter copies.
    session = Ncnn().open(FREE, "cpu", ONE)
    for seed in range(50):
        found = session.run({name: array.copy() for name, array in inputs(4, seed=seed).items()})
        gc.collect()
        assert_same(found, onnx_models.expected(inputs(4, seed=seed)))
    session.close()


def test_placement_lists_the_layers_of_the_file():
    session = Ncnn().open(FREE, "cpu", ONE)
    kinds = [node.op for node in session.placement().nodes]
    session.close()
    assert kinds == ["Flatten", "InnerProduct", "Embed", "Reduction", "BinaryOp", "Crop"]


def test_without_the_package_it_says_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ncnn", None)
    assert 'pip install "edgekit[ncnn]"' in Ncnn().available().reason
    assert Ncnn().devices() == ()
    with pytest.raises(ExecutionError, match="only none"):
        Ncnn().open(FREE, "cpu", ONE)
