"""ONNX Runtime's providers for NVIDIA's GPUs: their options, what each graph needs of them, and why one did not load.

From TensorRT 9 on the provider builds a strongly typed network only where neither ``trt_fp16_enable`` nor
``trt_int8_enable`` is set (tensorrt_execution_provider.cc, 1.31): a typed graph keeps its types then, and its islands
of float32. TensorRT 8 knows no such network and needs both.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import InputError, PlacementError
from edgekit.runtimes import shared_libraries
from edgekit.runtimes.ort_providers import ProviderOption, ProviderTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgekit.runtimes.onnx_facts import Facts

DEVICES = ("tensorrt", "cuda")
MEMBERS = {"tensorrt": ("dla0", "dla1")}
"""What may follow the colon of a device; no Jetson has more than two accelerators."""
_LIBRARIES = {"tensorrt": "libonnxruntime_providers_tensorrt.so", "cuda": "libonnxruntime_providers_cuda.so"}
_NVIDIA = re.compile(r"lib(cu|nv)\w*\.so")
_STRONG_TYPES = 9

_ARENA = ProviderOption(
    "arena_extend_strategy", "choice", "how the arena grows", ("kNextPowerOfTwo", "kSameAsRequested")
)

CUDA = ProviderTable(
    device="cuda",
    provider="CUDAExecutionProvider",
    source="onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider; names of the library of 1.31.1",
    strictness="computes most operators of float32 and float16, and no quantized one",
    options=(
        ProviderOption("device_id", "integer", "which GPU", low=0),
        ProviderOption("gpu_mem_limit", "integer", "bytes of the arena", low=1),
        _ARENA,
        ProviderOption(
            "cudnn_conv_algo_search",
            "choice",
            "how a form of a convolution is found: EXHAUSTIVE tries all at the first inference",
            ("EXHAUSTIVE", "HEURISTIC", "DEFAULT"),
        ),
        ProviderOption("do_copy_in_default_stream", "flag", "copy on the stream that computes"),
        ProviderOption("cudnn_conv_use_max_workspace", "flag", "let convolutions take all the memory they ask for"),
        ProviderOption("cudnn_conv1d_pad_to_nc1d", "flag", "pad one-dimensional convolutions at the front"),
        ProviderOption("enable_cuda_graph", "flag", "record the work once and replay it; shapes must be static"),
        ProviderOption("enable_skip_layer_norm_strict_mode", "flag", "sum in float32 in SkipLayerNormalization"),
        ProviderOption("use_tf32", "flag", "products of float32 in 19 bits, on Ampere and later"),
        ProviderOption("prefer_nhwc", "flag", "convolutions with channels last"),
        ProviderOption("fuse_conv_bias", "flag", "join a convolution with its bias"),
        ProviderOption("sdpa_kernel", "integer", "bits of the attention kernels that may be used", low=0),
        ProviderOption("use_ep_level_unified_stream", "flag", "one stream for all of the provider"),
        ProviderOption("tunable_op_enable", "flag", "use forms of operators that were tuned"),
        ProviderOption("tunable_op_tuning_enable", "flag", "tune them"),
        ProviderOption("tunable_op_max_tuning_duration_ms", "integer", "at most so long", low=0),
    ),
    # TF32 has three digits: the float variant must be float32 unless the user says otherwise.
    defaults=(("use_tf32", "0"),),
)

TENSORRT = ProviderTable(
    device="tensorrt",
    provider="TensorrtExecutionProvider",
    source="onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider; names of the library of 1.31.1",
    strictness="compiles what its reader knows; the CUDA provider and the CPU take the rest, with allow_cpu",
    options=(
        ProviderOption("device_id", "integer", "which GPU", low=0),
        ProviderOption("trt_max_partition_iterations", "integer", "attempts to divide the graph", low=1),
        ProviderOption("trt_min_subgraph_size", "integer", "least nodes of a part", low=1),
        ProviderOption("trt_max_workspace_size", "integer", "bytes that TensorRT may use; 0 for all", low=0),
        ProviderOption("trt_fp16_enable", "flag", "let TensorRT choose float16; drops the graph's own types"),
        ProviderOption("trt_bf16_enable", "flag", "let TensorRT choose bfloat16"),
        ProviderOption("trt_int8_enable", "flag", "let TensorRT choose int8; drops the graph's own types"),
        ProviderOption("trt_int8_calibration_table_name", "text", "table of ranges, for graphs without pairs"),
        ProviderOption("trt_int8_use_native_calibration_table", "flag", "the table is TensorRT's own"),
        ProviderOption("trt_dla_enable", "flag", "use a deep-learning accelerator; name the device tensorrt:dla0"),
        ProviderOption("trt_dla_core", "integer", "which accelerator", low=0, high=1),
        ProviderOption("trt_engine_cache_enable", "flag", "keep compiled engines"),
        ProviderOption("trt_engine_cache_path", "text", "in this folder"),
        ProviderOption("trt_engine_cache_prefix", "text", "their names begin so"),
        ProviderOption("trt_engine_hw_compatible", "flag", "engines for all GPUs from Ampere on; slower"),
        ProviderOption("trt_engine_decryption_enable", "flag", "engines are encrypted"),
        ProviderOption("trt_engine_decryption_lib_path", "text", "library that decrypts them"),
        ProviderOption("trt_weight_stripped_engine_enable", "flag", "engines without weights"),
        ProviderOption("trt_onnx_model_folder_path", "text", "where such an engine finds its model"),
        ProviderOption("trt_timing_cache_enable", "flag", "keep what was timed; the next build is faster"),
        ProviderOption("trt_timing_cache_path", "text", "in this folder"),
        ProviderOption("trt_force_timing_cache", "flag", "use timings of another GPU"),
        ProviderOption("trt_force_sequential_engine_build", "flag", "one engine at a time, with several GPUs"),
        ProviderOption("trt_context_memory_sharing_enable", "flag", "parts share their memory"),
        ProviderOption("trt_layer_norm_fp32_fallback", "flag", "Pow and its mean in float32, with trt_fp16_enable"),
        ProviderOption(
            "trt_builder_optimization_level", "integer", "how long it searches; 3 is TensorRT's", low=0, high=5
        ),
        ProviderOption("trt_build_heuristics_enable", "flag", "TensorRT 8.5: build faster"),
        ProviderOption(
            "trt_auxiliary_streams", "integer", "streams beside the first; -1 leaves it to TensorRT", low=-1
        ),
        ProviderOption("trt_sparsity_enable", "flag", "use sparse weights"),
        ProviderOption("trt_tactic_sources", "text", "such as -CUDNN,+CUBLAS"),
        ProviderOption("trt_preview_features", "text", "features by name"),
        ProviderOption("trt_extra_plugin_lib_paths", "text", "libraries of plugins, joined by ;"),
        ProviderOption("trt_op_types_to_exclude", "text", "operators to leave out, joined by ,"),
        ProviderOption("trt_profile_min_shapes", "text", "such as pixels:1x224x224x3"),
        ProviderOption("trt_profile_opt_shapes", "text", "such as pixels:4x224x224x3"),
        ProviderOption("trt_profile_max_shapes", "text", "such as pixels:8x224x224x3"),
        ProviderOption("trt_cuda_graph_enable", "flag", "record the work once and replay it; shapes must be static"),
        ProviderOption("trt_dump_subgraphs", "flag", "write the parts as ONNX files"),
        ProviderOption("trt_detailed_build_log", "flag", "log each step of a build"),
        ProviderOption("trt_load_user_initializer", "flag", "keep weights in memory while it builds"),
        ProviderOption("trt_dump_ep_context_model", "flag", "write a model that holds the engine"),
        ProviderOption("trt_ep_context_file_path", "text", "to this file"),
        ProviderOption("trt_ep_context_embed_mode", "integer", "1 puts the engine inside", low=0, high=1),
    ),
)

_SHAPES = ("trt_profile_min_shapes", "trt_profile_opt_shapes", "trt_profile_max_shapes")


def fitted(device: str, resolved: Mapping[str, str], facts: Facts, version: int) -> dict[str, str]:
    """Complete the options of a session of TensorRT by what its graph needs.

    Args:
        device: ``tensorrt`` or a member such as ``tensorrt:dla0``.
        resolved: checked options, by the provider's own names.
        facts: about the model.
        version: major version of TensorRT.

    Returns:
        The options; what the user gave stands.

    Raises:
        InputError: options contradict each other, or the device.
        PlacementError: the model is in float32, which no accelerator computes in.
    """
    given = dict(resolved)
    if {name for name in _SHAPES if name in given} not in (set(), set(_SHAPES)):
        raise InputError(f"the options {', '.join(_SHAPES)} of the provider tensorrt belong together; give all three")
    weak = version < _STRONG_TYPES
    found = {"trt_fp16_enable": str(int(weak and facts.half)), "trt_int8_enable": str(int(weak and facts.quantized))}
    core = device.partition(":dla")[2]
    if core:
        for name, value in (("trt_dla_enable", "1"), ("trt_dla_core", core)):
            if given.get(name, value) != value:
                raise InputError(f"the option {name}={given[name]} contradicts the device {device}")
        if not (facts.half or facts.quantized):
            raise PlacementError(
                f"{device}: an accelerator computes in float16 and int8 alone; compile the bundle for this board "
                "('edgekit compile --target …')"
            )
        # The provider looks at the accelerator only where one of these is set.
        found |= {"trt_dla_enable": "1", "trt_dla_core": core}
        found |= {"trt_int8_enable": "1"} if facts.quantized else {"trt_fp16_enable": "1"}
    return {**found, **given}


def check_placement(device: str, name: str, *, allow_cpu: bool) -> None:
    """Refuse a device whose work cannot be watched, unless the user allows other devices anyway.

    The provider lets the GPU take what an accelerator refuses, takes core 0 where the core does not exist, and no
    accelerator where there is none, each with a line in its log and no error (tensorrt_execution_provider.cc, 1.31).

    Args:
        device: such as ``tensorrt:dla0``.
        name: of the artifact.
        allow_cpu: the user's leave.

    Raises:
        PlacementError: the message says which runtime is strict.
    """
    if ":dla" in device and not allow_cpu:
        raise PlacementError(
            f"{name}: onnxruntime does not tell which layers ran on {device} and which on the GPU; use the runtime "
            "'tensorrt', which refuses a layer that the accelerator does not take, or allow the CPU explicitly"
        )


def check_made(providers: Callable[[], list[str]], device: str, name: str) -> None:
    """Refuse a session without the provider that was asked for.

    onnxruntime leaves out a provider that does not load, and the CPU, where it is allowed, takes everything.

    Args:
        providers: of the session, `InferenceSession.get_providers`.
        device: that was asked for.
        name: of the artifact.

    Raises:
        PlacementError: the provider is one of NVIDIA's, and is not there.
    """
    family = device.partition(":")[0]
    wanted = {table.device: table.provider for table in (TENSORRT, CUDA)}.get(family)
    if wanted and wanted not in providers():
        raise PlacementError(
            f"{name}: onnxruntime left out the provider {family}, which did not load here (its log says why); "
            "nothing was given to the CPU instead"
        )


def is_known(device: str) -> bool:
    """Whether a device is one of NVIDIA's here, or a member of one."""
    family, colon, member = device.partition(":")
    return family in DEVICES and (not colon or member in MEMBERS.get(family, ()))


