"""Bandwidth of memory: arrays larger than the caches read, copied, and added (the triad of McCalpin's STREAM).

As STREAM counts, a copy moves two arrays and the triad three; that a processor may read a line before it is overwritten
is not counted.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.benchmarks.limits.gemm import spread
from edgekit.benchmarks.limits.records import Peak

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Step = Callable[[Floats, Floats, Floats], None]

REPETITIONS = 7
_MIB = 1 << 20
# Each array: at most so large, and so small a part of the memory that is free, since three are needed.
_MOST, _SHARE = 1 << 29, 8
_TIMES_CACHE = 4  # STREAM's rule for the size of each array
_UNKNOWN_CACHE = 64 * _MIB
# What stays in a core's own cache between the two passes over it, so that memory sees the triad alone.
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Size:
    """Bytes of each array, and whether that is at least four times the last cache."""

    bytes: int
    beyond_caches: bool


def measure(threads: int, size: Size, repetitions: int = REPETITIONS) -> dict[str, Peak]:
    """Measure the bandwidth of each pattern.

    Args:
        threads: that work at the same time, each on its own part of the arrays; at least 1.
        size: of each of the three arrays.
        repetitions: of each pattern.

    Returns:
        Peaks by pattern, in 10^9 bytes a second.
    """
    length = max(size.bytes // 4, threads)
    a, b, c = (np.full(length, value, np.float32) for value in (0.0, 1.0, 2.0))
    edges = np.linspace(0, length, threads + 1).astype(int).tolist()
    parts = [slice(start, end) for start, end in pairwise(edges)]
    patterns: dict[str, tuple[int, Step]] = {"read": (1, _read), "copy": (2, _copy), "triad": (3, _triad)}
    found = {}
    with ThreadPoolExecutor(threads) as pool:
        for name, (arrays, step) in patterns.items():
            rates = []
            for _ in range(repetitions):
                start = time.perf_counter()
                list(pool.map(lambda part, step=step: step(a[part], b[part], c[part]), parts))
                rates.append(1e-9 * 4 * length * arrays / (time.perf_counter() - start))
            shown = f"{max(1, round(4 * length / _MIB))} MiB"
            found[name] = Peak(max(rates), spread(rates), repetitions, shown, f"numpy {np.__version__} {name}")
    return found


def size_here(root: Path = Path("/")) -> Size:
    """Choose how large the arrays are on this device.

    Args:
        root: folder under which ``/sys`` and ``/proc`` are found.

    Returns:
        Four times the last cache, where memory allows.
    """
    cache = _last_cache(root)
    wanted = _TIMES_CACHE * (cache or _UNKNOWN_CACHE)
    chosen = min(wanted, _MOST, _free(root) // _SHARE)
    return Size(max(chosen, _MIB), bool(cache) and chosen >= wanted)


def _last_cache(root: Path) -> int:
    """Return bytes of the largest cache of the first processor; 0 where the system does not tell."""
    sizes = [0]
    for path in sorted(root.glob("sys/devices/system/cpu/cpu0/cache/index*/size")):
        try:
            text = path.read_text().strip()
        except OSError:
            # Some kernels list a cache whose size the firmware does not tell, and fail when it is asked for.
            continue
        factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:], 1)
        digits = text.rstrip("KMG")
        sizes.append(int(digits) * factor if digits.isdigit() else 0)
    return max(sizes)


def _free(root: Path) -> int:
    """Return bytes of memory that are free without swapping; half a GiB where the system does not tell."""
    try:
        for line in (root / "proc" / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        return 512 * _MIB
    return 512 * _MIB


def _read(a: Floats, b: Floats, c: Floats) -> None:
    # Whole numbers are added many at a time; a sum of floats waits for each.
    np.add.reduce(b[: len(b) // 2 * 2].view(np.int64))


def _copy(a: Floats, b: Floats, c: Floats) -> None:
    np.copyto(a, b)


def _triad(a: Floats, b: Floats, c: Floats) -> None:
    scaled = np.empty(_CHUNK, np.float32)
    for start in range(0, len(a), _CHUNK):
        part = slice(start, start + _CHUNK)
        held = scaled[: len(c[part])]
        np.multiply(c[part], np.float32(3.0), out=held)
        np.add(b[part], held, out=a[part])
