"""A stand-in for the module `tensorrt`: the names and calls of its documented API, computed by ONNX Runtime.

It proves how edgekit calls TensorRT, not what TensorRT does. `tests/gpu` checks that the real package has each name.
"""

from __future__ import annotations

import ctypes
import enum
import json
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime

__version__ = "10.13.3.9"
STATE = SimpleNamespace(cores=2, log=[], builds=0, refused=(), off_accelerator=(), gpu="stand-in", failure="")


class ILogger:
    class Severity(enum.Enum):
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def __init__(self) -> None:
        STATE.log.append(self)


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH, STRONGLY_TYPED = range(2)


BuilderFlag = enum.Enum("BuilderFlag", ["FP16", "INT8", "GPU_FALLBACK"])
MemoryPoolType = enum.Enum("MemoryPoolType", ["WORKSPACE"])
DeviceType = enum.Enum("DeviceType", ["GPU", "DLA"])
ProfilingVerbosity = enum.Enum("ProfilingVerbosity", ["LAYER_NAMES_ONLY", "DETAILED"])
TensorIOMode = enum.Enum("TensorIOMode", ["NONE", "INPUT", "OUTPUT"])
LayerInformationFormat = enum.Enum("LayerInformationFormat", ["ONELINE", "JSON"])
DataType = enum.Enum("DataType", ["FLOAT", "HALF", "INT8", "INT32", "INT64", "BOOL", "UINT8", "BF16"])
_TYPES = {1: "FLOAT", 10: "HALF", 3: "INT8", 6: "INT32", 7: "INT64", 9: "BOOL", 2: "UINT8", 16: "BF16"}


class Builder:
    def __init__(self, logger: ILogger) -> None:
        assert isinstance(logger, ILogger)
        if STATE.gpu is None:
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self.logger, self.num_DLA_cores = logger, STATE.cores

    def create_network(self, flags: int):
        return Network(flags)

    def create_builder_config(self):
        return Config()

    def create_optimization_profile(self):
        return Profile()

    def build_serialized_network(self, network, config):
        STATE.builds += 1
        STATE.last = SimpleNamespace(network=network, config=config)
        if STATE.failure:
            self.logger.log(ILogger.Severity.WARNING, "not worth telling")
            self.logger.log(ILogger.Severity.ERROR, STATE.failure)
            return None
        config.timing.data += b"timed;"
        accelerated = config.default_device_type is DeviceType.DLA
        layers = [
            {
                "Name": n.name,
                "LayerType": "DLA" if accelerated and n.op_type not in STATE.off_accelerator else n.op_type,
            }
            for n in network.model.graph.node
        ]
        head = json.dumps({"layers": layers, "gpu": STATE.gpu, "core": config.DLA_core}).encode()
        return memoryview(head + b"\n" + network.model.SerializeToString())


class Network:
    def __init__(self, flags: int) -> None:
        self.flags = flags

    @property
    def num_inputs(self):
        return len(self.model.graph.input)

    def get_input(self, i):
        value = self.model.graph.input[i]
        return SimpleNamespace(name=value.name, shape=_shape(value))

    @property
    def num_layers(self):
        return len(self.model.graph.node)

    def get_layer(self, i):
        node = self.model.graph.node[i]
        return SimpleNamespace(name=node.name, kind=node.op_type)


class OnnxParser:
    def __init__(self, network, logger) -> None:
        self.network, self.errors = network, []

    def parse_from_file(self, path: str) -> bool:
        try:
            self.network.model = onnx.load(path)
            onnx.checker.check_model(self.network.model)
        except Exception as error:
            told = f"ModelImporter:\n{error}"
            self.errors.append(SimpleNamespace(node=lambda: -1, desc=lambda: told))
            return False
        for i, node in enumerate(self.network.model.graph.node):
            if node.op_type in STATE.refused:
                told = f"no importer for {node.op_type}"
                self.errors.append(SimpleNamespace(node=lambda i=i: i, desc=lambda told=told: told))
        return not self.errors

    @property
    def num_errors(self):
        return len(self.errors)

    def get_error(self, i):
        return self.errors[i]


class Profile:
    def set_shape(self, name, least, best, most):
        self.shapes = {**getattr(self, "shapes", {}), name: (least, best, most)}


class TimingCache:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self):
        return memoryview(self.data)


