"""Where weights lie must not matter: subgraphs, links, several folders, odd names, memory."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

import onnx_models
from edgekit.errors import ExecutionError
from edgekit.runtimes import ort, ort_external
from edgekit.runtimes.ort import OnnxRuntime
from edgekit.runtimes.protocol import Artifact, Blob
from runtime_contract import ONE_THREAD, assert_same, inputs


def opened(artifact: Artifact) -> None:
    session = OnnxRuntime().open(artifact, "cpu", ONE_THREAD)
    assert_same(session.run(inputs(2)), onnx_models.expected(inputs(2)))
    session.close()


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    folder = tmp_path / "store"
    folder.mkdir()
    return onnx_models.artifact(folder, onnx_models.two_inputs(), {onnx_models.WEIGHTS: onnx_models.SIDECAR})


def moved(artifact: Artifact, path: Path, offset: int = 0) -> Artifact:
    blob = artifact.sidecars[onnx_models.WEIGHTS]
    return replace(artifact, sidecars={onnx_models.WEIGHTS: replace(blob, path=path, offset=offset)})


def test_the_file_may_have_another_name_and_the_bytes_an_offset(artifact: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "a bundle & ünï 名.edge"
    path.write_bytes(b"x" * 4096 + onnx_models.SIDECAR + b"more")
    opened(moved(artifact, path, 4096))


def test_the_file_may_be_a_link_into_another_folder(artifact: Artifact, tmp_path: Path) -> None:
    link = tmp_path / "link.bin"
    link.symlink_to(tmp_path / "store" / onnx_models.WEIGHTS)
    opened(moved(artifact, link))


def test_the_folder_may_be_a_link_and_the_path_roundabout(artifact: Artifact, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(tmp_path / "store", target_is_directory=True)
    opened(moved(artifact, tmp_path / "other" / ".." / "store" / onnx_models.WEIGHTS))


def test_the_path_may_be_relative(artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened(moved(artifact, Path("store") / onnx_models.WEIGHTS))


def test_the_path_need_not_be_utf8(artifact: Artifact, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.bin"))
    path.write_bytes(onnx_models.SIDECAR)
    opened(moved(artifact, path))


def test_weights_may_lie_in_two_folders(tmp_path: Path) -> None:
    def graph(location: str, name: str) -> TensorProto:
        return onnx_models.external(name, np.ones((3,), np.float32), location, 0, 12)

    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])
    model = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["c"]), helper.make_node("Add", ["c", "x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
        [out],
        [graph("a.bin", "a"), graph("b.bin", "b")],
    )
    sidecars = {}
    for name, values in (("a.bin", [1, 2, 3]), ("b.bin", [10, 20, 30])):
        path = tmp_path / name[0] / name
        path.parent.mkdir()
        path.write_bytes(np.array(values, np.float32).tobytes())
        sidecars[name] = Blob(memoryview(path.read_bytes()), path)
    serialized = onnx_models.model_of(model).SerializeToString()
    artifact = Artifact("two", "onnx", Blob(memoryview(serialized)), sidecars)
    session = OnnxRuntime().open(artifact, "cpu", ONE_THREAD)
    np.testing.assert_array_equal(session.run({"x": np.zeros(3, np.float32)})["y"], [11, 22, 33])


def branching(location: str) -> bytes:
    """If `flag`, then y = x + outer weights of the branch, else y = x: the weights lie inside a subgraph."""
    values = onnx_models.external("w", np.ones(3, np.float32), location, 0, None)
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [3])
    then = helper.make_graph([helper.make_node("Add", ["x", "w"], ["out"])], "then", [], [out], [values])
    otherwise = helper.make_graph([helper.make_node("Identity", ["x"], ["out"])], "else", [], [out])
    node = helper.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=otherwise)
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])],
    )
    return onnx_models.model_of(graph).SerializeToString()


def test_a_branch_finds_its_weights_and_cannot_reach_out(tmp_path: Path) -> None:
    data = np.array([1, 2, 3], np.float32).tobytes()
    artifact = onnx_models.artifact(tmp_path, branching("w.bin"), {"w.bin": data})
    session = OnnxRuntime().open(artifact, "cpu", ONE_THREAD)
    x = np.zeros(3, np.float32)
    np.testing.assert_array_equal(session.run({"flag": np.array(True), "x": x})["y"], [1, 2, 3])
    np.testing.assert_array_equal(session.run({"flag": np.array(False), "x": x})["y"], x)
    (tmp_path / "secret").write_bytes(data)
    escaping = replace(artifact, model=Blob(memoryview(branching("../secret"))))
    with pytest.raises(ExecutionError, match=r"'\.\./secret'.*not safe"):
        OnnxRuntime().open(escaping, "cpu", ONE_THREAD)


def test_nothing_is_read_before_a_reference_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the engine was asked to open it")

    monkeypatch.setattr(ort._module(), "InferenceSession", never)
    artifact = onnx_models.artifact(tmp_path, onnx_models.two_inputs(location="/etc/passwd"))
    with pytest.raises(ExecutionError, match="points at '/etc/passwd'"):
        OnnxRuntime().open(artifact, "cpu", ONE_THREAD)


@pytest.mark.parametrize(("offset", "length"), [(-1, 4), (0, 13), (13, 0), (5, 8), (12, -1), (1 << 70, None)])
def test_a_tensor_outside_its_file_is_refused(tmp_path: Path, offset: int, length: int | None) -> None:
    tensor = onnx_models.external("w", np.ones(3, np.float32), "w.bin", offset, length)
    model = onnx_models.model_of(helper.make_graph([], "g", [], [], [tensor])).SerializeToString()
    artifact = onnx_models.artifact(tmp_path, model, {"w.bin": bytes(12)})
    with pytest.raises(ExecutionError, match=r"test\.onnx: a tensor lies outside w\.bin"):
        OnnxRuntime().open(artifact, "cpu", ONE_THREAD)


class OldOptions:
    """`SessionOptions` of onnxruntime before 1.24: weights are read from files only."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def add_session_config_entry(self, key: str, value: str) -> None:
        self.entries[key] = value


def test_an_old_engine_gets_memory_through_a_file_that_goes_away(artifact: Artifact) -> None:
    options = OldOptions()
    memory = replace(artifact, sidecars={onnx_models.WEIGHTS: Blob(memoryview(onnx_models.SIDECAR))})
    with ExitStack() as scratch:
        ort_external.attach(options, memory, scratch)
        (folder,) = map(Path, options.entries.values())
        assert [path.read_bytes() for path in folder.iterdir()] == [onnx_models.SIDECAR]
    assert not folder.exists()


def test_an_old_engine_without_a_disk_says_so(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ort_external.tempfile, "TemporaryDirectory", full)
    memory = replace(artifact, sidecars={onnx_models.WEIGHTS: Blob(memoryview(onnx_models.SIDECAR))})
    with ExitStack() as scratch, pytest.raises(ExecutionError, match=r"No space.*1\.24"):
        ort_external.attach(OldOptions(), memory, scratch)
