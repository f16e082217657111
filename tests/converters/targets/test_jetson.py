"""Jetson's target on the tiny towers: every family and precision, islands, refusals; all of it without a GPU."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import edgekit
import jetson_jobs
import tiny_masters
from edgekit.adapting import unit_rows
from edgekit.bundle.reader import open_bundle
from edgekit.converters.graph import store
from edgekit.converters.targets import catalog, half, jetson_chips, jetson_graph
from edgekit.converters.targets.compile import CompileOptions, compile_bundle
from edgekit.errors import ConversionError, InputError, UnsupportedModelError
from edgekit.fidelity import agreement
from edgekit.runtimes import registry
from edgekit.runtimes.protocol import Artifact, Blob, SessionSettings

FAMILIES = tuple(chip.name for chip in jetson_chips.CHIPS)


@pytest.fixture
def build(masters, tmp_path):
    """Build a tiny tower for a chip; returns what was built, its graph and its agreement with float."""

    numbers = count()

    def run(tower: str, name: str, precision: str | None, master=None, goal: float = 0.0):
        target, chip = catalog.find(name)
        folder = tmp_path / f"job{next(numbers)}"
        folder.mkdir()
        job, rows = jetson_jobs.job(folder, master or masters[tower][0], tower, chip, precision, goal)
        built = target.build(job, lambda _: None)
        return built, store.load(built.files[0]), agreement(built.rows["held-out"], rows)

    return run


@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize("name", FAMILIES)
def test_float16_for_every_family(build, tower: str, name: str) -> None:
    built, model, found = build(tower, name, "fp16")
    assert found.centred_min > 0.999
    assert built.precision == "fp16"
    types = half.types_of(model)
    products = [node for node in model.graph.node if node.op_type in ("MatMul", "Conv")]
    assert products
    assert all(types[node.output[0]] == TensorProto.FLOAT16 for node in products)
    assert {tensor.data_type for tensor in model.graph.initializer if tensor.dims} <= {
        TensorProto.FLOAT16,
        TensorProto.INT64,
    }
    # What goes in and out keeps its type; an engine converts nothing outside.
    taken = "float32" if name == "jetson-nano" and tower == "image" else "uint8" if tower == "image" else "int32"
    assert built.input.dtype == taken
    assert (built.output.name, built.output.dtype) == ("projection", "float32")
    assert "none" in built.facts["kept in float32"]


@pytest.mark.parametrize("tower", ["image", "text"])
@pytest.mark.parametrize("name", ["jetson-xavier", "jetson-orin", "jetson-thor"])
def test_int8_is_symmetric_and_explicit(build, tower: str, name: str) -> None:
    built, model, found = build(tower, name, "w8a8")
    assert found.centred_mean > 0.97
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert pairs
    for node in pairs:
        assert stored[node.input[2]].dtype == np.int8
        assert not stored[node.input[2]].any()
        assert (stored[node.input[1]] > 0).all()
    # No bias is quantized: what a convolution adds is stored as float32.
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert all(stored[node.input[2]].dtype == np.float32 for node in convolutions)
    weights = [node for node in pairs if node.op_type == "QuantizeLinear" and stored[node.input[1]].ndim == 1]
    assert bool(weights) == (name != "jetson-thor")
    assert "by entropy" in built.facts["all in int8"]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_graph_is_one_that_the_chips_tensorrt_reads(build, name: str) -> None:
    chip = jetson_chips.find(name)
    for tower in ("image", "text"):
        _, model, _ = build(tower, name, "fp16")
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", chip.opset)]
        norms = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
        assert bool(norms) == chip.layer_norm
        jetson_graph.check(model, chip, tower)


def test_argmax_keeps_ids_exact(build) -> None:
    """TensorRT 8 takes no 64-bit ArgMax, and float16 no id above 2048 exactly."""
    _, model, _ = build("text", "jetson-orin", "fp16")
    node = next(node for node in model.graph.node if node.op_type == "ArgMax")
    assert half.types_of(model)[node.input[0]] == TensorProto.FLOAT
    _, model, _ = build("text", "jetson-thor", "fp16")
    node = next(node for node in model.graph.node if node.op_type == "ArgMax")
    assert half.types_of(model)[node.input[0]] in (TensorProto.INT32, TensorProto.INT64)


def test_islands_are_found_where_float16_overflows(build, masters, tmp_path) -> None:
    master = jetson_jobs.overflowing(masters["image"][0], tmp_path / "over.onnx")
    built, model, found = build("image", "jetson-orin", "fp16", master)
    assert found.centred_min > 0.999
    assert "nan" in built.facts["all that can be in float16"]
    assert "detour1" in built.facts["beyond float16's range"]
    types = half.types_of(model)
    assert types["detour1"] == TensorProto.FLOAT
    # As few as that: the transformer and the convolutions compute in float16.
    halves = [node for node in model.graph.node if types.get(node.output[0]) == TensorProto.FLOAT16]
    assert len(halves) > 0.7 * len(model.graph.node)


def test_a_goal_out_of_reach_of_int8_keeps_products_in_float(build) -> None:
    plain, _, coarse = build("image", "jetson-orin", "w8a8", goal=0.5)
    mixed, model, fine = build("image", "jetson-orin", "w8a8", goal=0.9999)
    assert plain.facts["kept in float32"] == "none"
    assert mixed.facts["kept in float32"] != "none"
    assert fine.centred_mean > coarse.centred_mean
    assert any(node.op_type == "DequantizeLinear" for node in model.graph.node)


def test_a_tower_that_was_not_named_gets_float16(build) -> None:
    built, _, found = build("text", "jetson-orin", None)
    assert built.precision == "fp16"
    assert found.centred_min > 0.999


def test_the_file_opens_on_the_processor_and_says_nearly_the_same(build) -> None:
    for precision in ("fp16", "w8a8"):
        built, _, _ = build("image", "jetson-orin", precision)
        inputs = np.load(built.files[0].parent.parent / "held-out.npy")
        blobs = {path.name: Blob(memoryview(path.read_bytes()), path) for path in built.files[1:]}
        artifact = Artifact("image.onnx", "onnx", Blob(memoryview(built.files[0].read_bytes())), blobs)
        session = registry.get("onnxruntime").open(artifact, "cpu", SessionSettings(threads=1))
        rows = [session.run({built.input.name: row[None]})["projection"] for row in inputs]
        session.close()
        found = agreement(unit_rows(np.concatenate(rows)), built.rows["held-out"])
        assert found.centred_mean > 0.99


def test_nano_offers_no_int8() -> None:
    _, chip = catalog.find("jetson-nano")
    assert chip.precisions == ("fp16",)
    assert "no int8" in chip.note
    assert all(catalog.find(name)[1].precisions == ("fp16", "w8a8") for name in FAMILIES[1:])


def test_every_chip_says_where_its_facts_come_from() -> None:
    for chip in jetson_chips.CHIPS:
        assert len(chip.sources) >= 3
        assert any("JetPack" in source for source in chip.sources)
    with pytest.raises(InputError, match="'jetson-tx2' is not one of jetson-nano"):
        jetson_chips.find("jetson-tx2")


@pytest.fixture
def with_operator(masters, tmp_path):
    """Write the text tower with an operator after its last product."""

    def write(op: str, inputs: list[str] | None = None):
        model = store.load(masters["text"][0])
        last = next(node for node in reversed(model.graph.node) if node.op_type == "MatMul")
        place, name = list(model.graph.node).index(last), last.output[0]
        last.output[0] = "straight"
        model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.int64), "along"))
        model.graph.node.insert(place + 1, helper.make_node(op, ["straight", *(inputs or [])], [name], "head/odd"))
        path = tmp_path / f"{op}.onnx"
        store.save(model, path)
        return path

    return write


def test_an_operator_that_nvidias_table_refuses_is_named(build, with_operator) -> None:
    hard = with_operator("Hardmax")
    told = r"'head/odd' \(Hardmax\) cannot be compiled by TensorRT 8\.2: NVIDIA's table of operators lists it as not"
    with pytest.raises(UnsupportedModelError, match=told):
        build("text", "jetson-nano", "fp16", hard)
    assert build("text", "jetson-thor", "fp16", hard)[0].precision == "fp16"


def test_an_operator_that_the_table_does_not_list_is_named(build, with_operator) -> None:
    assert build("text", "jetson-nano", "fp16", with_operator("CumSum", ["along"]))[0].files
    young = helper.make_node("HardSwish", ["x"], ["y"], "head/young")
    made = helper.make_graph([young], "g", [], [])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)])
    told = (
        r"'head/young' \(HardSwish\) cannot be compiled for jetson-nano: NVIDIA's table of operators for TensorRT 8\.2"
    )
    with pytest.raises(UnsupportedModelError, match=told):
        jetson_graph.check(model, jetson_chips.find("jetson-nano"), "image")


def test_uint8_is_read_by_a_cast_alone() -> None:
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, 2, 2, 3])
    turn = helper.make_node("Transpose", ["pixels"], ["y"], perm=[0, 3, 1, 2])
    model = helper.make_model(helper.make_graph([turn], "g", [pixels], []), opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(UnsupportedModelError, match="uint8 and read by Transpose"):
        jetson_graph.check(model, jetson_chips.find("jetson-orin"), "image")


def test_a_tower_without_products_has_no_int8(masters, tmp_path) -> None:
    target, chip = catalog.find("jetson-orin")
    x = helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["n", tiny_masters.LENGTH])
    y = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 4])
    table = np.random.default_rng(0).normal(size=(tiny_masters.VOCABULARY, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "token_ids"], ["rows"], "look"),
        helper.make_node("ReduceMean", ["rows"], ["mean"], "mean", axes=[1], keepdims=0),
        helper.make_node("ReduceL2", ["mean"], ["length"], "length", axes=[1], keepdims=1),
        helper.make_node("Div", ["mean", "length"], ["embedding"], "unit"),
    ]
    graph = helper.make_graph(nodes, "static", [x], [y], [numpy_helper.from_array(table, "table")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    store.save(model, tmp_path / "table.onnx")
    job, _ = jetson_jobs.job(tmp_path, tmp_path / "table.onnx", "text", chip, "w8a8")
    with pytest.raises(ConversionError, match="text tower has no product with stored weights; use --precision fp16"):
        target.build(job, lambda _: None)


def test_a_bundle_is_compiled_without_a_toolchain(bundle_path, pictures, tmp_path) -> None:
    out = tmp_path / "orin.edge"
    report = compile_bundle(str(bundle_path), "jetson-orin", out, CompileOptions(data=str(pictures), rows=16))
    made = open_bundle(out).manifest.variants[-1]
    assert (made.id, made.format, made.target) == ("jetson-orin-fp16", "onnx", "jetson-orin")
    assert report.proof == "reference before compilation"
    assert made.fidelity.image.centred_mean > 0.999
    assert set(made.toolchain) == {"onnx", "onnxruntime", "edgekit"}
    opened = edgekit.load(str(out), variant="jetson-orin-fp16", runtime="onnxruntime", device="cpu")
    assert opened.explain().chosen.variant == "jetson-orin-fp16"
    opened.close()