def absent(ort: Any, device: str) -> str:
    """Say why a provider of NVIDIA's cannot load.

    Args:
        ort: the module `onnxruntime`.
        device: ``tensorrt`` or ``cuda``, or a member.

    Returns:
        The reason and what to do; empty where it can, or where nothing can be said.
    """
    names = lacking(_folder(ort), device.partition(":")[0])
    if not names:
        return ""
    return (
        f"the provider {device} of onnxruntime {getattr(ort, '__version__', '')} needs {', '.join(names)}, which this "
        "machine does not have; install the CUDA, cuDNN and TensorRT that this onnxruntime was built with (JetPack has "
        "them), or name their folder in LD_LIBRARY_PATH"
    )


@cache
def lacking(folder: Path, device: str) -> tuple[str, ...]:
    """Return the libraries of NVIDIA that a provider needs and this machine lacks; read once in a process.

    Args:
        folder: where onnxruntime keeps its libraries.
        device: ``tensorrt`` or ``cuda``.

    Returns:
        Their names; none where the provider is part of onnxruntime itself.
    """
    path = folder / _LIBRARIES[device]
    if not path.is_file():
        return ()
    return shared_libraries.missing(name for name in shared_libraries.needed(path) if _NVIDIA.match(name))


def version(ort: Any) -> int:
    """Return the major version of the TensorRT that onnxruntime was built with.

    Args:
        ort: the module `onnxruntime`.

    Returns:
        Such as 10; the first with strong types where it cannot be told.
    """
    number = library(ort).rpartition(".")[2]
    return int(number) if number.isdecimal() else _STRONG_TYPES


def library(ort: Any) -> str:
    """Return the name of the TensorRT that onnxruntime was built with.

    Args:
        ort: the module `onnxruntime`.

    Returns:
        Such as ``libnvinfer.so.10``; empty where it cannot be told.
    """
    path = _folder(ort) / _LIBRARIES["tensorrt"]
    names = shared_libraries.needed(path) if path.is_file() else ()
    return next((name for name in names if re.fullmatch(r"libnvinfer\.so(\.\d+)*", name)), "")


def _folder(ort: Any) -> Path:
    return Path(ort.__file__).parent / "capi"
