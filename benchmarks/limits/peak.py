"""What this device can do at most, measured once and kept until the engine or the processor is another."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from edgekit import decisions
from edgekit.benchmarks.device import load
from edgekit.benchmarks.device.judge import OTHER_LOAD
from edgekit.benchmarks.limits import bandwidth, gemm
from edgekit.benchmarks.limits.records import Peaks
from edgekit.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Sequence

# A best that no other repetition comes near was disturbed, or the others were: it is used, but not kept.
STEADY = 0.05


def measure(
    threads: int = 0,
    *,
    sizes: Sequence[int] = gemm.SIZES,
    seconds: float = gemm.SECONDS,
    arrays: bandwidth.Size | None = None,
    again: bool = False,
) -> Peaks:
    """Return this device's peaks, from an earlier measurement where there is one.

    Args:
        threads: that work at the same time; 0 leaves products to the engine's choice, as inferences are, and lets each
            processor that this process may use move memory.
        sizes: of the products of matrices, see `gemm.measure`.
        seconds: to spend on each size of each operator.
        arrays: size of the arrays of the bandwidth; None chooses it for this device.
        again: measure, whatever is kept.

    Returns:
        The peaks; kinds that cannot be measured here are named in `absent`.

    Raises:
        InputError: `threads` is negative.
    """
    if threads < 0:
        raise InputError(f"threads is {threads}; give 0 (the engine's choice) or more")
    chosen = arrays or bandwidth.size_here()
    key = decisions.key(
        {
            "peaks": 4,
            "threads": threads,
            "sizes": list(sizes),
            "arrays": arrays and arrays.bytes,
            "versions": _versions(),
        }
    )
    kept = None if again else decisions.recall_record(key, Peaks)
    if kept is not None:
        return kept
    begin = load.cpu_time()
    try:
        products, absent = gemm.measure(threads, sizes, seconds)
    except MissingDependencyError as error:
        products, absent = {}, {"fp32": str(error)}
    moved = bandwidth.measure(threads or processors(), chosen)
    found = Peaks(
        threads=threads,
        gemm=products,
        bandwidth=moved,
        absent=absent,
        other_load=load.other(begin, load.cpu_time()),
        beyond_caches=chosen.beyond_caches,
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    if undisturbed(found):
        # A device without a writable disk measures each time.
        decisions.store_record(key, found)
    return found


def undisturbed(peaks: Peaks) -> bool:
    """Say whether peaks may be kept: every best was nearly reached twice, and other processes were quiet."""
    steady = all(peak.spread <= STEADY for peak in (*peaks.gemm.values(), *peaks.bandwidth.values()))
    return steady and (peaks.other_load is None or peaks.other_load <= OTHER_LOAD)


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _versions() -> dict[str, Any]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("numpy", "onnx", "onnxruntime"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ""
    return found
