"""TensorRT's adapter against stand-ins for its package and for CUDA, whose own work needs a GPU: no claim about one."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import cuda_stand_in
import tensorrt_stand_in as trt
from edgekit.errors import ExecutionError, InputError, PlacementError
from edgekit.runtimes import compiled_cache, cuda_driver, cuda_memory, registry
from edgekit.runtimes.protocol import Artifact, Blob, SessionSettings
from edgekit.runtimes.tensorrt import PLAN, TensorRt

PLAIN = SessionSettings()
MATRIX = np.random.default_rng(2).normal(size=(12, 5)).astype(np.float32)


def model(batch: int | str = 1, size: int | str = 3) -> bytes:
    """``projection`` = pixels as float32, flat, times MATRIX."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"], "flatten"),
        helper.make_node("MatMul", ["flat", "matrix"], ["projection"], "multiply"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [batch, 2, 2, size])],
        [helper.make_tensor_value_info("projection", TensorProto.FLOAT, [batch, 5])],
        [numpy_helper.from_array(MATRIX, "matrix")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made.SerializeToString()


def artifact(data: bytes) -> Artifact:
    return Artifact("b.edge: image.onnx", "onnx", Blob(memoryview(data)))


FIXED, FREE = artifact(model()), artifact(model("n"))


def pixels(rows: int = 1):
    return np.random.default_rng(rows).integers(0, 256, (rows, 2, 2, 3), dtype=np.uint8)


def expected(given):
    return given.reshape(len(given), -1).astype(np.float32) @ MATRIX


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The stand-ins in the places of the real ones, and a cache of this test's own."""
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    driver, runtime = cuda_stand_in.driver(tmp_path), cuda_stand_in.runtime(tmp_path)
    monkeypatch.setattr(cuda_driver, "LIBRARY", str(driver))
    monkeypatch.setattr(cuda_memory, "LIBRARIES", (str(runtime),))
    for name, value in (("cores", 2), ("builds", 0), ("refused", ()), ("off_accelerator", ()), ("failure", "")):
        monkeypatch.setattr(trt.STATE, name, value)
    monkeypatch.setattr(trt.STATE, "gpu", "stand-in")
    loaded = ctypes.CDLL(str(runtime))
    yield ctypes.CDLL(str(driver)), loaded
    # Whatever a test did, no memory of the GPU is left.
    assert loaded.edgekit_live() == 0


def opened(given: Artifact = FIXED, device: str = "gpu", settings: SessionSettings = PLAIN):
    return TensorRt().open(given, device, settings)


def test_it_runs_and_results_are_the_callers() -> None:
    session = opened()
    assert [(i.name, i.dtype, i.shape) for i in session.inputs] == [("pixels", "uint8", (1, 2, 2, 3))]
    assert [(o.name, o.dtype, o.shape) for o in session.outputs] == [("projection", "float32", (1, 5))]
    given = pixels()
    first = session.run({"pixels": given})["projection"]
    np.testing.assert_allclose(first, expected(given), rtol=1e-5)
    kept = first.copy()
    session.run({"pixels": 255 - given})
    np.testing.assert_array_equal(first, kept)
    session.close()


def test_a_free_batch_is_one_to_the_largest() -> None:
    session = opened(FREE, settings=replace(PLAIN, options=(("largest_batch", "4"),)))
    assert session.inputs[0].shape == (None, 2, 2, 3)
    for rows in (4, 1, 3):
        given = pixels(rows)
        np.testing.assert_allclose(session.run({"pixels": given})["projection"], expected(given), rtol=1e-5)
    with pytest.raises(ExecutionError, match=r"takes 4 rows at a time, got 5; open it with the option largest_batch=5"):
        session.run({"pixels": pixels(5)})
    with pytest.raises(ExecutionError, match="refuses the shape"):
        session.run({"pixels": pixels(1)[:0]})
    session.close()
    (profile,) = trt.STATE.last.config.profiles
    assert profile.shapes["pixels"] == ((1, 2, 2, 3), (1, 2, 2, 3), (4, 2, 2, 3))


def test_other_free_dimensions_are_refused() -> None:
    with pytest.raises(InputError, match=r"input pixels has free dimensions beside its batch.*edgekit compile"):
        opened(artifact(model("n", "c")))


def test_the_networks_types_are_the_graphs_own(monkeypatch) -> None:
    opened().close()
    assert trt.STATE.last.network.flags == 1 << trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    assert trt.STATE.last.config.flags == set()
    monkeypatch.setattr(trt, "__version__", "8.6.1")
    half = numpy_helper.from_array(np.ones(3, np.float16), "half")
    import onnx

    made = onnx.load_from_string(model())
    made.graph.initializer.append(half)
    opened(artifact(made.SerializeToString())).close()
    assert trt.STATE.last.network.flags == 1
    assert trt.STATE.last.config.flags == {"FP16"}


def test_settings_reach_the_builder() -> None:
    options = (("workspace_mb", "64"), ("optimization_level", "5"), ("auxiliary_streams", "0"))
    opened(settings=replace(PLAIN, options=options)).close()
    config = trt.STATE.last.config
    assert config.limits == {"WORKSPACE": 64_000_000}
    assert (config.builder_optimization_level, config.max_aux_streams) == (5, 0)
    assert config.profiling_verbosity is trt.ProfilingVerbosity.DETAILED


def test_a_plan_is_kept_and_used_again() -> None:
    opened().close()
    assert trt.STATE.builds == 1
    session = opened()
    assert trt.STATE.builds == 1
    assert session.placement().note == "compiled at an earlier load"
    given = pixels()
    np.testing.assert_allclose(session.run({"pixels": given})["projection"], expected(given), rtol=1e-5)
    session.close()
    opened(settings=replace(PLAIN, options=(("compiled_cache", "off"),))).close()
    assert trt.STATE.builds == 2


@pytest.mark.parametrize("what", ["version", "gpu", "driver", "options", "model", "device"])
def test_a_plan_of_another_is_never_given_to_tensorrt(here, monkeypatch, what: str) -> None:
    opened().close()
    given, device, settings = FIXED, "gpu", PLAIN
    if what == "version":
        monkeypatch.setattr(trt, "__version__", "10.16.0")
    elif what == "gpu":
        here[0].edgekit_set(0, 1, 11, 0, 12060)
    elif what == "driver":
        here[0].edgekit_set(0, 1, 8, 7, 13000)
    elif what == "options":
        settings = replace(PLAIN, options=(("optimization_level", "1"),))
    elif what == "model":
        given = FREE
    else:
        device = "dla0"
    seen = []
    original = trt.Runtime.deserialize_cuda_engine
    monkeypatch.setattr(
        trt.Runtime, "deserialize_cuda_engine", lambda self, plan: (seen.append(plan), original(self, plan))[1]
    )
    session = opened(given, device, settings)
    assert trt.STATE.builds == 2
    assert len(seen) == 1
    session.close()


def test_what_was_out_of_date_is_told(monkeypatch) -> None:
    opened().close()
    monkeypatch.setattr(trt, "__version__", "10.16.0")
    session = opened()
    assert "compiler was tensorrt 10.13.3.9, is tensorrt 10.16.0" in session.placement().note
    session.close()


def test_a_damaged_plan_is_compiled_again() -> None:
    opened().close()
    (entry,) = compiled_cache.entries()
    (entry.folder / PLAN).write_bytes(b"not a plan")
    session = opened()
    assert trt.STATE.builds == 2
    assert "damaged" in session.placement().note
    session.close()


def test_timings_are_kept_for_a_gpu_and_version() -> None:
    opened(settings=replace(PLAIN, options=(("compiled_cache", "off"),))).close()
    opened(settings=replace(PLAIN, options=(("compiled_cache", "off"),))).close()
    assert trt.STATE.last.config.timing.data == b"timed;timed;"
    (file,) = (compiled_cache.home() / ".timing").iterdir()
    file.write_bytes(b"another GPU")
    opened(settings=replace(PLAIN, options=(("compiled_cache", "off"),))).close()
    assert file.read_bytes() == b"timed;"
    opened(settings=replace(PLAIN, options=(("compiled_cache", "off"), ("timing_cache", "off")))).close()
    assert file.read_bytes() == b"timed;"


def test_an_accelerator_takes_every_layer_or_none(monkeypatch) -> None:
    session = opened(device="dla1")
    assert session.placement().counts() == {"dla1": 3}
    assert trt.STATE.last.config.DLA_core == 1
    session.close()
    monkeypatch.setattr(trt.STATE, "off_accelerator", ("Cast", "Flatten"))
    with pytest.raises(PlacementError, match="2 layers do not go to dla0: cast, flatten; allow the CPU explicitly"):
        opened(device="dla0")
    session = opened(device="dla0", settings=replace(PLAIN, allow_cpu=True))
    assert trt.STATE.last.config.flags == {"GPU_FALLBACK"}
    assert session.placement().counts() == {"gpu": 2, "dla0": 1}
    session.close()


def test_layers_that_the_plan_shows_elsewhere_are_refused_too(monkeypatch) -> None:
    """What may run on an accelerator can still be given to the GPU when it is built."""
    monkeypatch.setattr(trt.STATE, "off_accelerator", ("Cast",))
    monkeypatch.setattr(trt.Config, "can_run_on_DLA", lambda self, layer: True)
    with pytest.raises(PlacementError, match="1 layers did not go to dla0: cast"):
        opened(device="dla0")


def test_devices_are_those_of_the_board(monkeypatch) -> None:
    assert TensorRt().devices() == ("gpu", "dla0", "dla1")
    monkeypatch.setattr(trt.STATE, "cores", 0)
    assert TensorRt().devices() == ("gpu",)
    with pytest.raises(PlacementError, match="no device 'dla0' here, only gpu"):
        opened(device="dla0")
    monkeypatch.setattr(trt.STATE, "gpu", None)
    assert TensorRt().devices() == ()


def test_what_tensorrt_cannot_read_is_named(monkeypatch) -> None:
    monkeypatch.setattr(trt.STATE, "refused", ("Flatten", "MatMul"))
    told = (
        r"image\.onnx: TensorRT cannot read the model: node 1: no importer for Flatten; node 2: no importer for MatMul"
    )
    with pytest.raises(ExecutionError, match=told):
        opened()
    for data in (b"\x08not a model", model()[:-9]):
        with pytest.raises(ExecutionError, match=r"image\.onnx"):
            opened(artifact(data))
    assert compiled_cache.entries() == ()


def test_a_build_that_fails_says_tensorrts_reason(monkeypatch) -> None:
    monkeypatch.setattr(trt.STATE, "failure", "Error Code 10: no\nimplementation for node multiply")
    with pytest.raises(ExecutionError, match="did not compile the model for gpu: Error Code 10: no implementation"):
        opened()
    with pytest.raises(PlacementError, match="did not compile the model for dla0"):
        opened(device="dla0")
    assert compiled_cache.entries() == ()


def test_memory_and_execution_failures_are_errors(here, monkeypatch) -> None:
    session = opened()
    monkeypatch.setattr(trt.STATE, "failure", "execute")
    with pytest.raises(ExecutionError, match="could not start the inference"):
        session.run({"pixels": pixels()})
    session.close()
    monkeypatch.setattr(trt.STATE, "failure", "memory")
    with pytest.raises(ExecutionError, match="no memory for the model's execution"):
        opened()
    monkeypatch.setattr(trt.STATE, "failure", "")
    here[1].edgekit_set(10, 0)
    with pytest.raises(ExecutionError, match=r"reserving .* out of memory"):
        opened()
    here[1].edgekit_set(1 << 30, 0)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "inputs are"),
        ({"pixels": pixels().astype(np.float32)}, "must be uint8"),
        ({"pixels": pixels()[0]}, "must have shape"),
        ({"pixels": pixels(2)}, "must have shape"),
    ],
)
def test_wrong_inputs_are_named(given, told: str) -> None:
    session = opened()
    with pytest.raises(ExecutionError, match=told):
        session.run(given)
    session.close()


