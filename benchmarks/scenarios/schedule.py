"""When the server scenario's queries are due: a Poisson process, drawn before the run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgekit.errors import InputError

_CHUNK = 65_536
# 100 million arrivals are 800 MB.
_MOST = 100_000_000


def poisson(rate: float, seconds: float, queries: int, seed: int) -> npt.NDArray[np.int64]:
    """Draw arrivals whose gaps are independent and exponential with mean ``1 / rate``.

    Source: MLPerf Inference rules, section "Scenarios": the server scenario's queries arrive by a Poisson distribution.

    Args:
        rate: arrivals a second, above 0.
        seconds: arrivals go on for so long, 0 or more.
        queries: and until there are so many, at least 1.
        seed: of the gaps.

    Returns:
        (n,) int64, nanoseconds since the begin, ascending; all before `seconds`, or as many as `queries`.

    Raises:
        InputError: the rate is not a positive number, or there would be more than 100 million arrivals.
    """
    if not 0 < rate < 1e9:
        raise InputError(f"target_qps is {rate}; the server scenario needs a rate above 0 and below 10^9 a second")
    if max(rate * seconds, queries) > _MOST:
        raise InputError(
            f"{rate} queries a second for {seconds:.0f} s are too many; give a lower rate or fewer seconds"
        )
    random = np.random.default_rng(seed)
    parts: list[npt.NDArray[np.float64]] = []
    last, count = 0.0, 0
    while last < seconds or count < queries:
        part = last + np.cumsum(random.exponential(1 / rate, _CHUNK))
        parts.append(part)
        last, count = float(part[-1]), count + _CHUNK
    times = np.concatenate(parts)
    kept = max(queries, int(np.searchsorted(times, seconds)))
    return (times[:kept] * 1e9).astype(np.int64)
