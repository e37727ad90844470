"""Every fixed point of a variance map, and its stability (Secs. 2 and 3.1, Fig. 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

if TYPE_CHECKING:
    from .mean_field import MeanField

_GRID = np.geomspace(1e-9, 1e9, 4001)
# A fixed point at which V - q touches zero without crossing is seen as a minimum or maximum of
# V - q that is zero to rounding.
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


def fixed_points(net: MeanField) -> tuple[FixedPoint, ...]:
    """All fixed points of the variance map in [1e-9, 1e9], ascending.

    Between two neighbouring roots of V' - 1 the function V - q is monotone and has at most one
    root; the roots of V' - 1 are found by the changes of sign on a grid of 4001 variances.

    Raises:
        ValueError: if the activation or a variance of the network is an array, or if every
            variance is a fixed point (ReLU and the identity on the edge of chaos).
    """
    if np.ndim(net.variance_map(1.0)) > 0:
        raise ValueError("fixed_points needs scalar tau, m, sigma_w2 and sigma_b2, got an array")

    def excess(q: float) -> float:
        return float(net.variance_map(q)) - q

    def tilt(q: float) -> float:
        return float(net.variance_slope(q)) - 1.0

    if np.all(np.abs(net.variance_map(_GRID) - _GRID) <= _TOUCHING * _GRID):
        raise ValueError("every variance is a fixed point: the variance map is the identity")
    extrema = _roots(tilt, _GRID, net.variance_slope(_GRID) - 1.0)
    touching = [q for q in extrema if abs(excess(q)) <= _TOUCHING * q]
    ends = np.array([_GRID[0], *(q for q in extrema if q not in touching), _GRID[-1]])
    crossing = _roots(excess, ends, np.array([excess(q) for q in ends]))
    crossing = [q for q in crossing if all(abs(q - p) > 1e-6 * p for p in touching)]
    return tuple(
        FixedPoint(
            q,
            float(net.variance_slope(q)),
            float(net.chi(q)),
            q not in touching and abs(float(net.variance_slope(q))) < 1.0,
        )
        for q in sorted([*touching, *crossing])
    )


def _roots(function: Callable[[float], float], grid: np.ndarray, values: np.ndarray) -> list[float]:
    """One root for each change of sign on the grid."""
    before, after = values[:-1], values[1:]
    changes = np.flatnonzero((np.sign(before) * np.sign(after) < 0) | (before == 0.0))
    return [
        float(grid[i])
        if values[i] == 0.0
        else float(
            brentq(function, grid[i], grid[i + 1], xtol=1e-300, rtol=4 * np.finfo(float).eps)
        )
        for i in changes
    ]
