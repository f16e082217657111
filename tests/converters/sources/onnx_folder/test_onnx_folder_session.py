"""Foreign graphs are opened with care, run in pieces, and told apart by their weights."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import foreign_graphs as foreign
from edgekit.converters.sources import onnx_folder_session as sessions
from edgekit.errors import InputError
from foreign_graphs import info

if TYPE_CHECKING:
    from pathlib import Path


def echo(path: Path, batch: int | str) -> Path:
    """A graph that returns ``rows`` (N, 3) as they are, at one batch size or at any."""
    node = helper.make_node("Identity", ["rows"], ["same"])
    return foreign.save(path, [node], [info("rows", 1, [batch, 3])], [info("same", 1, [batch, 3])])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(1, 9), fixed=st.integers(0, 5))
def test_pieces_give_each_row_once_and_in_order(tmp_path: Path, rows: int, fixed: int) -> None:
    path = echo(tmp_path / f"echo{fixed}.onnx", fixed or "N")
    given_rows = np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32)
    found = sessions.run(sessions.session(path), path, "same", {"rows": given_rows}, fixed)
    np.testing.assert_allclose(found, foreign.unit(given_rows.astype(np.float64)), atol=1e-6)
    assert found.dtype == np.float32


def test_a_row_of_zeros_stays_one(tmp_path: Path) -> None:
    path = echo(tmp_path / "echo.onnx", "N")
    rows = np.array([[0, 0, 0], [3, 0, 4]], np.float32)
    found = sessions.run(sessions.session(path), path, "same", {"rows": rows}, 0)
    np.testing.assert_allclose(found, [[0, 0, 0], [0.6, 0, 0.8]], atol=1e-7)


def test_a_file_that_was_written_again_is_opened_again(tmp_path: Path) -> None:
    path, row = foreign.image(tmp_path / "in.onnx"), np.ones((1, 3, foreign.HEIGHT, foreign.WIDTH), np.float32)
    first = sessions.session(path)
    assert sessions.session(path) is first
    before = sessions.run(first, path, "embedding", {"image": row}, 0)
    foreign.image(path, matrix=-foreign.MATRIX)
    os.utime(path, ns=(1, 1))  # however coarse the clock of the file system
    after = sessions.run(sessions.session(path), path, "embedding", {"image": row}, 0)
    np.testing.assert_allclose(after, -before)


def matrix(
    path: Path, values: Any, kind: type[np.generic] = np.float32, *, node: bool = False, raw: bool = True
) -> Path:
    """A graph around one weight named ``w``: an initializer, or a Constant node's attribute; as bytes or as numbers."""
    tensor = numpy_helper.from_array(np.asarray(values, kind), "w")
    if not raw:
        tensor = helper.make_tensor("w", tensor.data_type, tensor.dims, np.asarray(values).ravel().tolist())
    nodes = [helper.make_node("Mul", ["x", "w"], ["y"])]
    path = foreign.save(path, nodes, [info("x", tensor.data_type, ["N", 2])], [info("y", tensor.data_type, None)])
    model = onnx.load(path)
    if node:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))
    else:
        model.graph.initializer.append(tensor)
    onnx.save(model, path)
    return path


VALUES = [[1.0, 2.0], [3.0, -4.0]]


def test_the_digest_is_of_names_types_shapes_and_values(tmp_path: Path) -> None:
    own = b"w|1|2,2\n" + np.array(VALUES, "<f4").tobytes()
    assert sessions.digest([matrix(tmp_path / "a.onnx", VALUES)]) == hashlib.sha256(own).hexdigest()
    half = b"w|10|1,2\n" + np.array([[0.5, 7]], "<f2").tobytes()
    paths = [tmp_path / "a.onnx", matrix(tmp_path / "b.onnx", [[0.5, 7]], np.float16)]
    assert sessions.digest(paths) == hashlib.sha256(own + half).hexdigest()
    assert sessions.digest(paths) != sessions.digest(paths[::-1])  # the towers do not change places
    assert sessions.digest([]) == hashlib.sha256().hexdigest()


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, np.int64, np.uint8])
def test_it_is_the_same_however_the_values_are_written(tmp_path: Path, kind: type[np.generic]) -> None:
    values = [[1, 2], [3, 4]]
    ways = [
        matrix(tmp_path / f"{node}{raw}.onnx", values, kind, node=node, raw=raw)
        for node in (False, True)
        for raw in (False, True)
    ]
    assert len({sessions.digest([path]) for path in ways}) == 1


def test_weights_in_nodes_tell_two_models_apart(tmp_path: Path) -> None:
    """An index must refuse the vectors of another model, also where an exporter stored its weights as constants."""
    one = matrix(tmp_path / "one.onnx", VALUES, node=True)
    other = matrix(tmp_path / "other.onnx", [[1.0, 2.0], [3.0, 4.0]], node=True)
    assert sessions.digest([one]) != sessions.digest([other])


def outside(path: Path, location: str) -> Path:
    """A graph whose one weight, a node's attribute, lies in another file."""
    model = onnx.load(matrix(path, VALUES, node=True))
    tensor = model.graph.node[0].attribute[0].t
    path.with_name("w.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_nodes_weights_beside_the_graph_are_read(tmp_path: Path) -> None:
    path = outside(tmp_path / "a.onnx", "w.bin")
    assert sessions.digest([path]) == sessions.digest([matrix(tmp_path / "b.onnx", VALUES)])
    stored = sessions.read(path).graph.node[0].attribute[0].t
    np.testing.assert_array_equal(numpy_helper.to_array(stored), np.array(VALUES, np.float32))
    (tmp_path / "w.bin").unlink()
    with pytest.raises(InputError, match=r"a\.onnx: weights of 'w' in 'w\.bin' cannot be read"):
        sessions.digest([path])
    with pytest.raises(InputError, match=r"missing .*w\.bin, which holds the weights of 'w'"):
        sessions.session(path)


@pytest.mark.parametrize("location", ["/etc/passwd", "../w.bin", ""])
def test_a_nodes_weights_may_not_lie_outside(tmp_path: Path, location: str) -> None:
    path = outside(tmp_path / "a.onnx", location)
    for use in (sessions.session, sessions.read, lambda found: sessions.digest([found])):
        with pytest.raises(InputError, match=r"a\.onnx: tensor 'w' points outside its folder"):
            use(path)


def test_a_missing_graph_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(InputError, match=f"{path}: no such file"):
            sessions.session(path)
        with pytest.raises(InputError, match=f"{path}: not a readable ONNX graph"):
            sessions.read(path)


def test_an_operator_that_the_engine_does_not_have_is_told_with_the_file(tmp_path: Path) -> None:
    node = helper.make_node("Frobnicate", ["x"], ["y"])
    path = foreign.save(tmp_path / "odd.onnx", [node], [info("x", 1, ["N", 2])], [info("y", 1, ["N", 2])])
    with pytest.raises(InputError, match=r"odd\.onnx: ONNX Runtime cannot open it: .*Frobnicate"):
        sessions.session(path)
