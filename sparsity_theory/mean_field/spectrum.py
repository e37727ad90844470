"""The spectrum of a free product of slopes and weights, from its S-transform.

J = D^L W^L ... D^1 W^1 with diagonal matrices D of independent slopes phi' and Gaussian or
orthogonal weights, all asymptotically free. With y = M(z) = E x / (z - x) over the spectrum of J
J^T, S(y) = (1 + y) / (y M^-1(y)), S-transforms multiply. Those of sigma_w^2 times a Wishart matrix
and of sigma_w^2 are 1 / (sigma_w^2 (1 + y)) and 1 / sigma_w^2. With the law of p = phi'^2,

    y = m(t) = E p / (t - p),     1 + y = n(t) = E t / (t - p),

its own S-transform is n / (t m), and z becomes an explicit function of t in the lower half-plane's
images:

    z = (n / m) (sigma_w^2 t m)^L     Gaussian weights,
    z = (n / m) (sigma_w^2 t m / n)^L     orthogonal weights.

For t in the upper half-plane m, n and t m are in the lower one. So log z is a sum of principal
logarithms, and analytic: the spectrum at x is where it is real, on the one sheet on which its
imaginary part is that of a z in the upper half-plane. There G(x) = n / x, and the density is
-Im m / (pi x).

Everything is solved in log z and log t, in which the whole curve has the scale one, however deep
the network is and however close to zero x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy
from numpy.typing import NDArray

from .._types import Array

Complex = NDArray[np.complex128]

_STEP = 0.5  # of log z along the way down
_FALL = 0.3  # of arg z from one step to the next, on the way to the real axis
_LAST_ANGLE = 1e-7
_REAL = 1e-13  # what counts as on the real axis
_FAR = 12.0  # log of how far above the upper edge the way begins
_NEWTON = 60
_CHUNK = 2_000_000  # values times points at once
_LEAST_LOG = -690.0  # log x below which t may underflow
_SOLVED = 1e-12  # steps of log t below this
_NARROW = 1e-9  # gaps of log x below this are rounding
_GRID = 4000  # points of t between two values, where edges are looked for


@dataclass(frozen=True)
class FreeProduct:
    """The curve z(t), for the law of squared slopes p: positive values, masses, and that of zero.

    ``wishart`` is 1 for Gaussian weights and 0 for orthogonal ones.
    """

    values: Array
    masses: Array
    zero: float
    log_sigma_w2: float
    depth: int
    wishart: int

    def parts(self, t: Array | Complex) -> tuple[Complex, Complex, Complex, Complex]:
        """m, n, t m and the derivative of m, at each t."""
        m, n, slope = (np.empty(t.shape, dtype=np.complex128) for _ in range(3))
        size = max(1, _CHUNK // self.values.size)
        for begin in range(0, t.size, size):
            part = slice(begin, begin + size)
            inverse = 1.0 / (t[part, None] - self.values)
            m[part] = inverse @ (self.masses * self.values)
            n[part] = self.zero + t[part] * (inverse @ self.masses)
            slope[part] = -(inverse * inverse) @ (self.masses * self.values)
        return m, n, t * m, slope

    def log_z(self, t: Complex) -> tuple[Complex, Complex, Complex]:
        """log z, its derivative by log t, and m."""
        m, n, tm, slope = self.parts(t)
        power = 1 if self.wishart else 1 - self.depth
        value = power * _lower_log(n) - _lower_log(m)
        value = value + self.depth * (self.log_sigma_w2 + _lower_log(tm))
        relative = t * slope / m
        rate = power * t * slope / n - relative + self.depth * (1.0 + relative)
        return value, rate, m

    def solve(self, log_z: Complex, log_t: Complex) -> Complex:
        """log t at these log z, by Newton's method from a start nearby."""
        for _ in range(_NEWTON):
            value, rate, _ = self.log_z(np.exp(log_t))
            step = (value - log_z) / rate
            size = np.abs(step)
            step = step * np.minimum(1.0, 1.0 / np.maximum(size, 1e-300))
            following = log_t - step
            # No step leaves the upper half-plane.
            angle = np.where(following.imag > 0.0, following.imag, 0.5 * log_t.imag)
            angle = np.where(angle < np.pi, angle, 0.5 * (np.pi + log_t.imag))
            log_t = following.real + 1j * angle
            if np.all(size <= _SOLVED * np.maximum(1.0, np.abs(log_t))):
                break
        return log_t

    def on_the_axis(self, log_x: Array) -> Complex:
        """m at these points of the spectrum, (n,), from the upper half-plane."""
        top, way = self._top, self._way_down_to(float(np.min(log_x)))
        nearest = np.rint((top - log_x) / _STEP).astype(np.intp)
        log_t, angle = way[nearest], 0.5 * np.pi
        while angle > _LAST_ANGLE:
            log_t = self.solve(_at_angle(log_x, angle), log_t)
            angle *= _FALL
        return self.parts(np.exp(self.solve(_at_angle(log_x, _REAL), log_t)))[0]

    @cached_property
    def _top(self) -> float:
        """Where the way down begins: log z far above the spectrum."""
        return self.upper_edge() + _FAR

    @cached_property
    def _way(self) -> list[Complex]:
        """log t at log z = top - k / 2 + i pi / 2, k = 0, 1, ..., as far as was asked for."""
        # Far out m(z) = m_1 / z and m(t) = mu_1 / t.
        log_mu_1 = np.log(float(self.masses @ self.values))
        log_m_1 = self.depth * (self.log_sigma_w2 + log_mu_1)
        begin = np.array([self._top + 0.5j * np.pi])
        return [self.solve(begin, begin - log_m_1 + log_mu_1)]

    def _way_down_to(self, log_x: float) -> Complex:
        """The way, at least to this log z."""
        steps = int(np.ceil((self._top - log_x) / _STEP))
        for step in range(len(self._way), steps + 1):
            at = np.array([self._top - _STEP * step + 0.5j * np.pi])
            self._way.append(self.solve(at, self._way[-1]))
        return np.concatenate(self._way)

    def floor(self) -> float:
        """A log x below which nothing is left of the spectrum but zeros, or doubles end.

        With orthogonal weights no x is below (sigma_w^2 p)^L of the least p, if p is never 0.
        """
        if self.wishart or self.zero > 0.0:
            return _LEAST_LOG
        return max(_LEAST_LOG, self.depth * (self.log_sigma_w2 + float(np.log(self.values.min()))))

    def upper_edge(self) -> float:
        """The logarithm of the largest point of the spectrum: the lowest z(t), t above all p."""
        largest = float(self.values.max())

        def height(log_gap: float) -> float:
            return float(self._real_log_z(np.array([largest * (1.0 + np.exp(log_gap))]))[0])

        grid = np.linspace(-36.0, 40.0, _GRID)
        heights = self._real_log_z(largest * (1.0 + np.exp(grid)))
        lowest = int(np.argmin(heights))
        around = float(grid[max(lowest - 1, 0)]), float(grid[min(lowest + 1, grid.size - 1)])
        return min(_least(height, around), float(heights[lowest]))

    def gaps(self, below: int) -> list[tuple[float, float]]:
        """Intervals of log x that are free of spectrum, found at t below the first few values.

        On the real axis between two values z(t) is real; where its sheet is that of positive x,
        and x grows with t, x = z(t) lies in a gap. Its ends are turning points of z, or where t
        ends: at 0 or a value, that is at x = 0 or an atom.
        """
        found = []
        for low, high in zip([0.0, *self.values], self.values[:below], strict=False):
            t = low + (high - low) * scipy.special.expit(np.linspace(-36.0, 36.0, _GRID))
            t = np.unique(t[(t > low) & (t < high)])
            heights, sheet = self._real_log_z(t), self._on_sheet(t)
            rising = sheet[:-1] & sheet[1:] & (np.diff(heights) > 0.0)
            found += [
                (
                    self._turning(t, begin, 1.0) if begin else self._end(low),
                    self._turning(t, end, -1.0) if end < t.size - 1 else self._end(high),
                )
                for begin, end in _runs(rising)
            ]
        return [(low, high) for low, high in sorted(found) if high - low > _NARROW]

    def _end(self, value: float) -> float:
        """log z where t ends at a value, or at 0."""
        return self.depth * (self.log_sigma_w2 + np.log(value)) if value else -np.inf

    def _turning(self, t: Array, place: int, sign: float) -> float:
        """The lowest log z (sign 1), or the highest (sign -1), next to a point of the grid."""
        ends = np.log(t[[max(place - 1, 0), min(place + 1, t.size - 1)]])

        def height(log_t: float) -> float:
            return sign * float(self._real_log_z(np.array([np.exp(log_t)]))[0])

        return sign * _least(height, (float(ends[0]), float(ends[1])))

    def _real_log_z(self, t: Array) -> Array:
        """log |z| on the real axis."""
        m, n, tm, _ = self.parts(t)
        power = 1 if self.wishart else 1 - self.depth
        with np.errstate(divide="ignore"):
            logs = [np.log(np.abs(part.real)) for part in (n, m, tm)]
        return np.asarray(power * logs[0] - logs[1] + self.depth * (self.log_sigma_w2 + logs[2]))

    def _on_sheet(self, t: Array) -> NDArray[np.bool_]:
        """Whether the sheet of log z at real t, reached from above, is that of positive x."""
        m, n, tm, _ = self.parts(t)
        power = 1 if self.wishart else 1 - self.depth
        turns = power * (n.real < 0.0) - (m.real < 0.0) * 1 + self.depth * (tm.real < 0.0)
        return np.asarray(turns == 0)


def _lower_log(w: Complex) -> Complex:
    """The logarithm of numbers in the lower half-plane, or on the real axis but for rounding."""
    return np.asarray(np.log(np.abs(w)) - 1j * np.abs(np.angle(w)))


def _at_angle(log_x: Array, angle: float) -> Complex:
    """Log z of numbers of these sizes and this angle."""
    return np.asarray(log_x + 1j * angle, dtype=np.complex128)


def _least(function: Callable[[float], float], between: tuple[float, float]) -> float:
    """The least value of a function with one minimum between two points."""
    found = scipy.optimize.minimize_scalar(
        function, bounds=between, method="bounded", options={"xatol": 1e-11}
    )
    return float(found.fun)


def _runs(chosen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where runs of chosen steps begin and end, as places of the points between steps."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(int)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]
