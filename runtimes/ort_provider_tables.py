"""The options of each provider that onnxruntime may be built with, from its documentation and its source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.runtimes import ort_providers, ort_tensorrt
from edgekit.runtimes.ort_providers import ProviderOption, ProviderTable

if TYPE_CHECKING:
    from collections.abc import Mapping

# The values are those that the build for macOS (onnxruntime 1.31.1) compares with.
COREML = ProviderTable(
    device="coreml",
    provider="CoreMLExecutionProvider",
    source="onnxruntime.ai/docs/execution-providers/CoreML-ExecutionProvider; coreml_options.cc, 1.31.1",
    strictness="takes the nodes that it has a form of, best at static shapes",
    options=(
        ProviderOption(
            "ModelFormat",
            "choice",
            "MLProgram (Core ML 5: macOS 12, iOS 15) has more operators and float16 that is typed",
            ("MLProgram", "NeuralNetwork"),
        ),
        ProviderOption(
            "MLComputeUnits",
            "choice",
            "which processors Core ML may use; CPUOnly computes in float32 and is the one to compare with",
            ("ALL", "CPUAndNeuralEngine", "CPUAndGPU", "CPUOnly"),
        ),
        ProviderOption("RequireStaticInputShapes", "flag", "leave nodes with free dimensions to the CPU"),
        ProviderOption("EnableOnSubgraphs", "flag", "take nodes inside Loop, Scan and If"),
        ProviderOption(
            "SpecializationStrategy",
            "choice",
            "FastPrediction spends more time and disk when the model is first loaded",
            ("Default", "FastPrediction"),
        ),
        ProviderOption("ProfileComputePlan", "flag", "write to the log which processor each operator is planned for"),
        ProviderOption("AllowLowPrecisionAccumulationOnGPU", "flag", "let the GPU add up in float16"),
        ProviderOption("ModelCacheDirectory", "text", "a folder that keeps compiled models; empty it to forget them"),
    ),
    defaults=(("ModelFormat", "MLProgram"), ("RequireStaticInputShapes", "1")),
)

XNNPACK = ProviderTable(
    device="xnnpack",
    provider="XnnpackExecutionProvider",
    source="onnxruntime.ai/docs/execution-providers/Xnnpack-ExecutionProvider",
    strictness=(
        "is a library of some operators for the same processor (Conv, Gemm, MatMul of two dimensions, pools, Softmax, "
        "Resize); by design the CPU provider computes the rest, so it needs allow_cpu"
    ),
    options=(
        ProviderOption(
            "intra_op_num_threads",
            "integer",
            "threads of its own pool, beside those of the session: give the session one thread and no spinning",
            low=1,
        ),
    ),
    pool="intra_op_num_threads",
)

ACL = ProviderTable(
    device="acl",
    provider="ACLExecutionProvider",
    source="onnxruntime.ai/docs/execution-providers/community-maintained/ACL-ExecutionProvider",
    strictness=(
        "is Arm's Compute Library for some operators of the same processor (Conv, Gemm, MatMul, pools); by design the "
        "CPU provider computes the rest, so it needs allow_cpu"
    ),
    options=(
        ProviderOption(
            "enable_fast_math", "flag", "products in bfloat16 where the processor has it", ("false", "true")
        ),
    ),
)

CANN = ProviderTable(
    device="cann",
    provider="CANNExecutionProvider",
    source=(
        "onnxruntime.ai/docs/execution-providers/community-maintained/CANN-ExecutionProvider; "
        "cann_execution_provider_info.cc; hiascend.com, atc's --precision_mode_v2"
    ),
    strictness="compiles the whole graph for the NPU when enable_cann_graph is 1, its default",
    options=(
        ProviderOption("device_id", "integer", "which NPU", low=0),
        ProviderOption("npu_mem_limit", "integer", "bytes of the provider's arena", low=1),
        ProviderOption(
            "arena_extend_strategy", "choice", "how the arena grows", ("kNextPowerOfTwo", "kSameAsRequested")
        ),
        ProviderOption("enable_cann_graph", "flag", "compile the graph; 0 runs one operator at a time"),
        ProviderOption("enable_cann_subgraph", "flag", "compile parts where the whole is not taken"),
        ProviderOption("dump_graphs", "flag", "write the parts as ONNX files, for analysis"),
        ProviderOption("dump_om_model", "flag", "write the compiled .om files, which the next session reads"),
        ProviderOption(
            "precision_mode",
            "choice",
            "which type an operator that has several is computed in; builds for CANN 8.2 and before",
            (
                "force_fp16",
                "force_fp32",
                "cube_fp16in_fp32out",
                "allow_fp32_to_fp16",
                "must_keep_origin_dtype",
                "allow_mix_precision",
                "allow_mix_precision_fp16",
            ),
        ),
        ProviderOption(
            "precision_mode_v2",
            "choice",
            "the same in newer builds: fp16 where there is one, origin keeps the graph's types",
            ("fp16", "origin", "cube_fp16in_fp32out", "mixed_float16", "mixed_bfloat16"),
        ),
        ProviderOption(
            "op_select_impl_mode", "choice", "which form of an operator", ("high_precision", "high_performance")
        ),
        ProviderOption(
            "optypelist_for_implmode", "text", "operators that op_select_impl_mode is for, such as Pooling,SoftmaxV2"
        ),
        ProviderOption("input_format", "choice", "layout of the inputs", ("NCHW", "NCDHW", "ND")),
        ProviderOption("dynamic_batch_size", "text", "batches, such as 1,2,4"),
        ProviderOption("dynamic_image_size", "text", "sizes, such as 224,224;256,256"),
        ProviderOption("dynamic_dims", "text", "values of free dimensions, such as 1,77;4,77"),
    ),
)

TABLES: dict[str, ProviderTable] = {
    table.device: table for table in (COREML, XNNPACK, ACL, CANN, ort_tensorrt.CUDA, ort_tensorrt.TENSORRT)
}
"""By edgekit's name of the provider; a provider that is not here takes its options unchecked."""
_EXCLUSIVE = (("precision_mode", "precision_mode_v2"),)


def options(device: str, given: Mapping[str, str], threads: int = 0) -> dict[str, str]:
    """Return what a provider is given.

    Args:
        device: such as ``coreml`` or ``cpu``.
        given: the user's values by the provider's own names.
        threads: of the session; a provider with a pool of its own gets as many, where the user names none.

    Returns:
        The checked values over edgekit's defaults; `given` itself where the provider's options are not known.

    Raises:
        InputError: a name or a value is none of the provider's, or two options exclude each other.
    """
    table = TABLES.get(device.partition(":")[0])
    if table is None:
        return dict(given)
    for one, other in _EXCLUSIVE:
        if one in given and other in given:
            raise InputError(f"the options {one} and {other} of the provider {table.device} exclude each other")
    found = ort_providers.resolve(table, given)
    if threads and table.pool:
        found.setdefault(table.pool, str(threads))
    return found


def strictness(device: str) -> str:
    """Return what a provider is by design, for a message about nodes that it left; empty where nothing is known."""
    table = TABLES.get(device.partition(":")[0])
    return f"{table.device} {table.strictness}" if table else ""
