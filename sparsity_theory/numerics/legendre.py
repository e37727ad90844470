"""Gauss-Legendre rules on [0, 1]."""

from __future__ import annotations

import numpy as np

from .._types import Array


def gauss_legendre(n: int) -> tuple[Array, Array, Array]:
    """Nodes x, 1 - x and weights of the rule with n nodes on [0, 1], each of shape (n,).

    Newton's method on the Legendre polynomial in extended precision, rounded once; to 2e-14 where
    ``np.longdouble`` is no longer than a double, as on Windows and ARM. Nodes ascend.
    """
    x = np.cos(np.pi * (np.arange(n, dtype=np.longdouble) + 0.75) / (n + 0.5))
    for _ in range(6):
        previous, value = np.ones_like(x), x
        for k in range(2, n + 1):
            previous, value = value, ((2 * k - 1) * x * value - (k - 1) * previous) / k
        derivative = n * (x * value - previous) / (x * x - 1)
        x = x - value / derivative
    weights = 1 / ((1 - x * x) * derivative**2)
    left, right = (1 - x) / 2, (1 + x) / 2
    return left.astype(np.float64), right.astype(np.float64), weights.astype(np.float64)
