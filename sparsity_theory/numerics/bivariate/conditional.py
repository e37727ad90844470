"""C of a one-sided line at a negative correlation, as an integral of positive terms.

With the nearest kink at a >= 0, rho = -r, sigma^2 = 1 - rho^2 and z = a + sigma s, the density of
(z1, z2) is exp(-a^2 / (1 + rho)) / (2 pi sigma^2) times

    exp(-c s - s^2 / 2) exp(-(c + r s) v - v^2 / 2),    c = a sqrt((1 + r) / (1 - r)),

and the inner integral, over v, is a sum of one-dimensional moments: the conditional expectation
of phi(z2) given z1. It is used where K is of both signs and its integrals over the correlation
cancel; it costs a thousand exponentials a point.
"""

from __future__ import annotations

import numpy as np

from ..._types import Array
from ..double_double import exp_minus_over_one_plus
from ..gaussian import FAR
from .line import Line
from .moments import half_line_moments, half_line_nodes

_BLOCK = 256  # points whose thousand nodes are kept at once


def value_one_sided(line: Line, rho: Array) -> Array:
    """C(rho) of a line with all kinks on one side of zero that is 0 near it, -1 < rho < 0."""
    blocks = np.arange(0, rho.size, _BLOCK)[1:]
    return np.concatenate(
        [_block(line.take(index), rho[index]) for index in np.split(np.arange(rho.size), blocks)]
    )


def _block(line: Line, rho: Array) -> Array:
    sigma = np.sqrt((1 - rho) * (1 + rho))
    c = line.nearest * np.sqrt((1 - rho) / (1 + rho))
    # From the nearest kink outwards, in units of sigma; on the left the signs of both phi cancel.
    left = line.kinks[-1] <= 0
    none, end = np.zeros((1, rho.size)), np.full((1, rho.size), 2 * FAR)
    widths = np.where(left, line.widths[::-1], line.widths) / sigma
    slopes = np.where(left, line.slopes[-2::-1], line.slopes[1:])
    starts = np.concatenate([none, widths.cumsum(axis=0)])
    values = np.concatenate([none, (slopes[:-1] * widths).cumsum(axis=0)])
    starts, widths = np.minimum(starts, 2 * FAR), np.minimum(np.append(widths, end, 0), 2 * FAR)

    total = np.zeros(rho.size)
    for start, width, slope, value in zip(starts, widths, slopes, values, strict=True):
        t, weights = half_line_nodes(c + start, width)
        s = start + t
        outer = (value + slope * t) * np.exp(-s * (c + s / 2)) * weights
        total += (outer * _conditional_mean(c - rho * s, starts, widths, slopes)).sum(axis=0)
    decay = exp_minus_over_one_plus(line.square, line.square_error, rho)
    return np.asarray(decay * sigma**3 / np.sqrt(2 * np.pi) * total)


def _conditional_mean(c: Array, starts: Array, widths: Array, slopes: Array) -> Array:
    """The integral of phi over gamma(c + v) / gamma(c), less a factor sqrt(2 pi); over v > 0."""
    mean = np.zeros_like(c)
    for start, width, slope in zip(starts, widths, slopes, strict=True):
        if np.any(slope != 0):
            mean += slope * half_line_moments(c + start, start, width)[1]
    return mean
