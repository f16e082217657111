from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from edgekit.converters import compress
from edgekit.converters.graph import store
from edgekit.converters.verdict import LIMITS
from edgekit.errors import ConversionError, InputError


@pytest.fixture
def tower(random_text_model, tmp_path):
    path = tmp_path / "text.onnx"
    store.save(random_text_model, path)
    return path


def _run(path, ids):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"token_ids": ids})[0]


def _weights(path):
    return path.with_name(path.name + ".data").stat().st_size


@pytest.mark.parametrize(("how", "limit"), [("float32", 0.0), ("float16", 1e-3), ("int8", 3e-2)])
def test_the_stored_tower_agrees_with_the_float_one(tower, tmp_path, ids, how, limit):
    out = tmp_path / f"{how}.onnx"
    compress.compress_tower(tower, out, how)
    assert np.abs(_run(out, ids) - _run(tower, ids)).max() <= limit


def test_sizes_shrink_to_a_half_and_a_quarter(tower, tmp_path):
    sizes = {}
    for how in compress.STORAGES:
        compress.compress_tower(tower, tmp_path / f"{how}.onnx", how)
        sizes[how] = _weights(tmp_path / f"{how}.onnx")
    assert sizes["float32"] == _weights(tower)
    assert sizes["float16"] == pytest.approx(sizes["float32"] / 2, rel=0.05)
    assert sizes["int8"] == pytest.approx(sizes["float32"] / 4, rel=0.1)


def test_the_input_file_is_left_as_it_was(tower, tmp_path):
    before = tower.read_bytes()
    compress.compress_tower(tower, tmp_path / "out.onnx", "int8")
    assert tower.read_bytes() == before


def test_the_result_refers_to_its_own_data_file(tower, tmp_path):
    (tmp_path / "deeper").mkdir()
    out = tmp_path / "deeper" / "text.onnx"
    compress.compress_tower(tower, out, "int8")
    graph = onnx.load(str(out), load_external_data=False).graph
    assert {store.external_location(tensor) for tensor in graph.initializer} == {None, "text.onnx.data"}
    assert sorted(path.name for path in out.parent.iterdir()) == ["text.onnx", "text.onnx.data"]


def test_the_same_tower_gives_the_same_bytes(tower, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        compress.compress_tower(tower, tmp_path / name / "text.onnx", "int8")
    for name in ("text.onnx", "text.onnx.data"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_unknown_way_is_refused_by_its_name(tower, tmp_path):
    with pytest.raises(InputError, match="'int4' is not one of float32, float16, int8"):
        compress.compress_tower(tower, tmp_path / "out.onnx", "int4")
    assert not (tmp_path / "out.onnx").exists()


def test_writing_over_the_input_is_refused(tower):
    with pytest.raises(InputError, match="would replace"):
        compress.compress_tower(tower, tower, "int8")


def test_a_damaged_graph_is_refused(tower, tmp_path):
    tower.write_bytes(b"\xff" * 100)
    with pytest.raises(ConversionError, match=r"text\.onnx"):
        compress.compress_tower(tower, tmp_path / "out.onnx", "int8")


def test_every_way_to_store_has_a_limit_and_the_other_way_round():
    assert set(compress.STORAGES) == set(LIMITS)
