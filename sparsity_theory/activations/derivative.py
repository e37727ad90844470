"""Whether a derivative is that of a function, by difference quotients at fixed points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .._types import Array
from .._validation import shown

Elementwise = Callable[[Array], Array]

_GOLDEN = 0.5 * (np.sqrt(5.0) - 1.0)
_POINTS = 6.0 * (2.0 * np.mod(_GOLDEN * np.arange(1, 257), 1.0) - 1.0)  # in (-6, 6), no pattern
_STEP = 1e-3  # of a difference quotient
_SETTLED = 1e-4  # two quotients with steps this close, relative to their size, count as the slope
_TOLERANCE = 1e-3
_WRONG_SHARE = 0.25


def check_derivative(function: Elementwise, derivative: Elementwise, scale: float = 1.0) -> None:
    """Compare a derivative with difference quotients of its function at 256 points.

    A quotient counts as the slope where half its step gives nearly the same. So kinks and jumps,
    known or not, oscillations that the step does not resolve, rounding in single precision and
    values that are not finite leave points undecided; no such function is refused. The derivative
    is wrong if it differs from the slope by more than a thousandth at a quarter of all points:
    errors on a smaller part of (-6, 6) go unnoticed.

    Args:
        function: phi, elementwise; a constant may be given as a number.
        derivative: phi', likewise.
        scale: by which the points, between -6 and 6, and the steps are multiplied.

    Raises:
        ValueError: if either cannot take an array or gives one of another shape; if the derivative
            is wrong, naming the point where it is most so.
    """
    x = scale * _POINTS
    step = scale * _STEP
    with np.errstate(all="ignore"):
        quotient = _quotient(function, x, step)
        slope = _quotient(function, x, 0.5 * step)
        given = _values("derivative", derivative, x)
        decided = _close(quotient, slope, _SETTLED) & np.isfinite(given)
        wrong = decided & ~_close(given, slope, _TOLERANCE)
    if np.count_nonzero(wrong) >= _WRONG_SHARE * x.size:
        worst = np.argmax(np.where(wrong, np.abs(given - slope), -1.0))
        raise ValueError(
            f"derivative must be that of function, got {given[worst]:.6g} at x = {x[worst]:.6g}, "
            f"where function has the slope {slope[worst]:.6g}"
        )


def _quotient(function: Elementwise, x: Array, step: float) -> Array:
    high, low = (_values("function", function, point) for point in (x + step, x - step))
    return (high - low) / (2.0 * step)


def _values(name: str, function: Elementwise, x: Array) -> Array:
    try:
        values = np.asarray(function(x), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must take an array elementwise, got {shown(function)}, which raises "
            f"{type(error).__name__}: {error}"
        ) from error
    if values.shape not in ((), x.shape):
        raise ValueError(
            f"{name} must give an array of its argument's shape, got {shown(function)}, which "
            f"gives {values.shape} for {x.shape}"
        )
    return np.broadcast_to(values, x.shape)


def _close(a: Array, b: Array, tolerance: float) -> NDArray[np.bool_]:
    """Whether slopes agree, relative to their size or to a thousandth of the largest."""
    size = np.maximum(np.abs(a), np.abs(b))
    largest = np.max(size, initial=0.0, where=np.isfinite(size))
    return np.asarray(np.abs(a - b) <= tolerance * np.maximum(size, 1e-3 * largest))
