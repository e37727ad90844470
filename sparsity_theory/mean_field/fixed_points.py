"""Every fixed point of a variance map, and its stability (Secs. 2 and 3.1, Fig. 4).

Between two neighbouring zeros of V' - 1 the function V(q) - q is monotone and has at most one
root. So the zeros of V' - 1 are found first, by its changes of sign on a fine grid in log q: as a
function of log q, V is a Gaussian smoothing of phi^2 and has no features finer than that.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._types import Array
from ..numerics.roots import bracketed_newton
from .maps import check_net

if TYPE_CHECKING:
    from .maps import MeanField

_POINTS_PER_E_FOLD = 64
# Variances at which a kink is 1e-12 standard deviations away are searched for fixed points too.
_BEYOND, _POINTS_OF_GROWTH = 1e16, 256
# Where V cannot be told at all variances, the grid ends after some of so many parts.
_PARTS = 16
# Where variances and V neither overflow nor lose digits, and kinks well within.
_SMALLEST, _LARGEST = 1e-307, 1e307
_SMALLEST_KINK, _LARGEST_KINK = 3e-152, 3e151
# V - q at a point where V' = 1 counts as zero below this multiple of q: its rounding error.
_TOUCHING = 16 * np.finfo(float).eps


@dataclass(frozen=True)
class FixedPoint:
    """A variance q with V(q) = q.

    Attributes:
        q: the variance.
        slope: V'(q).
        chi: sigma_w^2 E phi'^2 at q: what chi_1 is for a network that settles there.
        stable: whether variances on both sides of q return to it.
    """

    q: float
    slope: float
    chi: float
    stable: bool


@dataclass(frozen=True)
class TurningPoint:
    """A variance where V(q) - q is largest or smallest among its neighbours.

    Attributes:
        q: the variance, where V'(q) = 1.
        excess: V(q) - q. Zero (to rounding) means that V touches the identity there; a small
            negative value above q* is the near-tangency of Fig. 4a.
        curvature: V''(q): negative at a maximum.
    """

    q: float
    excess: float
    curvature: float


@dataclass(frozen=True)
class SteepestPoint:
    """Where the slope V' is largest above q*.

    Attributes:
        q: the variance there.
        slope: V'(q). Below 1 there is one fixed point; the closer to 1, the more slowly variances
            move away from q (Fig. 4a).
        excess: V(q) - q there.
    """

    q: float
    slope: float
    excess: float


class FixedPointContinuumError(ValueError):
    """V(q) = q to rounding over a range of variances, so that fixed points cannot be counted."""


def fixed_points(net: MeanField) -> tuple[FixedPoint, ...]:
    """All fixed points of the variance map, ascending.

    A variance at which V touches the identity without crossing it (q* of the unclipped kinds on
    the edge of chaos) is one fixed point, and not stable. q = 0 is not among them: without bias,
    and with phi(0) = 0, it is a fixed point too, as `MeanField.variance_map` says. Nor are
    variances so large that V, which may tend to q plus a constant, is q to rounding from there on.

    Raises:
        FixedPointContinuumError: if V(q) = q to rounding over a whole range of variances, as for
            ReLU and the identity on the edge of chaos.
        ValueError: if a parameter of the network is an array, or kinks of the activation are not
            between 3e-152 and 3e151 in size. Variances are searched from 1e-307 to 1e307.

    Warns:
        RuntimeWarning: if V cannot be told at large variances, since the activation oscillates:
            fixed points there are not found.
    """
    grid = _below_the_identity(net, _grid(net))
    turning = _turning_points(net, grid)
    touching = [point.q for point in turning if abs(point.excess) <= _TOUCHING * point.q]
    ends = [point.q for point in turning if point.q not in touching]
    crossing = _roots_in_log(_relative_excess(net), np.log([grid[0], *ends, grid[-1]]))
    # Next to a touching point rounding can give a spurious pair of crossings.
    crossing = [q for q in crossing if all(abs(q - p) > 1e-6 * p for p in touching)]
    return tuple(_classified(net, q, q in touching) for q in sorted([*touching, *crossing]))


def turning_points(net: MeanField) -> tuple[TurningPoint, ...]:
    """The local maxima and minima of V(q) - q, ascending in q.

    Raises:
        ValueError: if a parameter of the network is an array.
    """
    return _turning_points(net, _grid(net))


def _turning_points(net: MeanField, grid: Array) -> tuple[TurningPoint, ...]:
    return tuple(
        TurningPoint(q, float(net.variance_map(q)) - q, float(net.variance_curvature(q)))
        for q in _roots_in_log(_slope_excess(net), np.log(grid))
    )


def steepest_point(net: MeanField) -> SteepestPoint:
    """The largest V' above q*: the near-tangency of Fig. 4a as a number.

    Raises:
        ValueError: if a parameter of the network is an array, q_star is not known, or V' only
            decreases above q*.
    """
    grid = _grid(net)
    start = float(net.require_q_star())
    above = np.concatenate([[start], grid[grid > start]])
    extrema = _roots_in_log(_scaled_curvature(net), np.log(above))
    if not extrema:
        raise ValueError(f"V' decreases above q_star = {start!r}: it has no largest value there")
    q = max(extrema, key=lambda point: float(net.variance_slope(point)))
    return SteepestPoint(q, float(net.variance_slope(q)), float(net.variance_map(q)) - q)


def _below_the_identity(net: MeanField, grid: Array) -> Array:
    """The grid without large variances from which on V is the identity to rounding.

    V tends to q plus a constant for ReLU with sigma_w^2 = 2 and biases, for example.

    Raises:
        FixedPointContinuumError: if it is the identity elsewhere, or everywhere.
    """
    fixed = np.abs(net.variance_map(grid) - grid) <= _TOUCHING * grid
    apart = np.flatnonzero(~fixed)
    below = slice(apart[-1] + 1 if apart.size else None)
    # An isolated fixed point is found at one grid point, or at two if it lies between them.
    grid, fixed = grid[below], fixed[below]
    start = np.flatnonzero(fixed[:-2] & fixed[1:-1] & fixed[2:])
    if start.size:
        raise FixedPointContinuumError(
            f"every variance from {grid[start[0]]:.3g} to {grid[start[-1] + 2]:.3g} is a fixed "
            "point: the variance map is the identity there, to rounding"
        )
    return grid


def _classified(net: MeanField, q: float, touching: bool) -> FixedPoint:
    slope = float(net.variance_slope(q))
    return FixedPoint(q, slope, float(net.chi(q)), abs(slope) < 1.0 and not touching)


def _grid(net: MeanField) -> Array:
    """Variances from where V is linear to double precision up to its asymptotic growth."""
    check_net(net)
    if np.ndim(net.variance_map(1.0)) > 0:
        raise ValueError("fixed points need scalar tau, m, sigma_w2 and sigma_b2, got an array")
    smallest, largest = net.activation.scales()
    if not _SMALLEST_KINK <= smallest <= largest <= _LARGEST_KINK:
        raise ValueError(
            f"fixed points need kinks between {_SMALLEST_KINK} and {_LARGEST_KINK} in size, "
            f"got {smallest:.3g} to {largest:.3g}"
        )
    low = max(1e-4 * smallest * smallest, _SMALLEST)
    high = min(1e8 * largest * largest, _LARGEST)
    # Below low, V is V(0) + V'(0) q, and a fixed point there is at least V(0). Where that is 0 but
    # for underflow, V(q) < q below.
    below = 0.5 * float(net.variance_map(low))
    low = max(min(low, below), _SMALLEST) if below > 0.0 else low
    features = np.geomspace(low, high, int(_POINTS_PER_E_FOLD * np.log(high / low)))
    # Beyond, V is A q + B sqrt(q) + C: constant for a bounded phi, else it may cross q once more.
    growth = np.geomspace(high, min(_BEYOND * high, _LARGEST), _POINTS_OF_GROWTH)
    return _where_told(net, np.unique(np.concatenate([features, growth[1:]])))


def _where_told(net: MeanField, grid: Array) -> Array:
    """The grid up to where V'' can be told, with a warning if that is not its end."""
    ends = np.linspace(0, grid.size, _PARTS + 1).astype(int)[1:]

    def cannot_be_told(end: int) -> bool:
        try:
            net.variance_curvature(grid[:end])
        except ValueError:
            return True
        return False

    if not cannot_be_told(grid.size):
        return grid
    parts = bisect_left(ends, True, key=cannot_be_told)
    told = grid[: ends[max(parts - 1, 0)]]
    net.variance_curvature(told)  # the error, if it can be told nowhere
    warnings.warn(
        f"fixed points of {net!r} are looked for up to q = {told[-1]:.3g} only: beyond, its "
        "variance map cannot be told",
        RuntimeWarning,
        stacklevel=4,
    )
    return told


def _relative_excess(net: MeanField) -> Callable[[Array], tuple[Array, Array]]:
    """V(q) / q - 1 and its derivative, in log q."""

    def function(log_q: Array) -> tuple[Array, Array]:
        q = np.exp(log_q)
        ratio = net.variance_map(q) / q
        return ratio - 1.0, net.variance_slope(q) - ratio

    return function


def _slope_excess(net: MeanField) -> Callable[[Array], tuple[Array, Array]]:
    """V'(q) - 1 and its derivative, in log q."""

    def function(log_q: Array) -> tuple[Array, Array]:
        q = np.exp(log_q)
        return net.variance_slope(q) - 1.0, q * net.variance_curvature(q)

    return function


