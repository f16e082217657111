"""What is particular to a session of LiteRT: names, layouts, files and memory, numbers that are none."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import litert_files
from edgekit.bundle.manifest import Agreement, TensorSpec, Tolerance, TowerRecord
from edgekit.errors import ExecutionError, InputError
from edgekit.runtimes import litert_engine
from edgekit.runtimes.litert import LiteRt
from edgekit.runtimes.litert_session import LiteRtSession
from edgekit.runtimes.protocol import Artifact, Blob, Placement, SessionSettings, TensorInfo
from edgekit.tower import DeviceTower
from runtime_contract import ONE_THREAD, assert_same, inputs

if TYPE_CHECKING:
    from edgekit.runtimes.protocol import Session


def opened(name: str, **settings: Any) -> LiteRtSession:
    return LiteRt().open(litert_files.artifact(name), "cpu", SessionSettings(**{"threads": 1, **settings}))


def test_a_signature_names_the_tensors() -> None:
    session = opened("two_inputs")
    assert {d["name"] for d in session._raw.get_input_details()} == {"run_args_0:0", "run_args_1:0"}
    assert [i.name for i in session.inputs] == ["pixels", "ids"]
    # The output that is "sum" to the user is the second one by its own name.
    assert [o.name for o in session.outputs] == ["sum", "first"]


def test_without_a_signature_the_tensors_names_stand() -> None:
    session = opened("adds")
    assert session.inputs == (TensorInfo("x", "float32", (2, 3)),)
    assert session.outputs == (TensorInfo("y", "float32", (2, 3)),)


def test_a_converters_file_runs_as_pytorch_does() -> None:
    session = opened("converted")
    assert session.inputs == (TensorInfo("pixels", "uint8", (2, 16, 16, 3)),)
    assert session.outputs == (TensorInfo("embedding", "float32", (2, 8)),)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    wanted = np.load(litert_files.FIXTURES / "converted.npy")
    np.testing.assert_allclose(session.run({"pixels": pixels})["embedding"], wanted, atol=1e-5)


def test_several_signatures_are_refused_by_name() -> None:
    with pytest.raises(
        ExecutionError, match=r"two_signatures\.tflite: the model has the signatures \['first', 'second'\]"
    ):
        opened("two_signatures")


def test_quantized_tensors_are_told_as_they_are() -> None:
    session = opened("quantized")
    assert session.inputs == (TensorInfo("x", "int8", (1, 4)),)
    assert session.outputs == (TensorInfo("y", "int8", (1, 4)),)
    # 0.5 x + 0.5 x at a scale of 1 is x; the interpreter neither quantizes nor dequantizes for the caller.
    x = np.array([[-128, -3, 0, 127]], np.int8)
    np.testing.assert_array_equal(session.run({"x": x})["y"], x)
    with pytest.raises(ExecutionError, match="x must be int8, got float32"):
        session.run({"x": x.astype(np.float32)})


@pytest.mark.parametrize("xnnpack", ["on", "off"])
@pytest.mark.parametrize("threads", [0, 1, 2])
def test_settings_reach_the_interpreter(monkeypatch: pytest.MonkeyPatch, xnnpack: str, threads: int) -> None:
    module, asked = litert_engine.find().module, []
    real = module.Interpreter

    def interpreter(**given: Any) -> Any:
        asked.append(given)
        return real(**given)

    artifact = litert_files.artifact("converted")
    monkeypatch.setattr(module, "Interpreter", interpreter)
    session = LiteRt().open(artifact, "cpu", SessionSettings(threads=threads, options=(("xnnpack", xnnpack),)))
    assert asked[-1]["num_threads"] == threads or (threads == 0 and asked[-1]["num_threads"] >= 1)
    resolver = (
        module.OpResolverType.AUTO if xnnpack == "on" else module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    assert asked[-1]["experimental_op_resolver_type"] == resolver
    parts = [op for op in _ops(session) if op == "DELEGATE"]
    assert bool(parts) is (xnnpack == "on")
    assert session.placement().counts() == {"cpu": len(_ops(session)) - len(parts)}  # XNNPACK is the CPU


def _ops(session: LiteRtSession) -> list[str]:
    raw = session._raw._interpreter
    return [raw.NodeName(i) for i in range(raw.NumNodes())]


def test_an_option_of_another_engine_is_refused() -> None:
    with pytest.raises(InputError, match="no option 'optimization'"):
        opened("adds", options=(("optimization", "all"),))


def test_memory_is_laid_out_only_where_a_shape_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    session, laid_out = opened("two_inputs"), []
    real = session._raw.allocate_tensors
    monkeypatch.setattr(session._raw, "allocate_tensors", lambda: laid_out.append(1) or real())
    for batch, seed in ((2, 0), (2, 1), (3, 0), (3, 2), (2, 0)):
        given = inputs(batch, seed=seed)
        assert_same(session.run(given), litert_files.expected(given))
    assert len(laid_out) == 3


def test_a_failure_costs_the_layout_and_nothing_else() -> None:
    session = opened("two_inputs")
    session.run(inputs(2))
    for _ in range(2):
        with pytest.raises(ExecutionError, match=r"two_inputs\.tflite: LiteRT failed"):
            session.run({"pixels": inputs(3)["pixels"], "ids": inputs(2)["ids"]})
    with pytest.raises(ExecutionError, match="LiteRT failed"):
        session.run({**inputs(2), "ids": np.full((2, 5), 99, np.int32)})  # outside the table
    assert_same(session.run(inputs(2)), litert_files.expected(inputs(2)))


def test_a_file_is_opened_by_its_path_and_a_member_from_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(litert_files.artifact("adds").model.view)
    plain, bundle, odd = tmp_path / "ünï 名.tflite", tmp_path / "b.edge", Path(f"{tmp_path}/caf\udce9.tflite")
    plain.write_bytes(data)
    odd.write_bytes(data)
    bundle.write_bytes(b"x" * 64 + data + b"more")
    module, asked = litert_engine.find().module, []
    real = module.Interpreter

    def interpreter(**given: Any) -> Any:
        asked.append("path" if given.get("model_path") else "memory")
        return real(**given)

    view = memoryview(data)
    blobs = [Blob(view, plain), Blob(view, bundle, 64), Blob(view), Blob(view, odd), Blob(view, bundle)]
    opened = []
    monkeypatch.setattr(module, "Interpreter", interpreter)
    for blob in blobs:
        asked.clear()
        session = LiteRt().open(Artifact("a", "tflite", blob), "cpu", ONE_THREAD)
        opened.append(asked[-1])
        np.testing.assert_array_equal(session.run({"x": np.zeros((2, 3), np.float32)})["y"], [[1, 2, 3]] * 2)
    assert opened == ["path", "memory", "memory", "memory", "memory"]


def test_a_model_in_memory_outlives_the_callers_bytes() -> None:
    data = bytearray(litert_files.artifact("adds").model.view)
    session = LiteRt().open(Artifact("a", "tflite", Blob(memoryview(data))), "cpu", ONE_THREAD)
    data[:] = bytes(len(data))
    np.testing.assert_array_equal(session.run({"x": np.zeros((2, 3), np.float32)})["y"], [[1, 2, 3]] * 2)


class Slow:
    """An interpreter that tells when an inference has begun and ends it when told."""

    def __init__(self) -> None:
        self.begun, self.go_on, self.inside, self.most = threading.Event(), threading.Event(), 0, 0

    def _get_full_signature_list(self) -> dict[str, Any]:
        return {}

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"index": 0, "name": "x", "dtype": np.float32, "shape_signature": [1]}]

    def get_output_details(self) -> list[dict[str, Any]]:
        return []

    def allocate_tensors(self) -> None:
        pass

    def set_tensor(self, *_: object) -> None:
        pass

    def invoke(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.begun.set()
        assert self.go_on.wait(30)
        self.inside -= 1


def test_inferences_queue_and_closing_waits_for_the_one_that_runs() -> None:
    raw = Slow()
    session = LiteRtSession(raw, "slow", Placement(()))
    refused: list[str] = []

    def run() -> None:
        try:
            session.run({"x": np.zeros(1, np.float32)})
        except ExecutionError as error:
            refused.append(str(error))

    runners = [threading.Thread(target=run) for _ in range(3)]
    for runner in runners:
        runner.start()
    assert raw.begun.wait(30)
    closing = threading.Thread(target=session.close)
    closing.start()
    while not session._gate.closed:
        pass
    assert closing.is_alive()
    raw.go_on.set()
    for thread in (*runners, closing):
        thread.join(30)
    # One was running; those that queued behind it find the session closed.
    assert raw.most == 1
    assert refused == ["slow: the session is closed"] * 2


def tower(session: Session) -> DeviceTower:
    record = TowerRecord(
        "tower.tflite",
        (),
        TensorSpec("pixels", "uint8", (1, 4, 4, 3)),
        TensorSpec("embedding", "float32", (1, 3)),
        Agreement(1, 0.0, 1.0, 1.0, 1.0, 1.0),
        Tolerance(0.9, 0.9),
    )
    return DeviceTower(session, record, "tower.tflite")


def test_a_number_that_is_none_is_the_towers_error() -> None:
    session = opened("tower")
    black = np.zeros((1, 4, 4, 3), np.uint8)
    assert np.isnan(session.run({"pixels": black})["embedding"]).all()
    device_tower = tower(session)
    with pytest.raises(ExecutionError, match=r"tower\.tflite: the embedding holds NaN or infinity"):
        device_tower.embed(black)
    # A static batch of one is filled row by row.
    rows = device_tower.embed(np.full((3, 4, 4, 3), 9, np.uint8))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)


def test_sidecars_are_of_no_use_and_do_no_harm() -> None:
    artifact = replace(litert_files.artifact("adds"), sidecars={"weights.bin": Blob(memoryview(b"x"))})
    session = LiteRt().open(artifact, "cpu", ONE_THREAD)
    np.testing.assert_array_equal(session.run({"x": np.zeros((2, 3), np.float32)})["y"], [[1, 2, 3]] * 2)
