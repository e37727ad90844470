"""Integrals from very many points to the next edge of a grid, by interpolation in its cells.

Between two edges of the grid the integral from x to the nearer one, over its behaviour as the two
meet, is a smooth function of x. It is interpolated at Chebyshev points where its series has ended
there, so that the result is as good as the quadrature; other cells integrate point by point.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..._types import Array
from .line import Index

Sums = Array
"""Integrals of the weighted K and of its absolute value: (2, points)."""

Factor = Callable[[Array, Array], Array]
"""How an integral from one point to another behaves as they meet, elementwise."""

_NODES = 16
_ENDED = 5e-16  # last coefficients of a series that has ended, over the least value in the cell
_LEAST = 1e-60  # cells nearer to zero than this would underflow
_BLOCK = 16384  # points at once, so that temporary arrays stay in the cache

_TURNS = np.outer(np.arange(_NODES), 2 * np.arange(_NODES) + 1) % (4 * _NODES)
_COSINES = np.cos(np.pi * _TURNS / (2 * _NODES))
_POINTS, _TO_SERIES = _COSINES[1], _COSINES * (2.0 / _NODES)
_TO_SERIES[0] *= 0.5


def interpolated(
    exact: Callable[[Array, Array], Sums],
    factor: Factor,
    grid: Array,
    cell: Index,
    edge: Array,
) -> Sums:
    """The integrals from every point to the edge of the grid at the near end of its cell.

    Args:
        exact: the integrals from points to others, elementwise.
        factor: over which these are smooth.
        grid: n + 1 edges; cell i, from ``grid[i]`` to ``grid[i + 1]``, integrates to ``grid[i]``.
        cell: that of every point.
        edge: the points.
    """
    used = np.nonzero(np.bincount(cell, minlength=grid.size - 1))[0]
    near, length = grid[used, None], np.diff(grid)[used, None]
    x, stop = near + length * (0.5 + 0.5 * _POINTS), np.broadcast_to(near, (used.size, _NODES))
    sums = exact(x.ravel(), stop.ravel()).reshape(2, *x.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = sums / factor(x, stop)
    series = values @ _TO_SERIES.T
    rest, least = np.abs(series[0, :, -3:]).max(axis=1), values[1].min(axis=1)
    good = np.zeros(grid.size - 1, dtype=np.bool_)
    good[used] = (rest <= _ENDED * least) & (np.abs(x).max(axis=1) > _LEAST)
    table = np.zeros((2, _NODES, grid.size - 1))
    table[:, :, used] = series.transpose(0, 2, 1)
    result = np.empty((2, edge.size))
    single = np.array_equal(sums[0], sums[1])
    for first in range(0, edge.size, _BLOCK):
        block = slice(first, first + _BLOCK)
        at, where = edge[block], cell[block]
        local = (at - grid[where]) / (0.5 * np.diff(grid))[where] - 1.0
        scale = factor(at, grid[where])
        for row in range(1 if single else 2):
            result[row, block] = scale * _series_at(table[row], where, local)
    if single:
        result[1] = result[0]
    others = np.nonzero(~good[cell])[0]
    if others.size:
        result[:, others] = exact(edge[others], grid[cell[others]])
    return result


def _series_at(table: Array, cell: Index, x: Array) -> Array:
    """The Chebyshev series of every point's cell at x in [-1, 1] (Clenshaw)."""
    twice = 2.0 * x
    following, current = np.zeros_like(x), table[-1].take(cell)
    for coefficients in table[-2:0:-1]:
        current, following = coefficients.take(cell) + twice * current - following, current
    return np.asarray(table[0].take(cell) + x * current - following)
