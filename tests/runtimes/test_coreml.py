"""Core ML's adapter against a stand-in for its library, whose own work needs a Mac: no claim about hardware."""

from __future__ import annotations

import io
import sys
import threading
import types
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace as Plain

import numpy as np
import pytest

from edgekit.errors import ExecutionError, PlacementError
from edgekit.runtimes import coreml, registry
from edgekit.runtimes.coreml import CoreMl
from edgekit.runtimes.protocol import Artifact, Blob, SessionSettings

FLOAT32, INT32 = 65568, 131104


class MLCPUComputeDevice:
    pass


class MLNeuralEngineComputeDevice:
    pass


def tensor(name, shape, kind):
    return Plain(name=name, type=Plain(multiArrayType=Plain(shape=shape, dataType=kind)))


class MLModel:
    """Sums ids; keeps one memory for its results."""

    made: list[MLModel] = []  # noqa: RUF012
    answer: object = None
    kind = INT32

    def __init__(self, path, compute_units):
        manifest = Path(path) / "Manifest.json"
        if manifest.read_text() != "{}":
            raise RuntimeError("Error reading\nprotobuf spec")
        self.path, self.unit = Path(path), compute_units
        self.memory = np.zeros((1, 1), np.float32)
        self.inside = threading.Lock()
        MLModel.made.append(self)

    def get_spec(self):
        given, taken = [tensor("ids", (1, 3), MLModel.kind)], [tensor("projection", (1, 1), FLOAT32)]
        return Plain(description=Plain(input=given, output=taken))

    def get_compiled_model_path(self):
        return str(self.path) + "c"

    def predict(self, data):
        assert self.inside.acquire(blocking=False)  # one at a time
        try:
            if isinstance(MLModel.answer, Exception):
                raise MLModel.answer
            self.memory[:] = data["ids"].sum()
            return {"projection": self.memory} if MLModel.answer is None else MLModel.answer
        finally:
            self.inside.release()


class MLComputePlan:
    places: tuple[object, ...] = (MLNeuralEngineComputeDevice(), None, MLNeuralEngineComputeDevice())

    def __init__(self, path, unit):
        self.path, self.unit = path, unit
        names = ("gather", "const", "linear")
        block = Plain(
            operations=[
                Plain(operator_name=name, outputs=[Plain(name=f"{name}_0")], place=place)
                for name, place in zip(names, MLComputePlan.places, strict=True)
            ]
        )
        self.model_structure = Plain(program=Plain(functions={"main": Plain(block=block)}))

    @classmethod
    def load_from_path(cls, path, compute_units):
        assert path.endswith(".mlpackagec")
        return cls(path, compute_units)

    def get_compute_device_usage_for_mlprogram_operation(self, operation):
        return None if operation.place is None else Plain(preferred_compute_device=operation.place)


@pytest.fixture(autouse=True)
def library(monkeypatch):
    module, models, plan = (
        types.ModuleType(name) for name in ("coremltools", "coremltools.models", "coremltools.models.compute_plan")
    )
    module.__version__, module.models, models.compute_plan = "9.0", models, plan
    module.ComputeUnit = Plain(CPU_ONLY="CPU_ONLY", CPU_AND_GPU="CPU_AND_GPU", CPU_AND_NE="CPU_AND_NE")
    models.MLModel, plan.MLComputePlan = MLModel, MLComputePlan
    for each in (module, models, plan):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    monkeypatch.setattr(coreml, "_SYSTEM", sys.platform)
    monkeypatch.setattr(MLModel, "made", [])
    monkeypatch.setattr(MLModel, "answer", None)
    monkeypatch.setattr(MLModel, "kind", INT32)
    return MLModel