class Config:
    def __init__(self) -> None:
        self.flags, self.limits, self.profiles = set(), {}, []
        self.builder_optimization_level, self.max_aux_streams = 3, -1
        self.default_device_type, self.DLA_core, self.timing = DeviceType.GPU, -1, TimingCache(b"")

    def set_flag(self, flag):
        assert isinstance(flag, BuilderFlag)
        self.flags.add(flag.name)

    def set_memory_pool_limit(self, pool, size):
        self.limits[pool.name] = size

    def add_optimization_profile(self, profile):
        self.profiles.append(profile)

    def can_run_on_DLA(self, layer):  # noqa: N802 - TensorRT's own name
        return layer.kind not in STATE.off_accelerator

    def create_timing_cache(self, data: bytes):
        return TimingCache(bytes(data))

    def set_timing_cache(self, cache, ignore_mismatch: bool) -> bool:
        if cache.data.startswith(b"another GPU") and not ignore_mismatch:
            return False
        self.timing = cache
        return True


class Runtime:
    def __init__(self, logger) -> None:
        self.logger, self.DLA_core = logger, -1

    def deserialize_cuda_engine(self, plan: bytes):
        head, _, model = bytes(plan).partition(b"\n")
        try:
            facts = json.loads(head)
        except ValueError:
            self.logger.log(ILogger.Severity.ERROR, "Magic tag does not match")
            return None
        assert facts["core"] == self.DLA_core
        return Engine(facts, onnx.load_from_string(model))


class Engine:
    def __init__(self, facts, model) -> None:
        self.facts, self.model = facts, model
        self.values = {value.name: value for value in (*model.graph.input, *model.graph.output)}
        self.num_io_tensors = len(self.values)

    def get_tensor_name(self, i):
        return list(self.values)[i]

    def get_tensor_mode(self, name):
        given = any(value.name == name for value in self.model.graph.input)
        return TensorIOMode.INPUT if given else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name):
        return DataType[_TYPES[self.values[name].type.tensor_type.elem_type]]

    def get_tensor_shape(self, name):
        return _shape(self.values[name])

    def create_execution_context(self):
        return None if STATE.failure == "memory" else Context(self)

    def create_engine_inspector(self):
        return SimpleNamespace(get_engine_information=lambda form: json.dumps({"Layers": self.facts["layers"]}))


class Context:
    def __init__(self, engine) -> None:
        self.engine, self.addresses, self.shapes = engine, {}, {}
        self.session = onnxruntime.InferenceSession(
            engine.model.SerializeToString(), providers=["CPUExecutionProvider"]
        )

    def set_tensor_address(self, name, address: int):
        assert isinstance(address, int)
        self.addresses[name] = address
        return True

    def set_input_shape(self, name, shape):
        self.shapes[name] = tuple(shape)
        return shape[0] > 0

    def get_tensor_shape(self, name):
        batch = next(iter(self.shapes.values()), (1,))[0]
        return tuple(batch if size < 0 else size for size in _shape(self.engine.values[name]))

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert stream_handle
        if STATE.failure == "execute":
            return False
        given = {}
        for value in self.session.get_inputs():
            shape = self.shapes.get(value.name) or self.get_tensor_shape(value.name)
            given[value.name] = np.array(self._memory(value.name, shape))
        for value, row in zip(self.session.get_outputs(), self.session.run(None, given), strict=True):
            self._memory(value.name, row.shape)[...] = row
        return True

    def _memory(self, name, shape):
        dtype = onnx.helper.tensor_dtype_to_np_dtype(self.engine.values[name].type.tensor_type.elem_type)
        size = int(np.prod(shape)) * dtype.itemsize
        raw = (ctypes.c_byte * size).from_address(self.addresses[name])
        return np.frombuffer(raw, dtype).reshape(shape)


def names() -> set[str]:
    """Every name of the API that this stand-in offers, for a comparison with the real package."""
    own = {name for name in globals() if not name.startswith("_") and isinstance(globals()[name], type)}
    own -= {"SimpleNamespace", "Network", "Config", "Engine", "Context", "Profile", "TimingCache"}
    made = {
        name
        for kind in (Network, Config, Engine, Context, Profile, TimingCache, Builder, OnnxParser, Runtime)
        for name in vars(kind)
        if not name.startswith("_")
    }
    attributes = {
        "num_DLA_cores",
        "builder_optimization_level",
        "max_aux_streams",
        "default_device_type",
        "DLA_core",
        "num_io_tensors",
        "profiling_verbosity",
        "get_engine_information",
        "GPU_FALLBACK",
        "STRONGLY_TYPED",
        "WORKSPACE",
        "DETAILED",
        "UINT8",
        "node",
        "desc",
    }
    return own | made | attributes


def _shape(value):
    return tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in value.type.tensor_type.shape.dim)
