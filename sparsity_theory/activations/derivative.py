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
_COARSE = 1e-3 * np.sqrt(2.0)  # steps whose multiples are no period or grid that a user has chosen
_FINE = _GOLDEN * _COARSE
_SETTLED = 1e-4  # quotients with two steps, so close relative to their size, count as the slope
_TOLERANCE = 1e-3
_ROUNDING = 2.0**-22  # of a function that computes in single precision, with a margin
_WRONG_SHARE = 0.25


def check_derivative(function: Elementwise, derivative: Elementwise, scale: float = 1.0) -> None:
    """Compare a derivative with difference quotients of its function at 256 points.

    A quotient counts as the slope where a smaller step gives nearly the same. So kinks and jumps,
    known or not, oscillations that the step does not resolve and values that are not finite leave
    points undecided; no such function is refused. The derivative is wrong if it differs from the
    slope by more than a thousandth, and than rounding in single precision explains, at a quarter of
    all points: errors on a smaller part of (-6, 6) go unnoticed.

    Args:
        function: phi, elementwise; a constant may be given as a number.
        derivative: phi', likewise.
        scale: by which the points, between -6 and 6, and the steps are multiplied.

    Raises:
        ValueError: if either cannot take an array, or gives nothing or one of another shape; if the
            derivative is wrong, naming the point where it is most so.
    """
    x = scale * _POINTS
    with np.errstate(all="ignore"):
        quotient, _ = _quotient(function, x, scale * _COARSE)
        slope, rounding = _quotient(function, x, scale * _FINE)
        given = _values("derivative", derivative, x)
        decided = _close(quotient, slope, _SETTLED) & np.isfinite(given)
        unlike = ~_close(given, slope, _TOLERANCE) & (np.abs(given - slope) > rounding)
        wrong = decided & unlike
    if np.count_nonzero(wrong) >= _WRONG_SHARE * x.size:
        worst = np.argmax(np.where(wrong, np.abs(given - slope), -1.0))
        raise ValueError(
            f"derivative must be that of function, got {given[worst]:.6g} at x = {x[worst]:.6g}, "
            f"where function has the slope {slope[worst]:.6g}"
        )


def _quotient(function: Elementwise, x: Array, step: float) -> tuple[Array, Array]:
    """The symmetric difference quotient, and a bound of its rounding error."""
    high, low = (_values("function", function, point) for point in (x + step, x - step))
    size = np.maximum(np.abs(high), np.abs(low))
    return (high - low) / (2.0 * step), _ROUNDING * size / step


def _values(name: str, function: Elementwise, x: Array) -> Array:
    try:
        given = function(x.copy())  # it may write into its argument
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must take an array elementwise, got {shown(function)}, which raises "
            f"{type(error).__name__}: {error}"
        ) from error
    if given is None:
        raise ValueError(f"{name} must return numbers, got {shown(function)}, which returns None")
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
