"""Whole conversions of two tiny towers, each made once, and everything that can go wrong on the way."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import tiny_masters
from edgekit.bundle import schema
from edgekit.bundle.manifest import TensorSpec
from edgekit.converters.litert import compile as litert
from edgekit.converters.litert import convert_worker, files, names, quantize_worker, run_worker, work
from edgekit.converters.litert.compile import TowerShape, compile_float, compile_tower, quantize_file
from edgekit.converters.quantize.methods.groups import find_groups
from edgekit.converters.quantize.methods.records import TowerDecision
from edgekit.errors import ConversionError, InputError, MissingDependencyError, UnsupportedModelError

SHAPES = {
    "image": TowerShape((tiny_masters.SIZE, tiny_masters.SIZE, 3)),
    "text": TowerShape((tiny_masters.LENGTH,)),
}


@pytest.fixture(scope="session")
def converted(tmp_path_factory):
    """Both towers: folder with ``image.onnx``, ``image.tflite`` and so on, and what was said of each."""
    folder = tmp_path_factory.mktemp("litert")
    made = {}
    for name, shape in SHAPES.items():
        master = tiny_masters.save(folder / f"{name}.onnx", name)
        samples = [tiny_masters.samples(name)[:4], tiny_masters.samples(name)[4:]]
        made[name] = compile_float(master, folder / f"{name}.tflite", name, shape, samples)
    return folder, made


def quantized(converted, tmp_path, name, decision):
    folder, _ = converted
    out = tmp_path / f"{name}.tflite"
    samples = [tiny_masters.samples(name)]
    return out, quantize_file(
        folder / f"{name}.onnx", folder / f"{name}.tflite", out, name, SHAPES[name], decision, samples
    )


def groups_of(converted, name):
    return find_groups(onnx.load(str(converted[0] / f"{name}.onnx"), load_external_data=False))


def every(method):
    return TowerDecision({work.EVERY_GROUP: method})


@pytest.mark.parametrize("name", ["image", "text"])
def test_a_float_file_agrees_with_its_master(converted, name):
    folder, made = converted
    result = made[name]
    assert result.fidelity.n == 6
    assert result.fidelity.max_error <= 1e-5
    assert result.embeddings.shape == (6, tiny_masters.DIMENSION)
    given = ("pixels", "uint8") if name == "image" else ("token_ids", "int32")
    assert result.input == TensorSpec(*given, SHAPES[name].whole)
    assert result.output == TensorSpec("embedding", "float32", (1, tiny_masters.DIMENSION))
    assert result.size == (folder / f"{name}.tflite").stat().st_size
    assert result.operators == files.count_operators(folder / f"{name}.tflite")
    assert result.peak_bytes > 100e6
    assert {"litert-torch", "torch"} <= set(result.toolchain)
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_operators_are_those_that_devices_have(converted):
    image, text = (converted[1][name].operators for name in ("image", "text"))
    # Convolutions in the layout of the pixels: what is transposed is the heads of attention.
    assert image["TRANSPOSE"] <= 6
    assert "PAD" not in image
    assert image["GELU"] == text["GELU"] == 1
    assert text["EMBEDDING_LOOKUP"] == 1
    # The place of the end of text is picked by a product, and not by checked look-ups that fill with NaN.
    assert not {"GATHER", "GATHER_ND", "SELECT_V2", "REDUCE_ALL"} & set(text)
    assert not {"ERF", "EXP", "POW", "CUSTOM"} & {*image, *text}


@pytest.mark.parametrize("name", ["image", "text"])
def test_each_group_is_found_again_in_the_file(converted, name):
    operators = files.weighted_operators(converted[0] / f"{name}.tflite")
    called = names.scopes(groups_of(converted, name))
    owners = [[group for group, scope in called.items() if scope in operator.output] for operator in operators]
    assert all(len(found) == 1 for found in owners)
    assert {found[0] for found in owners} == set(called)


def test_int8_weights_make_a_file_smaller_and_keep_it_right(converted, tmp_path):
    out, result = quantized(converted, tmp_path, "image", every("int8_weights"))
    assert result.fidelity.centred_min >= 0.98
    assert result.fidelity.max_error > 0
    assert result.size == out.stat().st_size <= converted[1]["image"].size / 1.6
    assert result.skipped == ()
    assert "ai-edge-quantizer" in result.toolchain


def test_each_group_is_stored_as_the_decision_says_and_the_rest_stays_float(converted, tmp_path):
    kinds = {group.name: group.kind for group in groups_of(converted, "text")}
    methods = {"table": "int8_weights", "mlp": "dynamic_int8", "attention": "float16_weights"}
    decision = TowerDecision({name: methods[kind] for name, kind in kinds.items() if kind in methods})
    out, result = quantized(converted, tmp_path, "text", decision)
    assert result.fidelity.centred_min >= 0.97
    assert stored_types(out, groups_of(converted, "text")) == {
        "table": {"INT8"},
        "attention": {"FLOAT16"},
        "mlp": {"INT8"},
        "head": {"FLOAT32"},
    }
    # Weights in float16 are decoded by an operator of their own; those in int8 are what the product reads.
    assert result.operators["DEQUANTIZE"] == 2


def stored_types(path, groups):
    """Types in which each kind of group has its weights in a file, by the name of what reads them."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    types = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    (graph,) = flatbuffer_utils.read_model(str(path)).subgraphs
    writers = {operator.outputs[0]: operator for operator in graph.operators}
    called, found = names.scopes(groups), {}
    for operator in graph.operators:
        output = graph.tensors[operator.outputs[0]].name.decode()
        owner = next((group for group in groups if called[group.name] in output), None)
        if owner and len(operator.inputs) >= 2:
            weight = operator.inputs[1]
            source = writers[weight].inputs[0] if weight in writers else weight
            tensor = graph.tensors[source]
            if min(tensor.shape, default=0) > 1 and len(tensor.shape) == 2:
                found.setdefault(owner.kind, set()).add(types[tensor.type])
    return found


