"""Peak of matrix products, as ONNX Runtime computes them: one in a graph of its own, its right side a weight."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.benchmarks.limits.records import Peak
from edgekit.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

SIZES = (256, 512, 1024, 2048)
SECONDS = 0.15
# Twice the size takes eight times as long: after a product of so many seconds, no larger one is tried.
_SLOW = 0.03
_LEAST = 5
_BLOCK = 32  # numbers that share a scale, as most quantizers choose
_TYPES = {"u8": np.uint8, "s8": np.int8}


@dataclass(frozen=True)
class _Graph:
    """A serialised model, the type of its one input, and the operators it holds."""

    model: bytes
    dtype: Any
    op: str


def measure(
    threads: int, sizes: Sequence[int] = SIZES, seconds: float = SECONDS
) -> tuple[dict[str, Peak], dict[str, str]]:
    """Measure the peak of each kind of operands.

    Args:
        threads: of one product; 0 is the engine's choice.
        sizes: rows, columns and inner length of the products, rising; a size is left out when the one before was slow.
        seconds: to spend on each size of each operator.

    Returns:
        Peaks by kind, in 10^9 operations a second; and by kind, why there is none.

    Raises:
        MissingDependencyError: onnx or onnxruntime is not installed.
    """
    ort = _engine()
    peaks: dict[str, Peak] = {}
    absent: dict[str, str] = {}
    for kind, make in _kinds().items():
        found, reason = _best(ort, make, threads, sizes, seconds)
        if found is None:
            absent[kind] = reason
        else:
            peaks[kind] = found
    return peaks, absent


def _kinds() -> Mapping[str, Callable[[int], Iterator[_Graph]]]:
    return {
        "fp32": lambda size: iter((_float(size, np.float32),)),
        "fp16": lambda size: iter((_float(size, np.float16),)),
        "u8s8": lambda size: _integer(size, "u8", "s8"),
        "s8s8": lambda size: _integer(size, "s8", "s8"),
        "u8u8": lambda size: _integer(size, "u8", "u8"),
        "nbits4": lambda size: iter((_blocks(size, 4),)),
        "nbits8": lambda size: iter((_blocks(size, 8),)),
    }


def _best(
    ort: Any, make: Callable[[int], Iterator[_Graph]], threads: int, sizes: Sequence[int], seconds: float
) -> tuple[Peak | None, str]:
    rates: list[tuple[float, int, str]] = []
    slowest, reason = 0.0, ""
    for size in sizes:
        if slowest > _SLOW:
            break
        for graph in make(size):
            try:
                times = _times(ort, graph, size, threads, seconds)
            except Exception as error:
                # A build without kernels for these types refuses them when the session is made, or when it runs.
                reason = " ".join(str(error).split())[:200]
                continue
            slowest = max(slowest, min(times))
            rates += [(2e-9 * size**3 / one, size, graph.op) for one in times]
    if not rates:
        return None, reason
    rates.sort(reverse=True)
    best, size, op = rates[0]
    how = f"onnxruntime {ort.__version__} {op}"
    return Peak(best, spread([rate for rate, *_ in rates]), len(rates), f"{size}x{size}x{size}", how), ""


def spread(rates: Sequence[float]) -> float:
    """Return how far the second best of some rates is below the best, relative; 1 where there is one alone."""
    ordered = sorted(rates, reverse=True)
    return 1.0 if len(ordered) < 2 else (ordered[0] - ordered[1]) / ordered[0]


def _times(ort: Any, graph: _Graph, size: int, threads: int, seconds: float) -> list[float]:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    session = ort.InferenceSession(graph.model, options, providers=["CPUExecutionProvider"])
    left = _values(size, graph.dtype)
    session.run(None, {"a": left})
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _LEAST or time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, {"a": left})
        times.append(time.perf_counter() - start)
        if len(times) > 1 and sum(times) > 4 * seconds:  # a slow board stops early, with two to compare
            break
    return times


def _values(size: int, dtype: Any) -> npt.NDArray[Any]:
    draw = np.random.default_rng(0)
    if np.issubdtype(dtype, np.floating):
        return draw.standard_normal((size, size)).astype(dtype)
    bounds = np.iinfo(dtype)
    return draw.integers(bounds.min, bounds.max, (size, size), dtype, endpoint=True)


def _float(size: int, dtype: Any) -> _Graph:
    from onnx import helper

    node = helper.make_node("MatMul", ["a", "b"], ["c"])
    return _serialised((node,), {"b": _values(size, dtype)}, dtype, dtype, size, "MatMul")


def _integer(size: int, left: str, right: str) -> Iterator[_Graph]:
    """Make the ways in which a quantized model multiplies: to int32, to 8 bits again, and in float between codes.

    The last is what quantizers write. An engine computes it on the codes, and may take other types for them: on x86-64,
    ONNX Runtime makes uint8 of int8 activations, whose products are faster there.
    """
    from onnx import helper

    weights = {"b": _values(size, _TYPES[right])}
    dtype = _TYPES[left]
    plain = helper.make_node("MatMulInteger", ["a", "b"], ["c"])
    yield _serialised((plain,), weights, dtype, np.int32, size, plain.op_type)
    scale, zero = np.float32(0.01), {"az": np.zeros((), dtype), "bz": np.zeros((), _TYPES[right])}
    weights |= {"as": scale, "bs": scale, **zero, "cs": np.float32(1.0), "cz": np.zeros((), dtype)}
    names = ["a", "as", "az", "b", "bs", "bz", "cs", "cz"]
    linear = helper.make_node("QLinearMatMul", names, ["c"])
    yield _serialised((linear,), weights, dtype, dtype, size, linear.op_type)
    nodes = (
        helper.make_node("QuantizeLinear", ["a", "as", "az"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "as", "az"], ["d"]),
        helper.make_node("DequantizeLinear", ["b", "bs", "bz"], ["k"]),
        helper.make_node("MatMul", ["d", "k"], ["c"]),
    )
    used = {name: weights[name] for name in ("b", "as", "az", "bs", "bz")}
    yield _serialised(nodes, used, np.float32, np.float32, size, "QuantizeLinear, MatMul")


def _blocks(size: int, bits: int) -> _Graph:
    """Make a product with float activations, which may be rounded to int8, and weights in blocks of few bits."""
    from onnx import helper

    draw = np.random.default_rng(0)
    codes = draw.integers(0, 256, (size, size // _BLOCK, _BLOCK * bits // 8), np.uint8)
    scales = np.full(size * size // _BLOCK, 0.01, np.float32)
    node = helper.make_node(
        "MatMulNBits",
        ["a", "b", "s"],
        ["c"],
        domain="com.microsoft",
        K=size,
        N=size,
        bits=bits,
        block_size=_BLOCK,
        accuracy_level=4,
    )
    return _serialised((node,), {"b": codes, "s": scales}, np.float32, np.float32, size, node.op_type)


def _serialised(
    nodes: Sequence[Any], weights: Mapping[str, Any], given: Any, result: Any, size: int, op: str
) -> _Graph:
    from onnx import helper, numpy_helper

    def info(name: str, dtype: Any) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return helper.make_tensor_value_info(name, kind, [size, size])

    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(list(nodes), "gemm", [info("a", given)], [info("c", result)], tensors)
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=8)
    return _Graph(model.SerializeToString(), given, op)


def _engine() -> Any:
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f'the peak of matrix products needs onnx and onnxruntime ({error}); pip install "edgekit[bench]"'
        ) from error
    return onnxruntime
