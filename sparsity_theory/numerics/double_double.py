"""Error-free transformations: numbers carried as an unevaluated sum ``high + low`` of two doubles.

They are needed in one place: exponents of Gaussian densities in the tails. At x / sqrt(q) = 30
the exponent is 450, and half an ulp lost in it costs 450 ulps in the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array, Number
from .elementary import exp

_SPLITTER = 134217729.0  # 2^27 + 1 (Dekker 1971): halves a significand of 53 bits
_SMALL, _LARGE = 1e-250, 1e250  # between them no product of two numbers here leaves the doubles


def two_sum(x: Array, y: Array) -> tuple[Array, Array]:
    """x + y as (rounded sum, exact rounding error), for any finite x and y (Knuth)."""
    total = x + y
    virtual = total - x
    return total, (x - (total - virtual)) + (y - virtual)


def _upper_half(x: Number) -> Number:
    scaled = _SPLITTER * x
    return scaled - (scaled - x)


def _split(x: Number) -> tuple[Number, Number]:
    high = _upper_half(x)
    return high, x - high


def two_product(x: Number, y: Number) -> tuple[Number, Number]:
    """x * y as (rounded product, exact rounding error), for |x|, |y| below 1e300 (Veltkamp)."""
    product = x * y
    x_high, x_low = _split(x)
    y_high, y_low = _split(y)
    error = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    return product, error


def quotient(high: Array, low: Array, divisor: Array) -> tuple[Array, Array]:
    """(high + low) / divisor as (rounded quotient, its rounding error)."""
    ratio = high / divisor
    product, error = two_product(ratio, divisor)
    return ratio, ((high - product) - error + low) / divisor


@dataclass(frozen=True)
class Divisor:
    """A positive number that many are divided by: its reciprocal and its two halves."""

    reciprocal: Number
    high: Number
    low: Number

    @classmethod
    def of(cls, x: Number) -> Divisor:
        """x between 1e-290 and 1e290."""
        return cls(1.0 / x, *_split(x))


def exp_of_quotient(high: Number, low: Number, divisor: Divisor, times: float = 1.0) -> Number:
    """times exp((high + low) / divisor) to an ulp or two, for quotients below 0.

    The quotient is half a significand, whose product with either half of the divisor is exact, and
    a rest below 1e-5, whose exponential is a parabola.
    """
    ratio = _upper_half(high * divisor.reciprocal)
    rest = high - ratio * divisor.high
    rest -= ratio * divisor.low
    rest += low
    rest *= divisor.reciprocal
    return exp(ratio) * (times + rest * (times + (0.5 * times) * rest))


def _moderate(q: Array) -> bool:
    """Whether products of variances of this size neither overflow nor lose digits."""
    if np.size(q) == 1:
        return bool(_SMALL < q < _LARGE)
    return bool(np.size(q) == 0 or (q.min() > _SMALL and q.max() < _LARGE))


def _rescaled(high: Array, low: Array, q: Array) -> tuple[Array, Array, Array]:
    """The numbers in units in which q is between 1/2 and 2, exactly."""
    halved = np.frexp(q)[1] // 2
    high, low = np.ldexp(high, -halved), np.ldexp(low, -halved)
    return high, low, np.ldexp(np.ldexp(q, -halved), -halved)


def square_over(high: Array, low: Array, q: Array) -> tuple[Array, Array]:
    """(high + low)^2 / q as (rounded, its rounding error), for any positive q."""
    if not _moderate(q):
        high, low, q = _rescaled(high, low, q)
    square, error = two_product(high, high)
    return quotient(square, error + 2.0 * high * low, q)


def exp_minus_half_square(high: Array, low: Array, q: Array) -> Array:
    """exp(-(high + low)^2 / (2 q)) to a few ulps, however far out, for any positive q.

    The exponent is formed as a double-double; the exponential of its low part is 1 - low.
    """
    ratio, rest = square_over(high, low, q)
    return np.asarray(np.exp(-0.5 * ratio) * (1.0 - 0.5 * rest))


def exp_minus_over_one_plus(high: Array, low: Array, rho: Array) -> Array:
    """exp(-(high + low) / (1 + rho)) for -1 <= rho <= 1 and high >= 0, to a few ulps.

    1 + rho is taken without rounding. At rho = -1 the limit: 1 where high is 0, else 0.
    """
    total, error = two_sum(np.ones_like(rho), rho)
    divisor = np.where(total > 0.0, total, 1.0)
    ratio, rest = quotient(high, low, divisor)
    decay = np.exp(-ratio) * (1.0 - (rest - ratio * (error / divisor)))
    return np.where(total > 0.0, decay, (high == 0.0).astype(np.float64))