def test_int8_in_every_operator(converted, tmp_path):
    """The mask of the float file is -1e4, which costs the logits their range, but it is finite."""
    _, result = quantized(converted, tmp_path, "text", every(work.FULL_INTEGER))
    assert result.fidelity.cosine_min >= 0.8
    assert result.output.dtype == "float32"
    assert result.operators["QUANTIZE"] >= 1


def test_a_file_that_aborts_the_process_is_one_error(converted, tmp_path):
    """A mask of minus infinity in a fully static file ends the interpreter's process; this one lives on."""
    from ai_edge_litert.tools import flatbuffer_utils

    folder, _ = converted
    model = flatbuffer_utils.read_model(str(folder / "text.tflite"))
    changed = 0
    for buffer in model.buffers:
        if buffer.data is not None and len(buffer.data) % 4 == 0:
            values = np.frombuffer(bytes(buffer.data), np.float32).copy()
            masked = values == -1e4
            if masked.any():
                values[masked] = -np.inf
                buffer.data, changed = np.frombuffer(values.tobytes(), np.uint8), changed + 1
    assert changed == 1
    flatbuffer_utils.write_model(model, str(tmp_path / "infinite.tflite"))
    out, samples = tmp_path / "out.tflite", [tiny_masters.samples("text")]
    arguments = folder / "text.onnx", tmp_path / "infinite.tflite", out, "text", SHAPES["text"]
    with pytest.raises(ConversionError, match=r"out\.tflite: (.*ended by SIGABRT|the file does not run: .*not finite)"):
        quantize_file(*arguments, every(work.FULL_INTEGER), samples)
    assert not out.exists()


