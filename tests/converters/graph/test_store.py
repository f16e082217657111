from __future__ import annotations

import errno

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.graph import checks, store
from edgekit.errors import ConversionError


def build(*sizes, seed=0):
    """Sum of x (1,) and the first value of each of some float tensors."""
    generator = np.random.default_rng(seed)
    tensors = [
        numpy_helper.from_array(generator.standard_normal(size).astype(np.float32), f"w{i}")
        for i, size in enumerate(sizes)
    ]
    nodes, last = [], "x"
    for i in range(len(sizes)):
        nodes += [
            helper.make_node("ReduceSum", [f"w{i}"], [f"r{i}"], keepdims=0),
            helper.make_node("Add", [last, f"r{i}"], [f"s{i}"]),
        ]
        last = f"s{i}"
    nodes.append(helper.make_node("Identity", [last], ["y"]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def copy_of(model):
    return onnx.ModelProto.FromString(model.SerializeToString())


def run(model_or_path):
    source = str(model_or_path) if not isinstance(model_or_path, onnx.ModelProto) else model_or_path.SerializeToString()
    return onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"]).run(
        None, {"x": np.ones(1, np.float32)}
    )[0]


def entries(path):
    model = onnx.load(str(path), load_external_data=False)
    return {t.name: {e.key: e.value for e in t.external_data} for t in model.graph.initializer}


def test_weights_go_to_one_file_that_runtimes_read(tmp_path):
    model = build(300, 100_000, 5)
    expected = run(model)
    path = tmp_path / "image.onnx"
    store.save(model, path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["image.onnx", "image.onnx.data"]
    assert path.stat().st_size < 2000
    checks.check_file(path)
    np.testing.assert_array_equal(run(path), expected)


def test_small_tensors_stay_in_the_graph(tmp_path):
    path = tmp_path / "m.onnx"
    store.save(build(255, 256), path)
    found = entries(path)
    assert found["w0"] == {}
    assert found["w1"] == {"location": "m.onnx.data", "offset": "0", "length": "1024"}


def test_without_large_tensors_there_is_no_data_file(tmp_path):
    path = tmp_path / "m.onnx"
    (tmp_path / "m.onnx.data").write_bytes(b"of an older export")
    store.save(build(3), path)
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]
    assert np.isfinite(run(path)).all()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=6))
def test_offsets_are_aligned_and_do_not_overlap(tmp_path_factory, sizes):
    path = tmp_path_factory.mktemp("store") / "m.onnx"
    model = build(*sizes)
    store.save(copy_of(model), path)
    end = 0
    for name, entry in entries(path).items():
        size = 4 * sizes[int(name[1:])]
        if size < store.INLINE_BYTES:
            assert entry == {}
            continue
        offset = int(entry["offset"])
        assert int(entry["length"]) == size
        assert offset % (4096 if size >= 65536 else 64) == 0
        assert offset >= end
        end = offset + size
    back = store.load(path)
    assert [t.name for t in back.graph.initializer] == [t.name for t in model.graph.initializer]
    for found, wanted in zip(back.graph.initializer, model.graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(found), numpy_helper.to_array(wanted))
        assert not found.external_data


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        store.save(build(300, 70_000), tmp_path / name / "m.onnx")
    for file in ("m.onnx", "m.onnx.data"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_newer_export_replaces_an_older_one(tmp_path):
    path = tmp_path / "m.onnx"
    store.save(build(5000, seed=1), path)
    newer = build(400, seed=2)
    expected = run(newer)
    store.save(newer, path)
    np.testing.assert_array_equal(run(path), expected)
    assert (tmp_path / "m.onnx.data").stat().st_size == 1600


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    path = tmp_path / "m.onnx"
    store.save(build(400), path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "_flush", full)
    with pytest.raises(OSError, match="No space"):
        store.save(build(500), path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "a/../../w", "..\\w.bin", "C:\\w.bin", ""])
def test_a_path_outside_the_folder_is_refused(tmp_path, location):
    path = tmp_path / "m.onnx"
    store.save(build(400), path)
    model = onnx.load(str(path), load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ConversionError, match=r"w0.*outside its folder"):
        store.load(path)


def test_a_missing_or_short_data_file_is_named(tmp_path):
    path = tmp_path / "m.onnx"
    store.save(build(400), path)
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(ConversionError, match=r"w0.*m\.onnx\.data"):
        store.load(path)


def test_not_a_graph(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"\x89PNG not a graph")
    with pytest.raises(ConversionError, match=r"m\.onnx: not a readable"):
        store.load(path)


def test_locations():
    assert store.is_inside("m.onnx.data")
    assert store.is_inside("sub/m.data")
    assert store.external_location(numpy_helper.from_array(np.zeros(1), "w")) is None
