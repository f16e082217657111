"""The binomial distribution, exact, without SciPy."""

from __future__ import annotations

import math

from edgekit.errors import InputError

_TINY = 1e-300
_CLOSE = 1e-15
_MOST_STEPS = 1_000_000


def cdf(k: int, n: int, p: float) -> float:
    """Return the probability of at most k successes in n independent trials.

    ``I(1 - p; n - k, k + 1)``, the regularized incomplete beta function (DLMF 8.17.5).

    Args:
        k: any number.
        n: trials, 0 or more.
        p: probability of a success, 0 < p < 1.

    Returns:
        In 0..1.

    Raises:
        InputError: `n` is negative or `p` is not inside 0..1.
    """
    if n < 0 or not 0 < p < 1:
        raise InputError(f"a binomial distribution of {n} trials with probability {p} does not exist")
    if k < 0:
        return 0.0
    return 1.0 if k >= n else incomplete_beta(1 - p, n - k, k + 1)


def quantile(level: float, n: int, p: float) -> int:
    """Return the smallest k whose `cdf` is at least `level`.

    Args:
        level: 0 < level < 1.
        n: trials, 0 or more.
        p: probability of a success, 0 < p < 1.

    Returns:
        In 0..n.
    """
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if cdf(middle, n, p) >= level:
            high = middle
        else:
            low = middle + 1
    return low


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function by its continued fraction.

    Source: DLMF 8.17.22, evaluated by Lentz's method; the symmetry ``I(x; a, b) = 1 - I(1 - x; b, a)`` (DLMF 8.17.4)
    where the fraction would converge slowly.

    Args:
        x: 0 < x < 1.
        a: above 0.
        b: above 0.

    Returns:
        In 0..1; relative error about 1e-12 for parameters below a million.
    """
    if x <= (a + 1) / (a + b + 2):
        return _by_fraction(x, a, b)
    return max(0.0, 1.0 - _by_fraction(1 - x, b, a))


def _by_fraction(x: float, a: float, b: float) -> float:
    # exp(log) and not a product: the factors leave the range of a float long before their product does.
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return min(1.0, math.exp(log_front) / (a * _fraction(x, a, b)))


def _fraction(x: float, a: float, b: float) -> float:
    """Return ``1 + d1/(1 + d2/(1 + …))`` of DLMF 8.17.22."""
    value = c = 1.0
    d = 0.0
    for step in range(1, _MOST_STEPS):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _nonzero(1 + term * d)
        c = _nonzero(1 + term / c)
        value *= c * d
        if abs(c * d - 1) < _CLOSE:
            break
    return value


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