def test_a_file_of_another_tower_is_refused(converted):
    folder, _ = converted
    with pytest.raises(ConversionError, match="no operator of the LiteRT file reads its weights"):
        quantize_worker.recipe_of(folder / "image.onnx", folder / "text.tflite", {work.EVERY_GROUP: "int8_weights"})


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        ({"nowhere": "int8_weights"}, "group 'nowhere' does not exist"),
        ({work.EVERY_GROUP: "unheard_of"}, "does not exist"),
        ({"table": "static_int8"}, "not for the kind 'table'"),
    ],
    ids=["group", "method", "kind"],
)
def test_decisions_that_do_not_fit_are_refused(converted, methods, words):
    folder, _ = converted
    with pytest.raises(InputError, match=words):
        quantize_worker.recipe_of(folder / "text.onnx", folder / "text.tflite", methods)


def test_smoothing_needs_the_master_again(converted, tmp_path):
    with pytest.raises(InputError, match="give the decision to compile_tower"):
        quantized(converted, tmp_path, "text", TowerDecision({"table": "int8_weights"}, smoothing=0.5))


def test_static_methods_without_samples_are_refused(converted, tmp_path):
    np.save(tmp_path / work.SAMPLES, np.zeros((0, tiny_masters.LENGTH), np.int32))
    folder, _ = converted
    recipe = quantize_worker.recipe_of(folder / "text.onnx", folder / "text.tflite", {work.EVERY_GROUP: "full_int8"})
    with pytest.raises(InputError, match="needs samples"):
        quantize_worker.quantize(folder / "text.tflite", tmp_path / "o.tflite", recipe, tmp_path)


def test_samples_come_in_the_batches_of_the_file(converted):
    rows = tiny_masters.samples("text")
    (batches,) = quantize_worker._data(converted[0] / "text.tflite", rows).values()
    np.testing.assert_array_equal(np.concatenate([batch["token_ids"] for batch in batches]), rows)


def test_a_smoothed_master_computes_the_same(converted, tmp_path):
    """Static methods are smoothed: the child measures, and moves outliers into the weights."""
    folder, _ = converted
    kinds = {group.name: group.kind for group in groups_of(converted, "text")}
    decision = TowerDecision({name: "static_int8" for name, kind in kinds.items() if kind == "mlp"}, smoothing=0.5)
    rows = tiny_masters.samples("text")
    stages = []
    path = litert._smoothed(tmp_path, folder / "text.onnx", "text", SHAPES["text"], decision, [rows], stages.append)
    assert stages == ["smoothing the master"]
    before, after = (run_worker.embed("onnxruntime", each, rows) for each in (folder / "text.onnx", path))
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert path.with_name(f"{path.name}.data").read_bytes() != (folder / "text.onnx.data").read_bytes()
    assert {group.name for group in find_groups(onnx.load(str(path), load_external_data=False))} == set(kinds)


def test_an_operator_without_a_litert_form_is_refused_before_the_tool_runs(tmp_path):
    nodes = [
        helper.make_node("NonZero", ["token_ids"], ["a"], "/culprit"),
        helper.make_node("Cast", ["a"], ["embedding"], to=TensorProto.FLOAT),
    ]
    given = helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["N", 4])
    taken = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", "D"])
    graph = helper.make_graph(nodes, "g", [given], [taken])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(tmp_path / "m.onnx"))
    stages = []
    with pytest.raises(UnsupportedModelError, match=r"m\.tflite: node '/culprit' \(NonZero\)"):
        ids = [np.ones((2, 4), np.int32)]
        compile_float(tmp_path / "m.onnx", tmp_path / "m.tflite", "text", TowerShape((4,)), ids, stages.append)
    assert stages == ["reading m.onnx"]
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        ([np.zeros((2, 9), np.int32)], r"int32 \(2, 9\)"),
        ([np.zeros((2, 10), np.int64)], r"int64 \(2, 10\)"),
        ([np.zeros((1, 10), np.int32)], "has 1 samples"),
        ([], "has 0 samples"),
    ],
    ids=["length", "type", "one row", "nothing"],
)
def test_samples_that_do_not_fit_are_refused(tmp_path, batches, words):
    with pytest.raises(InputError, match=words):
        compile_tower(tmp_path / "m.onnx", tmp_path / "o.tflite", "text", SHAPES["text"], None, batches)


def _fails(code):
    """A stand-in for a child: writes nothing, and ends as told."""

    def run(module, folder, arguments, on_stage):
        raise ConversionError(f"{module} was ended by {code}; its last lines:\n  …")

    return run


