"""Newton's method within a bracket, for many equations at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._types import Number
from .elementary import anywhere, larger, quotient, select

_MOST_STEPS = 200  # bisection alone would need fewer
_ULP = float(np.finfo(float).eps)


def bracketed_newton(
    excess: Callable[[Number], tuple[Number, Number]], low: Number, high: Number, start: Number
) -> Number:
    """The roots of an elementwise function that is negative at ``low`` and positive at ``high``.

    A Newton step that would leave the bracket or does not halve the step before it is replaced by
    bisection. After two Newton steps h and k in a row the next one is of order k^3 / h^2; a root
    has converged when that is below an ulp of max(1, |x|).

    Args:
        excess: maps x to the function and its derivative there; infinite values are allowed and
            count by their sign. It may divide by zero and overflow without a warning.
        low: shape (n,), or a float for a single equation.
        high: likewise.
        start: where to begin, between low and high, likewise.

    Returns:
        Shape (n,), or a float.
    """
    x, open_ = start, low <= high
    allowed, previous = high - low, 0.0 * start
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for _ in range(_MOST_STEPS):
            value, slope = excess(x)
            low, high = select(value < 0.0, x, low), select(value > 0.0, x, high)
            step = select(value == 0.0, 0.0, quotient(value, slope))
            size = abs(step)
            ulp = _ULP * larger(1.0, abs(x))
            trusted = (x - step >= low) & (x - step <= high) & (size <= 0.5 * allowed)
            fast = size * size * size <= ulp * previous * previous
            converged = (size <= ulp) | (trusted & fast)
            following = select(trusted | converged, x - step, 0.5 * (low + high))
            x = select(open_, following, x)
            open_ = select(converged, False, open_)
            if not anywhere(open_):
                break
            allowed = select(trusted, size, 0.5 * (high - low))
            previous = select(trusted, size, 0.0)
    return x
