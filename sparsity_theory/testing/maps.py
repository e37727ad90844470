"""Compare a variance or correlation map with the exact one, and name the worst point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike
from ..mean_field.maps import MeanField, check_net

Map = Callable[[Any], Any]


def assert_variance_map(
    variance_map: Map, net: MeanField, *, rtol: float = 1e-6, q: FloatLike | None = None
) -> None:
    """Check a map q -> V(q) against the exact one, and report its worst point.

    Args:
        variance_map: of an array of variances, or of one variance at a time.
        net: the mean field, with scalar parameters.
        rtol: the largest relative error allowed.
        q: points of comparison, positive; by default 81 variances from far below the kinks to far
            above them, and ``net.q_star`` where it is known.

    Raises:
        AssertionError: if it is off by more; the message names the worst variance.
        ValueError: for q not positive and finite, rtol not positive, a net that is none, or a
            variance_map that cannot be called or gives no numbers.
    """
    check_net(net)
    check.positive("rtol", rtol)
    points = _variances(net) if q is None else np.atleast_1d(check.positive("q", q))
    _require_callable("variance_map", variance_map)
    _compare("V", "q", variance_map, net.variance_map(points), points, rtol)


def assert_correlation_map(
    correlation_map: Map,
    net: MeanField,
    *,
    q: float = 1.0,
    rtol: float = 1e-6,
    rho: FloatLike | None = None,
) -> None:
    """Check a map rho -> R(rho) against the exact one, and report its worst point.

    Args:
        correlation_map: of an array of correlations, or of one at a time.
        net: the mean field, with scalar parameters.
        q: the variance of the two inputs.
        rtol: the largest error allowed, relative to R(1).
        rho: points of comparison, in [-1, 1]; by default 81 correlations, denser towards -1 and 1.

    Raises:
        AssertionError: if it is off by more; the message names the worst correlation.
        ValueError: for rho outside [-1, 1], rtol not positive, a net that is none, or a
            correlation_map that cannot be called or gives no numbers.
    """
    check_net(net)
    check.positive("rtol", rtol)
    default = np.cos(np.linspace(np.pi, 0.0, 81))
    points = default if rho is None else np.atleast_1d(check.correlation("rho", rho))
    scale = float(net.correlation_map(1.0, q))
    _require_callable("correlation_map", correlation_map)
    _compare("R", "rho", correlation_map, net.correlation_map(points, q), points, rtol, scale)


def _variances(net: MeanField) -> Array:
    smallest, largest = net.activation.scales()
    grid = np.geomspace(1e-2 * smallest**2, 1e4 * largest**2, 81)
    return grid if net.q_star is None else np.append(grid, net.q_star)


def _require_callable(name: str, function: object) -> None:
    if not callable(function):
        raise ValueError(f"{name} must be callable, got {check.shown(function)}")


def _values(function: Map, points: Array) -> Array:
    """The values at all points at once if the function takes arrays, else one by one."""
    try:
        together = np.asarray(function(points.copy()), dtype=np.float64)
    except (TypeError, ValueError):
        together = np.zeros(())
    if together.shape == points.shape:
        return together
    return np.array([_value(function, point) for point in points.tolist()])


def _value(function: Map, point: float) -> float:
    found = function(point)
    try:
        return float(found)
    except (TypeError, ValueError):
        raise ValueError(
            f"the map must give a number for {point!r}, got {check.shown(found)}"
        ) from None


def _compare(
    name: str,
    argument: str,
    function: Map,
    expected: Array,
    points: Array,
    rtol: float,
    scale: float | None = None,
) -> None:
    found = _values(function, points)
    error = np.abs(found - expected) / (np.abs(expected) if scale is None else scale)
    error = np.where(np.isnan(error), np.inf, error)
    worst = int(np.argmax(error))
    if error[worst] > rtol:
        raise AssertionError(
            f"{name}({argument} = {points[worst]:.6g}) is {float(found[worst])!r} and should be "
            f"{float(expected[worst])!r}: off by {error[worst]:.2e}, allowed is {rtol:.0e}; "
            f"{int(np.sum(error > rtol))} of {points.size} points are off by more"
        )
