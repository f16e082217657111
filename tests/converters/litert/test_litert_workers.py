"""What the children of a LiteRT conversion read and write, on files made by hand, and how they fail."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.bundle import schema as documents
from edgekit.bundle.manifest import Agreement, TensorSpec
from edgekit.converters.graph import store
from edgekit.converters.litert import compile as litert
from edgekit.converters.litert import convert_worker, files, limits, names, quantize_worker, run_worker, work
from edgekit.converters.litert.compile import Compiled, TowerShape, compile_tower
from edgekit.converters.litert.recipe import Recipe, full_integer_recipe, make_recipe
from edgekit.converters.quantize.methods.records import Group, TowerDecision
from edgekit.converters.quantize.methods.table import METHODS
from edgekit.errors import BundleError, ConversionError, ExecutionError, InputError, MissingDependencyError
from edgekit.errors import UnsupportedModelError as Unsupported
from litert_models import Graph

EXAMPLES = settings(max_examples=15, deadline=None, derandomize=True)
GROUPS = (Group("block00.mlp", "mlp", ("up", "down"), 2048), Group("head", "head", ("head",), 512))
SCOPES = names.scopes(GROUPS)
PLACES = (SCOPES["block00.mlp"], SCOPES["block00.mlp"], SCOPES["head"])
IDS = TowerShape((5,))


@pytest.fixture(autouse=True)
def _no_alarm(monkeypatch):
    """The workers run in this process, which must outlive them."""
    monkeypatch.setattr(limits, "die_after", lambda seconds: None)


def matrices(seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(size=size).astype(np.float32) for size in ((32, 32), (32, 32), (16, 32))]


def write(path, batch=1, scopes=PLACES, kind="float32"):
    """Three products of (N, 32) numbers, named as a conversion names them."""
    graph = Graph()
    given_ = current = graph.tensor("serving_default_x:0", (batch, 32), kind)
    if kind != "float32":
        current = graph.tensor("floats", (batch, 32))
        graph.op("CAST", [given_], [current])
    for i, (matrix, scope) in enumerate(zip(matrices(), scopes, strict=True)):
        out = graph.tensor(f"tower/{scope}{i};1", (batch, len(matrix)))
        options = schema.FullyConnectedOptionsT()
        graph.op("FULLY_CONNECTED", [current, graph.constant(f"w{i}", matrix), -1], [out], options)
        current = out
    path.write_bytes(graph.model({"x": given_}, {"embedding": current}, ["serving_default"]))
    return path


def expected(x):
    for matrix in matrices():
        x = x @ matrix.T
    return x


def recipe(methods):
    chosen = [(group, METHODS[methods[group.name]]) for group in GROUPS if group.name in methods]
    operators = [files.WeightedOperator("FULLY_CONNECTED", f"tower/{SCOPES[group.name]}0;", 32) for group in GROUPS]
    return make_recipe(chosen, SCOPES, operators)


def test_a_file_is_read_as_the_operators_it_consists_of(tmp_path):
    path = write(tmp_path / "a.tflite")
    assert files.count_operators(path) == {"FULLY_CONNECTED": 3}
    found = files.weighted_operators(path)
    assert [(one.op, one.width) for one in found] == [("FULLY_CONNECTED", 32)] * 3
    assert [one.output for one in found] == [f"tower/{scope}{i};1" for i, scope in enumerate(PLACES)]


def test_a_product_of_two_activations_reads_no_weights(tmp_path):
    graph = Graph()
    x, y, w = graph.tensor("x", (2, 2)), graph.tensor("y", (2, 2)), graph.tensor("w", (2, 2))
    graph.op("FULLY_CONNECTED", [x, w, -1], [y], schema.FullyConnectedOptionsT())
    z = graph.tensor("z", (2, 2))
    graph.op("GELU", [y], [z], schema.GeluOptionsT())
    (tmp_path / "b.tflite").write_bytes(graph.model({"x": x, "w": w}, {"z": z}))
    assert files.weighted_operators(tmp_path / "b.tflite") == []
    # GELU is operator 150: beyond what the older field of the schema can hold.
    assert files.count_operators(tmp_path / "b.tflite") == {"FULLY_CONNECTED": 1, "GELU": 1}


@pytest.mark.parametrize(("rows", "batch", "runs"), [(6, 4, 1), (8, 4, 2), (3, 4, 1), (1, 4, 1), (5, 1, 5)], ids=str)
def test_calibration_fills_the_static_batch(tmp_path, rows, batch, runs):
    samples = np.arange(rows, dtype=np.float32)[:, None].repeat(32, 1)
    found = quantize_worker._data(write(tmp_path / "a.tflite", batch), samples)["serving_default"]
    assert [entry["x"].shape for entry in found] == [(batch, 32)] * runs
    assert {float(v) for entry in found for v in entry["x"][:, 0]} <= set(range(rows))
    assert len({float(v) for entry in found for v in entry["x"][:, 0]}) == min(rows, runs * batch)


@pytest.mark.parametrize("method", [name for name in METHODS if "mlp" in METHODS[name].kinds])
def test_the_tool_takes_the_recipe_of_every_method(tmp_path, method):
    """Every key of the registry is carried out on real weights, and only on the group that was named."""
    source = write(tmp_path / "a.tflite")
    rows = np.random.default_rng(1).normal(size=(8, 32)).astype(np.float32)
    np.save(tmp_path / work.SAMPLES, rows)
    quantize_worker.quantize(source, tmp_path / "b.tflite", recipe({"block00.mlp": method}), tmp_path)
    reference = expected(rows)
    found = run_worker.embed("litert", tmp_path / "b.tflite", rows)
    cosines = (found * reference).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(reference, axis=1)
    assert cosines.min() > 0.97
    assert not np.array_equal(found, run_worker.embed("litert", source, rows))
    assert (tmp_path / "b.tflite").stat().st_size < source.stat().st_size


def test_int8_in_every_operator_keeps_floats_at_both_ends(tmp_path):
    rows = np.random.default_rng(1).integers(0, 256, (8, 32), np.uint8)
    np.save(tmp_path / work.SAMPLES, rows)
    source = write(tmp_path / "a.tflite", kind="uint8")
    quantize_worker.quantize(source, tmp_path / "b.tflite", full_integer_recipe(), tmp_path)
    assert files.count_operators(tmp_path / "b.tflite") == {
        "CAST": 1,
        "DEQUANTIZE": 1,
        "FULLY_CONNECTED": 3,
        "QUANTIZE": 1,
    }
    found, reference = run_worker.embed("litert", tmp_path / "b.tflite", rows), expected(rows.astype(np.float32))
    assert found.dtype == np.float32
    assert np.abs(found - reference).max() < 0.1 * np.abs(reference).max()


@pytest.mark.parametrize("recipe_", [recipe({"block00.mlp": "a16w8"}), full_integer_recipe()], ids=["static", "all"])
def test_ranges_without_samples_are_refused(tmp_path, recipe_):
    np.save(tmp_path / work.SAMPLES, np.zeros((0, 32), np.float32))
    with pytest.raises(InputError, match="needs samples to measure the ranges of activations on"):
        quantize_worker.quantize(write(tmp_path / "a.tflite"), tmp_path / "b.tflite", recipe_, tmp_path)
    assert not (tmp_path / "b.tflite").exists()


@pytest.mark.parametrize("content", [b"", b"no flatbuffer at all"], ids=["empty", "words"])
def test_a_damaged_file_is_one_error_of_the_tool(tmp_path, content):
    np.save(tmp_path / work.SAMPLES, np.zeros((2, 32), np.float32))
    (tmp_path / "a.tflite").write_bytes(content)
    with pytest.raises(ConversionError, match=r"a\.tflite: ai-edge-quantizer failed: \w+"):
        quantize_worker.quantize(tmp_path / "a.tflite", tmp_path / "b.tflite", recipe({"head": "a16w8"}), tmp_path)


def test_a_rule_that_the_tool_does_not_know_is_one_error(tmp_path):
    np.save(tmp_path / work.SAMPLES, np.zeros((2, 32), np.float32))
    rule = {**recipe({"head": "int8_weights"}).rules[0], "algorithm_key": "astrology"}
    with pytest.raises(ConversionError, match=r"a\.tflite: ai-edge-quantizer failed"):
        quantize_worker.quantize(write(tmp_path / "a.tflite"), tmp_path / "b.tflite", Recipe([rule], ()), tmp_path)


def master(path):
    """The graph that the hand-made file would come from."""
    weights = [numpy_helper.from_array(m.T.copy(), f"w{i}") for i, m in enumerate(matrices())]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"], name="up"),
        helper.make_node("MatMul", ["a", "w1"], ["b"], name="down"),
        helper.make_node("MatMul", ["b", "w2"], ["embedding"], name="head"),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", s]) for n, s in (("x", 32), ("embedding", 16))]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    store.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_the_quantizing_child_leaves_a_file_and_facts(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "__stdout__", sys.stdout)
    source, made = master(tmp_path / "m.onnx"), tmp_path / "out.tflite"
    from edgekit.converters.quantize.methods.groups import find_groups

    groups = find_groups(store.load(source))
    called = names.scopes(groups)
    owner = {node: called[group.name] for group in groups for node in group.nodes}
    file = write(tmp_path / "a.tflite", scopes=tuple(owner[node] for node in ("up", "down", "head")))
    np.save(tmp_path / work.SAMPLES, np.ones((2, 32), np.float32))
    methods = {work.EVERY_GROUP: "int8_weights"}
    request = work.Request(str(source), str(file), str(made), (1, 32), methods, 0.0, 60)
    (tmp_path / work.REQUEST).write_text(documents.dumps(request))
    quantize_worker.main(tmp_path)
    facts = work.read_facts(tmp_path)
    assert facts.operators == files.count_operators(made)
    assert facts.skipped == ()
    assert set(facts.toolchain) == {"ai-edge-quantizer"}
    assert facts.peak_bytes > 50e6
    assert '{"stage": "quantizing the LiteRT file"}' in capsys.readouterr().out


def test_the_converting_child_asks_for_the_tool_only_after_the_graph_was_read(tmp_path, monkeypatch):
    """What the tool raises is one error, with the master's name and the tool's first line."""
    monkeypatch.setattr(sys, "__stdout__", sys.stdout)
    request = work.Request(str(master(tmp_path / "m.onnx")), "", str(tmp_path / "o.tflite"), (1, 32), {}, 0.0, 60)
    (tmp_path / work.REQUEST).write_text(documents.dumps(request))
    asked = {}

    def signature(name, module, sample_kwargs):
        asked.update(sample_kwargs, name=name)
        raise RuntimeError("out of luck\nand a long trace")

    monkeypatch.setattr(convert_worker, "tools", lambda: SimpleNamespace(signature=signature))
    with pytest.raises(ConversionError, match=r"m\.onnx: litert_torch failed: RuntimeError: out of luck$"):
        convert_worker.main(tmp_path)
    assert asked["name"] == "serving_default"
    assert tuple(asked["x"].shape) == (1, 32)
    assert not (tmp_path / work.FACTS).exists()


def test_the_running_child_takes_any_number_of_files(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "__stdout__", sys.stdout)
    rows = np.random.default_rng(0).normal(size=(5, 32)).astype(np.float32)
    np.save(tmp_path / work.SAMPLES, rows)
    onnx, tflite = str(master(tmp_path / "m.onnx")), str(write(tmp_path / "a.tflite", batch=2))
    run_worker.main(tmp_path, ("onnxruntime", onnx, "1.npy", "litert", tflite, "2.npy", "litert", tflite, "3.npy"))
    first, second, third = (np.load(tmp_path / f"{i}.npy") for i in (1, 2, 3))
    assert second.shape == (5, 16)  # two full batches, and one that was filled up
    np.testing.assert_allclose(second, first, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(third, second)
    run_worker.main(tmp_path, ())
    with pytest.raises(ValueError, match="argument"):
        run_worker.main(tmp_path, ("onnxruntime", onnx))


def test_a_file_that_is_none_is_an_error_of_the_engine(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"TFL3 but nothing else" * 4)
    with pytest.raises(ExecutionError):
        run_worker.embed("litert", tmp_path / "a.tflite", np.zeros((1, 32), np.float32))


@EXAMPLES
@given(st.builds(
    work.Request, st.text(max_size=9), st.text(max_size=9), st.text(max_size=9),
    st.lists(st.integers(1, 999), max_size=4).map(tuple),
    st.dictionaries(st.text(max_size=9), st.sampled_from(sorted(METHODS)), max_size=3),
    st.floats(-1e4, 0), st.integers(1, 9999),
))  # fmt: skip
def test_a_request_is_read_as_it_was_written(tmp_path_factory, request_):
    folder = tmp_path_factory.getbasetemp()
    (folder / work.REQUEST).write_text(documents.dumps(request_), encoding="utf-8")
    assert work.read_request(folder) == request_
    facts = work.Facts({"ADD": 2}, tuple(request_.methods), {"tool": request_.out}, request_.seconds)
    (folder / work.FACTS).write_text(documents.dumps(facts), encoding="utf-8")
    assert work.read_facts(folder) == facts


@pytest.mark.parametrize("text", ["", "[]", '{"master": 3}'], ids=["empty", "list", "type"])
def test_a_request_that_is_damaged_is_named(tmp_path, text):
    (tmp_path / work.REQUEST).write_text(text)
    with pytest.raises(BundleError, match=r"request\.json"):
        work.read_request(tmp_path)


def test_limits_tell_the_memory_of_this_process(monkeypatch):
    assert 10e6 < limits.peak_bytes() < 1e12
    monkeypatch.undo()
    called = []
    monkeypatch.setattr(signal, "signal", lambda *given_: called.append(given_))
    monkeypatch.setattr(signal, "alarm", lambda *given_: called.append(given_))
    limits.die_after(7)
    assert called == [(signal.SIGALRM, signal.SIG_DFL), (7,)]


def test_a_tool_that_breaks_while_it_is_imported_is_a_missing_one(monkeypatch):
    class Broken:
        def find_spec(self, name, *_):
            if name == "litert_torch":
                raise OSError("libsomething.so.6: cannot open")

    monkeypatch.delitem(sys.modules, "litert_torch", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(MissingDependencyError, match=r"litert_torch cannot be imported \(libsomething"):
        convert_worker.tools()


def ready(name):
    agreement = Agreement(2, 0.0, 1.0, 1.0, 1.0, 1.0)
    spec = TensorSpec("token_ids", "int32", (1, 5))
    return Compiled(spec, spec, agreement, np.zeros((2, 4), np.float32), (), {name: 1}, {name: "1"}, 3, 1.04, 10)


@pytest.fixture
def steps(monkeypatch):
    """The steps of `compile_tower`, replaced by ones that write what they were asked for."""
    calls = []

    def smoothed(folder, master_, tower, spec, decision, samples, on_stage):
        calls.append(("smooth", Path(master_).name, decision.smoothing))
        return folder / "smoothed.onnx"

    def compiled(master_, out, tower, spec, samples, on_stage, *, mask):
        calls.append(("float", Path(master_).name, mask))
        out.write_bytes(b"float")
        return ready("torch")

    def quantized(master_, source, out, tower, spec, decision, samples, on_stage):
        calls.append(("quantize", Path(master_).name, source.read_bytes(), decision))
        out.write_bytes(b"small")
        return replace(ready("quantizer"), seconds=2.0, peak_bytes=4)

    for name, step in (("_smoothed", smoothed), ("compile_float", compiled), ("quantize_file", quantized)):
        monkeypatch.setattr(litert, name, step)
    return calls


@pytest.mark.parametrize("decision", [None, TowerDecision({})], ids=["none", "empty"])
def test_no_decision_delivers_the_float_file(tmp_path, steps, decision):
    result = compile_tower(tmp_path / "m.onnx", tmp_path / "o.tflite", "text", IDS, decision, [])
    assert steps == [("float", "m.onnx", None)]
    assert (tmp_path / "o.tflite").read_bytes() == b"float"
    assert result.toolchain == {"torch": "1"}


def test_int8_everywhere_bounds_the_masks_of_the_float_file(tmp_path, steps):
    decision = TowerDecision({work.EVERY_GROUP: work.FULL_INTEGER})
    result = compile_tower(tmp_path / "m.onnx", tmp_path / "o.tflite", "text", IDS, decision, [])
    assert steps == [("float", "m.onnx", -30.0), ("quantize", "m.onnx", b"float", decision)]
    assert (tmp_path / "o.tflite").read_bytes() == b"small"
    assert (result.toolchain, result.seconds, result.peak_bytes) == ({"torch": "1", "quantizer": "1"}, 3.0, 10)
    assert [path.name for path in tmp_path.iterdir()] == ["o.tflite"]


def test_smoothing_comes_first_and_once(tmp_path, steps):
    """Both later steps take the smoothed master, and are told of no smoothing."""
    decision = TowerDecision({"block00.mlp": "static_int8"}, 0.5)
    compile_tower(tmp_path / "m.onnx", tmp_path / "o.tflite", "text", IDS, decision, [])
    assert steps == [
        ("smooth", "m.onnx", 0.5),
        ("float", "smoothed.onnx", None),
        ("quantize", "smoothed.onnx", b"float", TowerDecision({"block00.mlp": "static_int8"})),
    ]


@pytest.mark.parametrize("kind", [ConversionError, Unsupported])
def test_an_error_of_a_child_keeps_its_type_and_gets_the_files_name(tmp_path, monkeypatch, kind):
    def run(*_):
        raise kind("node 'x'")

    monkeypatch.setattr(litert, "run_child", run)
    with pytest.raises(kind, match=r"^o\.tflite: node 'x'$"):
        litert._child("convert_worker", tmp_path, (), "o.tflite", lambda _: None)


def test_a_file_that_the_engine_refuses_is_a_failed_conversion(tmp_path, monkeypatch):
    def run(*_):
        raise ExecutionError("litert: cannot open")

    monkeypatch.setattr(litert, "run_child", run)
    with pytest.raises(ConversionError, match=r"o\.tflite: the file does not run: litert: cannot open"):
        litert._embed(tmp_path, tmp_path / "m.onnx", tmp_path / "o.tflite", "o.tflite", lambda _: None)


@pytest.mark.parametrize(("tower", "dtype"), [("image", np.uint8), ("text", np.int32)])
def test_rows_of_all_batches_are_compared(tower, dtype):
    batches = [np.full((n, 5), n, dtype) for n in (1, 3)]
    found = litert._rows(batches, IDS, tower)
    assert (found.dtype, found.tolist()) == (dtype, [[1] * 5, *[[3] * 5] * 3])
    with pytest.raises(InputError, match=rf"samples of the {tower} tower are float32 \(2, 5\).*\(n, 5\) was expected"):
        litert._rows([np.zeros((2, 5), np.float32)], IDS, tower)
