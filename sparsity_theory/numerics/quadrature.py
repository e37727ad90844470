"""Gaussian expectations of functions of one or two inputs, by adaptive quadrature split at kinks.

Panels of 16 Gauss-Legendre nodes are halved until they have converged, vectorized over all points.
For two inputs the plane is rotated by 45 degrees: their sum and difference are independent, and the
kinks of the product are straight lines that cross where the difference is zero.

What halving a panel changes estimates its error. Where the sum of these changes stays above 1e-10
of the integral of the absolute value, there is an error and no result.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .._types import Array
from .legendre import gauss_legendre

Integrand = Callable[[Array, NDArray[np.intp]], Array]
"""Maps z, shape (panels, nodes), and the point of every panel, shape (panels,), to values."""

NODES, NODES_FROM_END, WEIGHTS = gauss_legendre(16)
"""Of the Gauss-Legendre rule on [0, 1] of one panel: x, 1 - x and the weights."""

FARTHEST = 13.0
"""Standard deviations within which integrals are taken."""

_EDGES = np.array([-FARTHEST, -9.0, -6.0, -4.0, -2.5, -1.2, 0.0, 1.2, 2.5, 4.0, 6.0, 9.0, FARTHEST])
# A panel has converged when halving it changes less than this part of its point's integral.
_TOLERANCE = 1e-13
# The total of the changes that are left when panels are halved no more must be below this part.
_PROMISED = 1e-10
_MOST_HALVINGS = 50
# No more unconverged panels than these, per point and besides, are halved.
_MOST_PANELS, _SPARE_PANELS = 100, 20_000
# Integrals below this are rounded to multiples of the smallest numbers.
_UNDERFLOW = 1e-280
# Outer points that contribute less than this part of the largest one need less accuracy.
_MINOR = 1e-3
# Where two kinks meet, the inner integral changes within a few times the spread: panels end there,
# since a much wider panel would not resolve such a layer.
_LAYER = np.array([-12.0, -4.0, 0.0, 4.0, 12.0])


class QuadratureError(ArithmeticError):
    """An integral cannot be told to the accuracy promised."""


def product_expectation(
    integrand: Callable[[Array, Array], Array],
    kinks: tuple[Array, Array],
    common: float,
    spread: float,
    marks: tuple[Array, Array],
) -> float:
    """E integrand(x, y) for independent x ~ N(0, common^2) and y ~ N(0, spread^2).

    The integrand must be smooth except where x + y is one of the first ``kinks``, or x - y one of
    the second. Panels end where they are one of the ``marks``, too.

    Raises:
        QuadratureError, ValueError: as `expectation` does.
    """
    of_sum, of_difference = (np.concatenate(pair) for pair in zip(kinks, marks, strict=True))

    def outer(z: Array, _: NDArray[np.intp]) -> Array:
        x = common * z.ravel()

        def inner(y: Array, row: NDArray[np.intp]) -> Array:
            return integrand(np.broadcast_to(x[row, None], y.shape), spread * y)

        x_column = x[:, None]
        crossings = np.concatenate([of_sum - x_column, x_column - of_difference], axis=1)
        return expectation(inner, _over(crossings, spread), minor=_MINOR).reshape(z.shape)

    meetings = np.unique(0.5 * (kinks[0][:, None] + kinks[1]))
    layers = (meetings[:, None] + spread * _LAYER).ravel()
    breaks = np.concatenate([layers, *marks])[None]
    return float(expectation(outer, _over(breaks, common), tolerance=10.0 * _TOLERANCE)[0])


def _over(x: Array, scale: float) -> Array:
    """x / scale, and zeros if the scale is zero: then no break is needed."""
    return x / scale if scale > 0.0 else np.zeros(x.shape)


def expectation(
    integrand: Integrand, breaks: Array, tolerance: float = _TOLERANCE, minor: float = 0.0
) -> Array:
    """E integrand(z), z ~ N(0, 1), at every point.

    Args:
        integrand: see `Integrand`.
        breaks: where the integrand is not smooth, shape (points, any number).
        tolerance: of a panel, relative to the integral of the absolute value at its point.
        minor: points where that is below this part of the largest one are treated as if it were
            that large.

    Returns:
        Shape (points,).

    Raises:
        QuadratureError: if the estimated error is above 1e-10 of the integral of the absolute
            value: the integrand varies too fast, is too large near a point, or is too rounded.
        ValueError: if the integrand is not finite somewhere within 13 standard deviations.
    """
    points = len(breaks)
    if points == 0:
        return np.zeros(0)
    fixed = np.broadcast_to(_EDGES, (points, _EDGES.size))
    edges = np.sort(np.concatenate([fixed, np.clip(breaks, _EDGES[0], _EDGES[-1])], axis=1))
    point = np.repeat(np.arange(points), edges.shape[1] - 1)
    left, right = edges[:, :-1].ravel(), edges[:, 1:].ravel()
    wide = right > left
    point, left, right = point[wide], left[wide], right[wide]
    coarse, size = _on_panels(integrand, point, left, right)
    sizes = np.bincount(point, size, points)
    sizes = np.maximum(sizes, minor * sizes.max())
    allowed = tolerance * sizes
    total, left_over = np.zeros(points), np.zeros(points)
    for halving in range(_MOST_HALVINGS):
        middle = 0.5 * (left + right)
        lower, _ = _on_panels(integrand, point, left, middle)
        upper, _ = _on_panels(integrand, point, middle, right)
        change = np.abs(lower + upper - coarse)
        converged = change <= allowed[point]
        if halving == _MOST_HALVINGS - 1 or len(point) > _MOST_PANELS * points + _SPARE_PANELS:
            left_over += np.bincount(point[~converged], change[~converged], points)
            converged[:] = True
        total += np.bincount(point[converged], (lower + upper)[converged], points)
        rest = ~converged
        if not np.any(rest):
            break
        coarse = np.concatenate([lower[rest], upper[rest]])
        left, right = (
            np.concatenate([left[rest], middle[rest]]),
            np.concatenate([middle[rest], right[rest]]),
        )
        point = np.concatenate([point[rest], point[rest]])
    error = np.max(left_over / np.maximum(np.maximum(sizes, np.abs(total)), _UNDERFLOW))
    if error > _PROMISED:
        raise QuadratureError(
            "it varies too fast, is too large near a point, or is rounded too much: the estimated "
            f"error is {error:.1e} of the integral of the absolute value, at most {_PROMISED:g} is "
            "allowed"
        )
    return total


def _on_panels(
    integrand: Integrand, point: NDArray[np.intp], left: Array, right: Array
) -> tuple[Array, Array]:
    """The integral over every panel, and that of the absolute value."""
    width = (right - left)[:, None]
    z = left[:, None] * NODES_FROM_END + right[:, None] * NODES
    values = integrand(z, point)
    if not np.all(np.isfinite(values)):
        raise ValueError("the activation or its derivative is not finite where it is integrated")
    values = values * (width * WEIGHTS * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi))
    return values.sum(axis=1), np.abs(values).sum(axis=1)
