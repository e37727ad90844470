"""A piecewise-linear function of a standard normal variable."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._types import Array
from ..double_double import square_over

Bool = NDArray[np.bool_]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Line:
    """A piecewise-linear function in units of sqrt(q).

    One row for each kink or piece, one column for each entry of the batch (flattened); a batch
    of one broadcasts against every point.
    """

    shape: tuple[int, ...]
    """Shape of the batch."""
    kinks: Array
    """Kinks in ascending order, (n, b)."""
    widths: Array
    """Distances between neighbours, (n - 1, b)."""
    slopes: Array
    """(n + 1, b)."""
    values: Array
    """phi at the kinks, (n, b)."""
    value: Array
    """phi(0), (b,)."""
    square: Array
    """Square of the kink nearest to zero, rounded, (b,) ..."""
    square_error: Array
    """... and its rounding error."""
    nearest: Array
    """Distance from zero to the nearest kink."""
    flat: Bool
    """Whether phi' is 0 near zero."""
    zero_near_origin: Bool
    """Whether phi and phi' are 0 near zero."""
    one_sided: Bool
    """Whether all kinks are on one side of zero."""
    odd: Bool
    """Whether phi is odd up to a constant."""
    even: Bool
    """Whether phi is even."""

    def take(self, index: Index) -> Line:
        """The entries of the batch at ``index``; a batch of one stays as it is."""
        if self.value.size == 1:
            return self
        names = [name for name in self.__dataclass_fields__ if name != "shape"]
        return Line((index.size,), **{name: getattr(self, name)[..., index] for name in names})

    def evaluate(self, z: Array) -> tuple[Array, Array]:
        """Phi and phi' at z, shape (..., b)."""
        value = self.values[0] + self.slopes[0] * (z - self.kinks[0])
        slope = np.broadcast_to(self.slopes[0], z.shape)
        for k, v, s in zip(self.kinks, self.values, self.slopes[1:], strict=True):
            value = np.where(z > k, v + s * (z - k), value)
            slope = np.where(z > k, s, slope)
        return value, slope


def standardize(
    kinks: tuple[ArrayLike, ArrayLike],
    widths: ArrayLike,
    slopes: ArrayLike,
    offset: ArrayLike = 0.0,
    q: ArrayLike = 1.0,
) -> Line:
    """The line phi(sqrt(q) z) / sqrt(q) of a piecewise-linear phi.

    Args:
        kinks: (high, low), each (n, *batch): ascending kinks as unevaluated sums high + low.
        widths: distances between neighbouring kinks, (n - 1, *batch); more accurate than the
            differences of large kinks.
        slopes: (n + 1, *batch).
        offset: value at the first kink, (*batch).
        q: variance > 0, (*batch).
    """
    high, low, widths, slopes, offset, q = (
        np.asarray(v, dtype=np.float64) for v in (kinks[0], kinks[1], widths, slopes, offset, q)
    )
    n = len(high)
    shape = np.broadcast_shapes(
        high.shape[1:], low.shape[1:], widths.shape[1:], slopes.shape[1:], offset.shape, q.shape
    )

    size = math.prod(shape)

    def columns(v: Array, rows: int) -> Array:
        aligned = v.reshape(v.shape[:1] + (1,) * (len(shape) + 1 - v.ndim) + v.shape[1:])
        return np.broadcast_to(aligned, (rows, *shape)).reshape(rows, size)

    high, low = columns(high, n), columns(low, n)
    widths, slopes = columns(widths, n - 1), columns(slopes, n + 1)
    offset, q = (np.broadcast_to(v, shape).reshape(-1) for v in (offset, q))
    root = np.sqrt(q)
    k, w = (high + low) / root, widths / root
    values = np.concatenate([(offset / root)[None], slopes[1:-1] * w]).cumsum(axis=0)

    column = np.arange(size)
    centre = (k < 0).sum(axis=0)  # piece that holds zero
    anchor = np.maximum(centre - 1, 0)
    slope = slopes[centre, column]
    value = values[anchor, column] - slope * k[anchor, column]
    near = np.where(np.diff(slopes, axis=0) != 0, np.abs(k), np.inf).argmin(axis=0)
    square, square_error = square_over(high[near, column], low[near, column], q)
    mirrored = np.all(k == -k[::-1], axis=0) & np.all(w == w[::-1], axis=0)
    return Line(
        shape=shape,
        kinks=k,
        widths=w,
        slopes=slopes,
        values=values,
        value=value,
        square=square,
        square_error=square_error,
        nearest=np.abs(k[near, column]),
        flat=slope == 0,
        zero_near_origin=(slope == 0) & (value == 0),
        one_sided=np.all(k >= 0, axis=0) | np.all(k <= 0, axis=0),
        odd=mirrored & np.all(slopes == slopes[::-1], axis=0),
        even=mirrored & np.all(slopes == -slopes[::-1], axis=0),
    )
