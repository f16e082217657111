"""RKNN-Lite's adapter against a stand-in for its library, whose own work needs a board: no claim about hardware."""

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
from edgekit.runtimes.rknn_lite import RknnLite

SPECS = {
    "chip": "rk3588",
    "inputs": [{"name": "pixels", "dtype": "uint8", "shape": [1, 2, 2, 3]}],
    "outputs": [{"name": "projection", "dtype": "float32", "shape": [1, 3]}],
}


class Library:
    """Sums an image's channels; returns the same memory each time, as ``reuse_outputs`` would."""

    NPU_CORE_AUTO, NPU_CORE_0, NPU_CORE_1, NPU_CORE_2, NPU_CORE_ALL = 0, 1, 2, 4, 0xFFFF
    made: list[Library] = []  # noqa: RUF012
    initialised = 0
    answer: object = None

    def __init__(self) -> None:
        self.memory = np.zeros((1, 3), np.float16)
        self.released = 0
        self.inside = threading.Lock()
        Library.made.append(self)

    def load_rknn(self, path: str) -> int:
        with open(path, "rb") as stream:  # noqa: PTH123
            return 0 if stream.read() == b"RKNN" else -1

    def init_runtime(self, core_mask: int) -> int:
        self.mask = core_mask
        return Library.initialised

    def inference(self, inputs, data_type):
        assert self.inside.acquire(blocking=False)  # one at a time
        try:
            self.kinds = data_type
            assert not self.released
            if Library.answer is not None:
                if isinstance(Library.answer, Exception):
                    raise Library.answer
                return None
            self.memory[:] = inputs[0].sum(axis=(1, 2))
            return [self.memory]
        finally:
            self.inside.release()

    def release(self) -> None:
        self.released += 1


@pytest.fixture(autouse=True)
def library(monkeypatch):
    module = types.ModuleType("rknnlite.api")
    module.RKNNLite = Library  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rknnlite", types.ModuleType("rknnlite"))
    monkeypatch.setitem(sys.modules, "rknnlite.api", module)
    monkeypatch.setattr(Library, "made", [])
    monkeypatch.setattr(Library, "initialised", 0)
    monkeypatch.setattr(Library, "answer", None)
    return Library


def artifact(content: bytes = b"RKNN", specs: object = SPECS) -> Artifact:
    text = specs if isinstance(specs, bytes) else json.dumps(specs).encode()
    sidecars = {} if specs is None else {"image.rknn.json": Blob(memoryview(text))}
    return Artifact("b.edge: image.rknn", "rknn", Blob(memoryview(content)), sidecars)


def opened(device: str = "npu"):
    return RknnLite().open(artifact(), device, SessionSettings())


PIXELS = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)


def test_it_runs_with_the_type_said_and_results_of_its_own(library) -> None:
    session = opened()
    first = session.run({"pixels": PIXELS})["projection"]
    kept = first.copy()
    assert first.dtype == np.float32
    assert first.tolist() == [[18, 22, 26]]
    session.run({"pixels": PIXELS * 2})
    np.testing.assert_array_equal(first, kept)
    assert library.made[0].kinds == ["uint8"]


@pytest.mark.parametrize(("device", "mask"), [("npu", 0), ("npu:0", 1), ("npu:2", 4), ("npu:all", 0xFFFF)])
def test_cores_are_chosen(library, device: str, mask: int) -> None:
    session = opened(device)
    assert library.made[0].mask == mask
    assert session.placement().counts() == {device: 1}


def test_the_wrong_chip_is_told(library, monkeypatch) -> None:
    monkeypatch.setattr(library, "initialised", -1)
    with pytest.raises(PlacementError, match="did not take the model on npu: it was compiled for rk3588"):
        opened()
    assert library.made[0].released == 1


def test_malformed_files_and_sidecars_are_refused(library) -> None:
    runtime, settings = RknnLite(), SessionSettings()
    with pytest.raises(ExecutionError, match="refused the model"):
        runtime.open(artifact(b"other"), "npu", settings)
    assert library.made[0].released == 1
    with pytest.raises(ExecutionError, match="sidecar that says its tensors is missing"):
        runtime.open(artifact(specs=None), "npu", settings)
    for bad in (b"{", b"[]", b"{}", json.dumps({**SPECS, "inputs": [{"name": "x"}]}).encode()):
        with pytest.raises(ExecutionError, match="malformed"):
            runtime.open(artifact(specs=bad), "npu", settings)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(PlacementError, match="no device 'gpu' here, only npu, npu:0"):
        opened("gpu")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "inputs are"),
        ({"pixels": PIXELS.astype(np.float32)}, "must be uint8"),
        ({"pixels": PIXELS[0]}, "must have shape"),
        ({"pixels": np.concatenate([PIXELS, PIXELS])}, "must have shape"),
    ],
)
def test_wrong_inputs_are_named(given, told: str) -> None:
    with pytest.raises(ExecutionError, match=told):
        opened().run(given)


def test_failures_of_the_library_are_errors(library, monkeypatch) -> None:
    session = opened()
    monkeypatch.setattr(library, "answer", "nothing")
    with pytest.raises(ExecutionError, match="returned no result"):
        session.run({"pixels": PIXELS})
    monkeypatch.setattr(library, "answer", RuntimeError("ioctl\nfailed"))
    with pytest.raises(ExecutionError, match="RKNN-Lite failed: ioctl failed"):
        session.run({"pixels": PIXELS})


def test_threads_queue_and_closing_waits(library) -> None:
    session = opened()
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda _: session.run({"pixels": PIXELS})["projection"], range(32)))
    assert all(row.tolist() == [[18, 22, 26]] for row in rows)
    session.close()
    session.close()
    assert library.made[0].released == 1
    with pytest.raises(ExecutionError, match="closed"):
        session.run({"pixels": PIXELS})


def test_without_the_library_doctor_gets_one_line(monkeypatch) -> None:
    for name in ("rknnlite", "rknnlite.api"):
        monkeypatch.setitem(sys.modules, name, None)
    found = RknnLite().available()
    assert not found.ok
    assert "\n" not in found.reason
    assert "pip install rknn-toolkit-lite2" in found.reason
    assert RknnLite().devices() == ()


def test_it_is_registered() -> None:
    assert registry.get("rknn-lite").formats == {"rknn"}