def _scaled_curvature(net: MeanField) -> Callable[[Array], tuple[Array, Array]]:
    """q V''(q) and a difference quotient for its derivative, in log q."""
    step = 1e-6

    def function(log_q: Array) -> tuple[Array, Array]:
        here, ahead = (np.exp(x) * net.variance_curvature(np.exp(x)) for x in (log_q, log_q + step))
        return here, (ahead - here) / step

    return function


def _roots_in_log(function: Callable[[Array], tuple[Array, Array]], log_grid: Array) -> list[float]:
    """One root in q for each change of sign on the grid."""
    values, _ = function(log_grid)
    signs = _signs(values)
    changes = np.flatnonzero(signs[1:] * signs[:-1] < 0.0)
    if changes.size == 0:
        return []
    sign = signs[changes + 1]

    def increasing(x: Array) -> tuple[Array, Array]:
        value, slope = function(x)
        return sign * value, sign * slope

    low, high = log_grid[changes], log_grid[changes + 1]
    return list(map(float, np.exp(bracketed_newton(increasing, low, high, 0.5 * (low + high)))))


def _signs(values: Array) -> Array:
    """The sign of every value; a zero takes the sign before it, so that no change is missed."""
    signs = np.sign(values)
    last_nonzero = np.maximum.accumulate(np.where(signs != 0.0, np.arange(signs.size), 0))
    return np.asarray(signs[last_nonzero])
