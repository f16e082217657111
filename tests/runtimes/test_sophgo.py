"""Sophon SAIL's adapter against a stand-in for its library, whose own work needs a board: no claim about hardware."""

from __future__ import annotations

import json
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edgekit.errors import ExecutionError, PlacementError
from edgekit.runtimes import registry
from edgekit.runtimes.protocol import Artifact, Blob, SessionSettings
from edgekit.runtimes.sophgo import Sophgo

SPECS = {
    "chip": "bm1684x",
    "inputs": [{"name": "token_ids", "dtype": "int32", "shape": [1, 3]}],
    "outputs": [{"name": "projection", "dtype": "float32", "shape": [1, 2]}],
}


class Engine:
    """Sums ids into an output that the compiler renamed; returns the same memory each time."""

    made: list[Engine] = []  # noqa: RUF012
    answer: object = None
    outputs = ("projection_MatMul_f32",)

    def __init__(self, content, size, number, mode):
        if content != b"BMODEL":
            raise RuntimeError("bmrt load bmodel\nfailed")
        assert (size, mode) == (len(content), "SYSIO")
        self.number, self.memory, self.inside = number, np.zeros((1, 2, 1, 1), np.float32), threading.Lock()
        Engine.made.append(self)

    def get_graph_names(self):
        return ["tower"]

    def get_input_names(self, graph):
        assert graph == "tower"
        return ["token_ids"]

    def get_output_names(self, graph):
        return list(Engine.outputs)

    def process(self, graph, arrays):
        assert self.inside.acquire(blocking=False)  # one at a time
        try:
            if isinstance(Engine.answer, Exception):
                raise Engine.answer
            assert arrays["token_ids"].dtype == np.float32
            self.memory[:] = arrays["token_ids"].sum()
            return {Engine.outputs[0]: self.memory} if Engine.answer is None else Engine.answer
        finally:
            self.inside.release()


@pytest.fixture(autouse=True)
def library(monkeypatch):
    sail = types.ModuleType("sophon.sail")
    sail.Engine, sail.count, sail.__version__ = Engine, 1, "3.9"
    sail.IOMode = types.SimpleNamespace(SYSIO="SYSIO")
    sail.get_available_tpu_num = lambda: sail.count
    package = types.ModuleType("sophon")
    package.sail = sail
    monkeypatch.setitem(sys.modules, "sophon", package)
    monkeypatch.setitem(sys.modules, "sophon.sail", sail)
    monkeypatch.setattr(Engine, "made", [])
    monkeypatch.setattr(Engine, "answer", None)
    monkeypatch.setattr(Engine, "outputs", ("projection_MatMul_f32",))
    return sail


def artifact(content: bytes = b"BMODEL", specs: object = SPECS) -> Artifact:
    text = specs if isinstance(specs, bytes) else json.dumps(specs).encode()
    sidecars = {} if specs is None else {"text.bmodel.json": Blob(memoryview(text))}
    return Artifact("b.edge: text.bmodel", "bmodel", Blob(memoryview(content)), sidecars)


def opened(device: str = "tpu"):
    return Sophgo().open(artifact(), device, SessionSettings())


IDS = np.arange(3, dtype=np.int32).reshape(1, 3)


def test_it_runs_and_its_results_are_the_callers() -> None:
    session = opened()
    first = session.run({"token_ids": IDS})["projection"]
    session.run({"token_ids": IDS * 2})
    assert (first.dtype, first.shape, first.tolist()) == (np.float32, (1, 2), [[3.0, 3.0]])
    assert session.placement().counts() == {"tpu": 1}


def test_tensors_are_those_of_the_sidecar() -> None:
    session = opened()
    assert [(one.name, one.dtype, one.shape) for one in session.inputs] == [("token_ids", "int32", (1, 3))]
    assert [one.name for one in session.outputs] == ["projection"]
    with pytest.raises(ExecutionError, match="token_ids"):
        session.run({"token_ids": IDS.astype(np.int64)})


def test_processors_are_chosen_by_number(library) -> None:
    assert Sophgo().devices() == ("tpu",)
    library.count = 3
    assert Sophgo().devices() == ("tpu", "tpu:0", "tpu:1", "tpu:2")
    opened("tpu:2")
    opened("tpu")
    assert [engine.number for engine in Engine.made] == [2, 0]
    with pytest.raises(PlacementError, match=r"offers no device 'tpu:3' here, only tpu, tpu:0, tpu:1, tpu:2"):
        opened("tpu:3")


def test_numbers_that_float32_does_not_hold_are_refused() -> None:
    session = opened()
    session.run({"token_ids": np.full((1, 3), 1 << 24, np.int32)})
    with pytest.raises(ExecutionError, match="token_ids holds numbers beyond 16777216"):
        session.run({"token_ids": np.full((1, 3), (1 << 24) + 1, np.int32)})


@pytest.mark.parametrize(
    ("content", "specs", "told"),
    [
        (b"other", SPECS, "refused the model, which was compiled for bm1684x: bmrt load bmodel failed"),
        (b"BMODEL", None, "the sidecar that says its tensors is missing"),
        (b"BMODEL", b"{", "its sidecar is malformed"),
        (b"BMODEL", {**SPECS, "inputs": [{}]}, "its sidecar is malformed"),
        (b"BMODEL", {**SPECS, "inputs": [{"name": "a", "dtype": "nonsense", "shape": []}]}, "its sidecar is malformed"),
        (b"BMODEL", {**SPECS, "outputs": []}, "has other tensors than its sidecar says"),
    ],
)
def test_malformed_files_are_refused(content, specs, told) -> None:
    with pytest.raises(ExecutionError, match=told):
        Sophgo().open(artifact(content, specs), "tpu", SessionSettings())


@pytest.mark.parametrize("answer", [RuntimeError("device\nlost"), {}])
def test_a_failure_is_one_error(monkeypatch, answer) -> None:
    session = opened()
    monkeypatch.setattr(Engine, "answer", answer)
    with pytest.raises(ExecutionError, match=r"text\.bmodel: Sophon SAIL failed: (device lost|'projection)"):
        session.run({"token_ids": IDS})


def test_closing_waits_and_may_be_repeated() -> None:
    session = opened()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: session.run({"token_ids": IDS * n})["projection"][0, 0], range(32)))
    assert found == [3 * n for n in range(32)]
    session.close()
    session.close()
    with pytest.raises(ExecutionError, match="the session is closed"):
        session.run({"token_ids": IDS})


def test_without_a_processor_or_the_library_one_line_says_so(library, monkeypatch) -> None:
    library.count = 0
    assert registry.get("sophgo").available().reason == "Sophon SAIL finds no processor here; see bm-smi"
    assert registry.get("sophgo").devices() == ()
    monkeypatch.setitem(sys.modules, "sophon", None)
    found = registry.get("sophgo").available()
    assert not found.ok
    assert "install the wheel sophon-sail" in found.reason
    with pytest.raises(PlacementError, match="only none"):
        opened()
