"""How far an inference is from what this device can do: the roofline (Williams, Waterman, Patterson 2009, CACM 52:4).

An inference needs at least the time of its arithmetic at the peak of each kind of product, and at least the time of its
bytes at the peak of memory. The longer of both is the limit that binds, and its share of the measured time is how near
the inference comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.limits import peak
from edgekit.benchmarks.limits.count import count, find
from edgekit.benchmarks.results.records import Roofline
from edgekit.errors import ExecutionError, InputError

if TYPE_CHECKING:
    from edgekit.benchmarks.limits.records import Peaks, Work
    from edgekit.bundle.manifest import TowerName
    from edgekit.bundle.reader import Bundle

_ELSEWHERE = " as onnxruntime multiplies"
# A smaller share of the arithmetic is not named beside the others.
_NAMED = 0.01


def roofline(
    bundle: Bundle,
    variant: str,
    tower: TowerName,
    *,
    milliseconds: float,
    batch: int = 1,
    length: int | None = None,
    threads: int = 0,
    device: str = "cpu",
    peaks: Peaks | None = None,
) -> Roofline:
    """Compare a measured inference with this device's measured limits.

    Args:
        bundle: opened.
        variant: id.
        tower: that was run.
        milliseconds: median time of one inference.
        batch: samples of it.
        length: token ids of a text; None takes the bundle's context length.
        threads: of the inference; 0 is the engine's choice.
        device: that it ran on; only the processor's limits are measured.
        peaks: of this device with as many threads; None measures them, or takes what was measured before.

    Returns:
        The comparison. Its `kind` names the operands of the products; an engine other than ONNX Runtime is compared
        with ONNX Runtime's peak, and `kind` says so.

    Raises:
        InputError: there is no such variant or tower, the time is not above 0, or a size is less than 1.
        ExecutionError: the work cannot be counted, or a limit cannot be measured here; the message says which.
    """
    where = f"{bundle.where}: {variant}: {tower} tower"
    if device != "cpu":
        raise ExecutionError(f"{where}: it ran on {device}, and only the limits of the processor are measured")
    work = count(bundle, variant, tower, batch=batch, length=length)
    if work.uncounted or not work.operations:
        names = ", ".join(f"{op} ({n})" for op, n in work.uncounted.items()) or "no product of matrices was found"
        raise ExecutionError(f"{where}: its work cannot be counted: {names}")
    elsewhere = "" if find(bundle, variant).format == "onnx" else _ELSEWHERE
    return compare(work, peaks or peak.measure(threads), milliseconds, where, elsewhere)


def compare(work: Work, peaks: Peaks, milliseconds: float, where: str, elsewhere: str = "") -> Roofline:
    """Compare counted work with measured limits.

    Args:
        work: of one inference, wholly counted.
        peaks: of the device.
        milliseconds: that the inference took.
        where: what is compared, for messages.
        elsewhere: put after the kinds' names, where the peak is of another engine.

    Returns:
        The comparison.

    Raises:
        InputError: the time is not above 0.
        ExecutionError: a kind of product has no measured peak; the message says why.
    """
    if not milliseconds > 0:
        raise InputError(f"{where}: {milliseconds} ms is no time of an inference")
    seconds = milliseconds / 1e3
    missing = [kind for kind in work.kinds if kind not in peaks.gemm]
    if missing:
        reason = next((peaks.absent[kind] for kind in [*missing, "fp32"] if kind in peaks.absent), "")
        raise ExecutionError(f"{where}: this device's peak of {missing[0]} products is not measured: {reason}")
    at_peak = sum(flops / (1e9 * peaks.gemm[kind].best) for kind, flops in work.kinds.items())
    bandwidth = max(found.best for found in peaks.bandwidth.values())
    moving = work.least_bytes / (1e9 * bandwidth)
    named = [kind for kind, flops in work.kinds.items() if flops >= _NAMED * work.flops]
    return Roofline(
        flops=work.flops,
        bytes=work.least_bytes,
        peak_gflops=work.flops / at_peak / 1e9,
        bandwidth_gbs=bandwidth,
        kind=" + ".join(named) + elsewhere,
        achieved_gflops=work.flops / seconds / 1e9,
        share=max(at_peak, moving) / seconds,
        bound="compute" if at_peak >= moving else "memory",
    )
