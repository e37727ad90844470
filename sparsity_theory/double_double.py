"""Error-free transformations: numbers carried as an unevaluated sum ``high + low`` of two doubles.

They are needed in one place: ``exp(-x^2 / (2 q))`` far out. At x / sqrt(q) = 30 the exponent is
450, and half an ulp lost in it costs 450 ulps in the result.
"""

from __future__ import annotations

import numpy as np

from ._types import Array

_SPLITTER = 134217729.0  # 2^27 + 1 (Dekker 1971): halves a significand of 53 bits


def two_sum(x: Array, y: Array) -> tuple[Array, Array]:
    """x + y as (rounded sum, exact rounding error), for any finite x and y (Knuth)."""
    total = x + y
    virtual = total - x
    return total, (x - (total - virtual)) + (y - virtual)


def _split(x: Array) -> tuple[Array, Array]:
    scaled = _SPLITTER * x
    high = scaled - (scaled - x)
    return high, x - high


def two_product(x: Array, y: Array) -> tuple[Array, Array]:
    """x * y as (rounded product, exact rounding error), for |x|, |y| below 1e300 (Veltkamp)."""
    product = x * y
    x_high, x_low = _split(x)
    y_high, y_low = _split(y)
    error = ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low
    return product, error


def exp_minus_half_square(high: Array, low: Array, q: Array) -> Array:
    """exp(-(high + low)^2 / (2 q)) to a few ulps, however far out.

    The exponent is formed as a double-double; the exponential of its low part is 1 - low.
    """
    square, square_error = two_product(high, high)
    square_error = square_error + 2.0 * high * low
    exponent = 0.5 * square / q
    product, product_error = two_product(exponent, q)
    remainder = ((0.5 * square - product) - product_error + 0.5 * square_error) / q
    return np.asarray(np.exp(-exponent) * (1.0 - remainder))