def test_threads_queue_and_closing_frees_everything(here) -> None:
    session = opened()
    given = [pixels(1) // (i + 1) for i in range(16)]
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda one: session.run({"pixels": one})["projection"], given))
    for one, row in zip(given, rows, strict=True):
        np.testing.assert_allclose(row, expected(one), rtol=1e-5)
    assert here[1].edgekit_live() > 0
    session.close()
    session.close()
    assert here[1].edgekit_live() == 0
    with pytest.raises(ExecutionError, match="closed"):
        session.run({"pixels": pixels()})


@pytest.mark.parametrize("lacks", ["package", "driver", "runtime", "gpu"])
def test_doctor_gets_one_line_with_what_is_missing(here, monkeypatch, lacks: str) -> None:
    told = {"package": "tensorrt cannot be imported", "driver": "no CUDA driver", "runtime": "runtime library"}
    if lacks == "package":
        monkeypatch.setitem(sys.modules, "tensorrt", None)
    elif lacks == "driver":
        monkeypatch.setattr(cuda_driver, "LIBRARY", "libedgekit-none.so.1")
    elif lacks == "runtime":
        monkeypatch.setattr(cuda_memory, "LIBRARIES", ("libedgekit-none.so.1",))
    else:
        here[0].edgekit_set(100, 0, 0, 0, 0)
    found = TensorRt().available()
    assert not found.ok
    assert told.get(lacks, "no CUDA-capable device") in found.reason
    assert "\n" not in found.reason
    assert TensorRt().devices() == ()
    with pytest.raises(PlacementError, match="no device 'gpu' here, only none: "):
        opened()


def test_it_is_registered_and_imported_by_nothing_else() -> None:
    assert registry.get("tensorrt").formats == {"onnx"}
    code = "import sys, edgekit; edgekit.load; sys.exit('tensorrt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
