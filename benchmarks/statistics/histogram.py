"""How latencies are spread: bins that show the bulk, and one for the tail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_LEAST_BINS, _MOST_BINS = 8, 40
_BULK = 99.0


def histogram(ordered: npt.NDArray[np.float64]) -> tuple[tuple[float, int], ...]:
    """Count values in bins of equal width up to the 99th percentile, and in one more bin up to the greatest.

    The width is Freedman and Diaconis' (1981), ``2 * IQR / cbrt(n)``, within 8 to 40 bins.

    Args:
        ordered: (n,) ascending, at least one.

    Returns:
        Upper bound of each bin and the values in it, ascending; the first bin begins at the least value. A value on a
        bound belongs to the bin below it.
    """
    least, greatest = float(ordered[0]), float(ordered[-1])
    bulk = float(np.percentile(ordered, _BULK))
    quarter, three = np.percentile(ordered, (25, 75))
    width = 2 * float(three - quarter) / len(ordered) ** (1 / 3)
    bins = _MOST_BINS if width <= 0 else int(np.clip(np.ceil((bulk - least) / width), _LEAST_BINS, _MOST_BINS))
    bounds = np.unique(np.append(np.linspace(least, bulk, bins + 1)[1:], greatest))
    # linspace's rounding must not leave the greatest value outside.
    bounds[-1] = greatest
    counts = np.diff(np.searchsorted(ordered, bounds, side="right"), prepend=0)
    return tuple((float(bound), int(count)) for bound, count in zip(bounds, counts, strict=True))
