"""Newton's method within a bracket, for many equations at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._types import Array

_MOST_STEPS = 200  # bisection alone would need fewer
_ULP = np.finfo(float).eps


def bracketed_newton(
    excess: Callable[[Array], tuple[Array, Array]], low: Array, high: Array, start: Array
) -> Array:
    """The roots of an elementwise function that is negative at ``low`` and positive at ``high``.

    A Newton step that would leave the bracket or does not halve the step before it is replaced by
    bisection. After two Newton steps h and k in a row the next one is of order k^3 / h^2; a root
    has converged when that is below an ulp of max(1, |x|).

    Args:
        excess: maps x, shape (n,), to the function and its derivative there; infinite values
            are allowed and count by their sign.
        low: shape (n,).
        high: shape (n,).
        start: where to begin, between low and high, shape (n,).

    Returns:
        Shape (n,).
    """
    x, low, high = (np.array(part, dtype=np.float64) for part in (start, low, high))
    allowed, previous = high - low, np.zeros(x.shape)
    open_ = np.ones(x.shape, dtype=np.bool_)
    for _ in range(_MOST_STEPS):
        value, slope = excess(x)
        low, high = np.where(value < 0.0, x, low), np.where(value > 0.0, x, high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            step = np.where(value == 0.0, 0.0, value / slope)
            size = np.abs(step)
            ulp = _ULP * np.maximum(1.0, np.abs(x))
            trusted = (x - step >= low) & (x - step <= high) & (size <= 0.5 * allowed)
            converged = (size <= ulp) | (trusted & (size**3 <= ulp * previous**2))
        following = np.where(trusted | converged, x - step, 0.5 * (low + high))
        x = np.where(open_, following, x)
        open_ &= ~converged
        if not np.any(open_):
            break
        allowed = np.where(trusted, size, 0.5 * (high - low))
        previous = np.where(trusted, size, 0.0)
    return x