def package(**members: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in (members or {"Manifest.json": "{}", "Data/weights/weight.bin": "w"}).items():
            archive.writestr(name, text)
    return stream.getvalue()


def artifact(content: bytes | None = None) -> Artifact:
    return Artifact(
        "b.edge: text.mlpackage.zip", "mlpackage", Blob(memoryview(package() if content is None else content))
    )


def opened(device="ane", **settings):
    return CoreMl().open(artifact(), device, SessionSettings(**settings))


IDS = np.arange(3, dtype=np.int32).reshape(1, 3)


def test_it_runs_and_its_results_are_the_callers(library) -> None:
    session = opened()
    first = session.run({"ids": IDS})["projection"]
    session.run({"ids": IDS * 2})
    assert first.tolist() == [[3.0]]
    assert [(one.name, one.dtype, one.shape) for one in session.inputs] == [("ids", "int32", (1, 3))]
    assert [(one.name, one.dtype) for one in session.outputs] == [("projection", "float32")]


@pytest.mark.parametrize(("device", "unit"), [("ane", "CPU_AND_NE"), ("gpu", "CPU_AND_GPU"), ("cpu", "CPU_ONLY")])
def test_a_device_is_a_set_of_processors(library, device, unit) -> None:
    opened(device, allow_cpu=True)
    assert library.made[0].unit == unit


def test_the_plan_is_the_placement_and_constants_have_none() -> None:
    placement = opened().placement()
    assert [(node.op, node.name, node.device) for node in placement.nodes] == [
        ("gather", "gather_0", "ane"),
        ("linear", "linear_0", "ane"),
    ]


def test_an_operator_planned_elsewhere_is_refused_and_may_be_allowed(monkeypatch) -> None:
    places = (MLCPUComputeDevice(), None, MLNeuralEngineComputeDevice())
    monkeypatch.setattr(MLComputePlan, "places", places)
    with pytest.raises(
        PlacementError, match="1 operators are not planned on ane: gather gather_0 on cpu; allow the CPU"
    ):
        opened()
    assert opened(allow_cpu=True).placement().counts() == {"cpu": 1, "ane": 1}


def test_files_live_as_long_as_the_session(library) -> None:
    session = opened()
    path = library.made[0].path
    assert (path / "Data/weights/weight.bin").read_text() == "w"
    session.close()
    session.close()
    assert not path.exists()
    with pytest.raises(ExecutionError, match="the session is closed"):
        session.run({"ids": IDS})


def test_nothing_is_left_behind_by_a_refusal(library, monkeypatch) -> None:
    monkeypatch.setattr(MLComputePlan, "places", (MLCPUComputeDevice(), None, None))
    with pytest.raises(PlacementError):
        opened()
    assert not library.made[0].path.exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is no whole zip"),
        (b"PK\x03\x04", "is no whole zip"),
        (package()[:-30], "is no whole zip"),
        (package(**{"../Manifest.json": "{}"}), "leads out of the package"),
        (package(**{"/Manifest.json": "{}"}), "leads out of the package"),
        (package(**{"a\\..\\Manifest.json": "{}"}), "leads out of the package"),
        (package(other=""), r"has no Manifest\.json"),
        (package(**{"Manifest.json": "?"}), "Core ML on ane refused the model: Error reading protobuf spec"),
    ],
)
def test_malformed_files_are_refused(content, told) -> None:
    with pytest.raises(ExecutionError, match=told):
        CoreMl().open(artifact(content), "ane", SessionSettings())


def test_tensors_of_another_kind_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(MLModel, "kind", 0)
    with pytest.raises(ExecutionError, match="tensor ids is no array of numbers"):
        opened()


@pytest.mark.parametrize("answer", [RuntimeError("out of\nmemory"), {}])
def test_a_failure_is_one_error(monkeypatch, answer) -> None:
    session = opened()
    monkeypatch.setattr(MLModel, "answer", answer)
    with pytest.raises(ExecutionError, match=r"text\.mlpackage\.zip: Core ML failed: (out of memory|'projection')"):
        session.run({"ids": IDS})


def test_threads_queue() -> None:
    session = opened()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda factor: session.run({"ids": IDS * factor})["projection"][0, 0], range(32)))
    assert found == [3 * factor for factor in range(32)]


def test_an_unknown_device_is_told() -> None:
    with pytest.raises(PlacementError, match="offers no device 'npu' here, only ane, gpu, cpu"):
        opened("npu")


def test_elsewhere_than_on_a_mac_one_line_says_so(monkeypatch) -> None:
    monkeypatch.setattr(coreml, "_SYSTEM", "another")
    found = registry.get("coreml").available()
    assert (found.ok, found.version) == (False, "")
    assert found.reason == "Core ML runs on macOS only; elsewhere its files can be made, not opened"
    assert registry.get("coreml").devices() == ()
    with pytest.raises(PlacementError, match="offers no device 'ane' here, only none"):
        opened()


def test_a_missing_library_says_how_to_install_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "coremltools", None)
    assert "pip install coremltools" in CoreMl().available().reason