@pytest.mark.parametrize(("code", "words"), [("SIGALRM", "longer than 3600 s"), ("SIGSEGV", "ended by SIGSEGV")])
def test_a_tool_that_crashes_or_hangs_is_one_error(tmp_path, monkeypatch, code, words):
    monkeypatch.setattr(litert, "run_child", _fails(code))
    with pytest.raises(ConversionError, match=rf"o\.tflite: .*convert_worker[\s\S]*{words}"):
        samples = [tiny_masters.samples("text")]
        compile_tower(tmp_path / "m.onnx", tmp_path / "o.tflite", "text", SHAPES["text"], None, samples)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_ends_itself_when_its_time_is_over(tmp_path):
    script = "from edgekit.converters.litert import limits; import time; limits.die_after(1); time.sleep(60)"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, timeout=50, check=False)
    assert done.returncode == -14


def test_a_missing_tool_is_named_with_what_installs_it(converted, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(MissingDependencyError, match=r"litert_torch cannot be imported.*edgekit\[convert-litert\]"):
        convert_worker.tools()
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    folder, _ = converted
    recipe = quantize_worker.recipe_of(folder / "text.onnx", folder / "text.tflite", {"table": "int8_weights"})
    with pytest.raises(MissingDependencyError, match=r"ai-edge-quantizer cannot be imported.*\[convert-litert\]"):
        quantize_worker.quantize(folder / "text.tflite", tmp_path / "o.tflite", recipe, tmp_path)


def test_a_tool_that_is_not_installed_at_all_is_named_too(converted, tmp_path, monkeypatch):
    request = work.Request(str(converted[0] / "text.onnx"), "", str(tmp_path / "o.tflite"), (1, 10), {}, 0.0, 600)
    (tmp_path / work.REQUEST).write_text(schema.dumps(request))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(convert_worker.limits, "die_after", lambda seconds: None)
    with pytest.raises(MissingDependencyError, match=r"torch is not installed.*\[convert-litert\]"):
        convert_worker.main(tmp_path)


def test_a_file_that_disagrees_with_the_master_is_refused():
    reference = np.eye(4, 8, dtype=np.float32)
    found = reference + np.float32(1e-3)
    with pytest.raises(ConversionError, match=r"x\.tflite: disagrees with the float master: max error 0\.001"):
        litert._compare(found, reference, "x.tflite", exact=True)
    assert litert._compare(found, reference, "x.tflite", exact=False).max_error > 0
    with pytest.raises(ConversionError, match=r"returns float32 \(4, 7\)"):
        litert._compare(found[:, :7], reference, "x.tflite", exact=False)
    with pytest.raises(ConversionError, match="NaN or infinity on 1 of 4"):
        bad = found.copy()
        bad[2, 3] = np.inf
        litert._compare(bad, reference, "x.tflite", exact=False)


def test_a_whole_decision_goes_through_both_steps(converted, tmp_path, monkeypatch):
    """`compile_tower` joins the steps; the float one is taken from the fixture."""
    folder, made = converted

    def ready(master, out, *_, mask=None):
        assert mask is None
        out.write_bytes((folder / "text.tflite").read_bytes())
        return made["text"]

    monkeypatch.setattr(litert, "compile_float", ready)
    samples, out = [tiny_masters.samples("text")], tmp_path / "o.tflite"
    master: Path = folder / "text.onnx"
    plain = compile_tower(master, out, "text", SHAPES["text"], TowerDecision({}), samples)
    assert plain is made["text"]
    size = out.stat().st_size
    result = compile_tower(master, out, "text", SHAPES["text"], every("int8_weights"), samples)
    assert out.stat().st_size == result.size < size
    assert {"litert-torch", "ai-edge-quantizer"} <= set(result.toolchain)
    assert result.seconds > made["text"].seconds
    assert result.peak_bytes >= made["text"].peak_bytes
    assert [path.name for path in tmp_path.iterdir()] == ["o.tflite"]
