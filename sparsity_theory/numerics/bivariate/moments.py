"""Anchors of the integrals over the correlation: the values at rho = 0 and at rho = -1.

With gamma the standard normal density and Q its upper tail, E phi' = sum_a s_a int_a gamma, and
E phi = phi(0) + sum_a s_a int_a Q over the pieces on the right of zero, less the same of those on
the left (Eq. 36, summed over pieces; one integration by parts).

Gauss-Legendre rules take the place of the tails of `gaussian`: everything here is scaled by
exp(scale^2 / 2), so that nothing underflows at |k| = 37, and ends are given by their distance
``beyond`` the scale.
"""

from __future__ import annotations

import numpy as np
import scipy

from ..._types import Array
from ..gaussian import FAR
from ..legendre import gauss_legendre
from .line import Line
from .panels import FOLDS
from .pieces import Pieces

_NODES, _, _WEIGHTS = gauss_legendre(32)  # one panel for exp(-t) up to t = FOLDS


def half_line_nodes(start: Array, width: Array) -> tuple[Array, Array]:
    """Distances t from ``start`` and weights, to integrate t^k gamma(start + t) up to ``width``.

    Nodes come first, cut where gamma has fallen by exp(-FOLDS).
    """
    length = np.minimum(width, 2 * FOLDS / (start + np.sqrt(start**2 + 2 * FOLDS)))
    column = (-1,) + (1,) * length.ndim
    return length * _NODES.reshape(column), length * _WEIGHTS.reshape(column)


def half_line_moments(start: Array, beyond: Array, width: Array) -> tuple[Array, Array]:
    """Integrals of gamma and of Q over [start, start + width], start >= 0.

    Both times exp((start - beyond)^2 / 2).
    """
    t, weights = half_line_nodes(start, width)
    density = np.exp(-t * (start + t / 2)) * weights
    size = np.exp(-beyond * (start - beyond / 2)) / np.sqrt(2 * np.pi)
    rest = np.exp(-np.minimum(width * (start + width / 2), 700.0)) * np.sqrt(np.pi / 2)
    end = np.where(width < FAR, width, 0.0)  # Q is 0 at the end of a half line
    farther = end * rest * scipy.special.erfcx((start + end) / np.sqrt(2))
    return size * density.sum(axis=0), size * ((t * density).sum(axis=0) + farther)


def first_moments(line: Line, pieces: Pieces) -> tuple[Array, Array]:
    """E phi and E phi', both times exp(scale^2 / 2)."""
    mass_right, tail_right = _outwards(line, pieces, 1)
    mass_left, tail_left = _outwards(line, pieces, -1)
    return line.value * (pieces.scale == 0) + (tail_right - tail_left), mass_right + mass_left


def _outwards(line: Line, pieces: Pieces, step: int) -> tuple[Array, Array]:
    """sum_a s_a int_a gamma and sum_a s_a int_a Q over one half line, from zero outwards.

    ``step`` is 1 for the right half, -1 for the left one; both sum in the same order, so that
    those of an odd phi are equal to the last bit.
    """
    n = len(line.kinks)
    on_side = pieces.positive if step == 1 else ~pieces.positive
    end = np.full_like(line.value, 2 * FAR)
    mass, tail = np.zeros_like(line.value), np.zeros_like(line.value)
    for a in range(n + 1)[::step]:
        inner, outer = (a - 1, a)[::step]
        begins = on_side[inner] if 0 <= inner < n else np.zeros_like(line.flat)
        reaches = on_side[outer] if 0 <= outer < n else np.ones_like(line.flat)
        present = reaches & (line.slopes[a] != 0)
        if present.any():
            beyond = np.where(begins, pieces.beyond[min(max(inner, 0), n - 1)], 0.0)
            start = np.where(begins, pieces.scale + beyond, 0.0)
            from_zero = pieces.beyond[outer] + pieces.scale if 0 <= outer < n else end
            width = np.where(begins, pieces.widths[a - 1] if 0 < a < n else end, from_zero)
            moments = half_line_moments(start, beyond, np.where(present, width, 0.0))
            mass = mass + line.slopes[a] * moments[0]
            tail = tail + line.slopes[a] * moments[1]
    return mass, tail


def at_minus_one(line: Line, scale: Array) -> tuple[Array, Array]:
    """C(-1) = E[phi(z) phi(-z)] and P(-1) = E[phi'(z) phi'(-z)], both times exp(scale^2 / 2)."""
    cuts = np.sort(np.minimum(np.abs(line.kinks), FAR), axis=0)
    starts = np.concatenate([np.zeros_like(cuts[:1]), cuts])
    ends = np.concatenate([cuts, np.full_like(cuts[:1], 2 * FAR)])
    correlation, slope = np.zeros_like(line.value), np.zeros_like(line.value)
    for start, end in zip(starts, ends, strict=True):
        t, weights = half_line_nodes(start, end - start)
        z = start + t
        density = np.exp((scale - z) * (scale + z) / 2) * weights * np.sqrt(2 / np.pi)
        (f, df), (g, dg) = line.evaluate(z), line.evaluate(-z)
        correlation += (f * g * density).sum(axis=0)
        slope += (df * dg * density).sum(axis=0)
    return correlation, slope
