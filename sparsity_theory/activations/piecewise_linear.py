"""Continuous piecewise-linear activations and their Gaussian expectations in closed form.

ReLU_tau, ST_tau, CReLU_{tau,m} and CST_{tau,m} (Eqs. 7-10) are piecewise linear, so one closed form
gives Eqs. 37-55: an expectation is a sum over pieces of moments of Gaussian intervals. With
u = sqrt(q) z, z ~ N(0, 1),

    V(q)   = sigma_w^2 E phi(u)^2 + sigma_b^2                        Eqs. 3, 32
    V'(q)  = sigma_w^2 E z phi(u) phi'(u) / sqrt(q)                  Eqs. 38, 50
    V''(q) = sigma_w^2 E He_3(z) phi(u) phi'(u) / (2 q^(3/2))        Eq. 40
    chi(q) = sigma_w^2 E phi'(u)^2                                   Eqs. 11, 19

where V' and V'' follow from V by one integration by parts each. The line is cut at zero into two
half lines, and the left one reflected, so that every interval lies in [0, inf), where `gaussian` is
exact however far out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from .. import _validation as check
from .._types import Array, FloatLike, Number, Parameter, plain, scalar_or_array
from .._values import Value
from ..numerics import bivariate
from ..numerics.division import ratio_or_zero
from ..numerics.double_double import two_sum
from ..numerics.elementary import choose, is_zero, largest, once, positive_part, scaled, select
from ..numerics.gaussian import FAR, Interval, Ray, Scale, Segment, Tail

_ZERO = np.zeros(())
_CHUNK = 16384  # variances at once, so that temporary arrays stay in the cache


Domain: TypeAlias = Interval | Tail
"""Where a piece lies on the half line z >= 0."""


@dataclass(frozen=True)
class Kinks:
    """Where the slope changes: ascending kinks ``high + low``, the gaps between them, phi there.

    Every entry is an array of the batch's shape. The low parts and the gaps keep what a sum such
    as tau + m loses in rounding.
    """

    high: tuple[Array, ...]
    low: tuple[Array, ...]
    gaps: tuple[Array, ...]
    values: tuple[Array, ...]

    def reflected(self) -> Kinks:
        """The kinks of x -> phi(-x)."""
        return Kinks(
            tuple(-x for x in reversed(self.high)),
            tuple(-x for x in reversed(self.low)),
            self.gaps[::-1],
            self.values[::-1],
        )


class Piece:
    """phi on an interval of z >= 0 or a half line: its value at the left end, and its slope.

    On the reflected half line these are those of phi(-x), and ``derivative`` is phi' = -slope. The
    integrals are over the piece's domain ``on`` in units of sqrt(q), with u = sqrt(q) z.
    """

    def __init__(self, value: Number, slope: float, direction: int) -> None:
        self.value, self.slope, self.derivative = value, slope, direction * slope
        self.starts_at_zero = is_zero(value)
        self.vanishes = slope == 0.0 and self.starts_at_zero

    def probability_of_zero(self, on: Domain, scale: Scale) -> Number:
        """The probability of z where phi = 0; a single zero inside the piece has none."""
        if self.slope != 0.0:
            return 0.0
        return choose(self.value == 0.0, lambda: on.moment0, lambda: 0.0)

    def derivative_power(self, power: int, on: Domain) -> Number:
        """The integral of phi'(u)^power."""
        return 0.0 if self.slope == 0.0 else scaled(self.derivative**power, on.moment0)

    def mean(self, on: Domain, scale: Scale) -> Number:
        """The integral of phi(u)."""
        level = 0.0 if self.starts_at_zero else self.value * on.moment0
        return level if self.slope == 0.0 else level + self.slope * scale.root * on.moment1

    def mean_square(self, on: Domain, scale: Scale) -> Number:
        """The integral of phi(u)^2."""
        value, rise = self.value, scaled(self.slope, scale.root)
        total: Number = 0.0
        if self.slope != 0.0:
            total = rise * (rise * on.moment2)
        if not self.starts_at_zero:
            total = total + value * (value * on.moment0)
        if self.slope != 0.0 and not self.starts_at_zero:
            total = total + 2.0 * rise * (value * on.moment1)
        return total

    def mean_fourth_power(self, on: Domain, scale: Scale) -> Number:
        """The integral of phi(u)^4."""
        value, rise = self.value, self.slope * scale.root
        value2, rise2 = value * value, rise * rise
        total: Number = 0.0
        if self.slope != 0.0:
            total = rise2 * rise2 * on.moment4
        if not self.starts_at_zero:
            total = total + value2 * value2 * on.moment0
        if self.slope != 0.0 and not self.starts_at_zero:
            mixed = 4.0 * value2 * on.moment1 + 6.0 * value * rise * on.moment2
            total = total + value * rise * (mixed + 4.0 * rise2 * on.moment3)
        return total

    def weighted_slope(self, on: Domain, scale: Scale) -> Number:
        """The integral of z phi(u) phi'(u) / sqrt(q)."""
        return self._rising(lambda: on.slope0 / scale.root, lambda: on.slope1)

    def hermite_slope(self, on: Domain, scale: Scale) -> Number:
        """The integral of He_3(z) phi(u) phi'(u) / sqrt(q)."""
        return self._rising(lambda: on.hermite0 / scale.root, lambda: on.hermite1)

    def _rising(self, level: Callable[[], Number], rise: Callable[[], Number]) -> Number:
        """slope (value level + slope rise)."""
        if self.slope == 0.0:
            return 0.0
        total = scaled(self.slope, rise())
        if not self.starts_at_zero:
            total = self.value * level() + total
        return scaled(self.slope, total)


Integral: TypeAlias = Callable[[Piece, Domain, Scale], Number]
"""An integral over a piece, from its domain and the variances."""


class HalfLine:
    """phi on the half line x >= 0, or x <= 0 after reflection, cut at the kinks.

    ``rays[0]`` begins at the origin and ``rays[i]`` at the i-th kink, moved to the origin where it
    is negative; ``segments[i]`` lies between two of them. Piece i begins at ``rays[i]``; the last
    one is unbounded. ``direction`` is -1 after reflection.
    """

    def __init__(self, kinks: Kinks, slopes: tuple[float, ...], direction: int = 1) -> None:
        high, low, between, levels = (
            [plain(np.asarray(x)) for x in row]
            for row in (kinks.high, kinks.low, kinks.gaps, kinks.values)
        )
        rays = [Ray(0.0, 0.0, cut=True)]
        gaps = [positive_part(high[0])]
        values = [levels[0] - slopes[0] * high[0]]
        for i, kink in enumerate(high):
            negative = kink < 0.0
            rays.append(Ray(positive_part(kink), select(negative, 0.0, low[i]), cut=negative))
            values.append(levels[i] + slopes[i + 1] * positive_part(-kink))
            if i < len(between):
                gaps.append(select(negative, positive_part(high[i + 1]), between[i]))
        self.slopes, self.rays = slopes, tuple(rays)
        self.segments = tuple(map(Segment, rays[:-1], rays[1:], gaps))
        self.pieces = tuple(
            Piece(value, slope, direction) for value, slope in zip(values, slopes, strict=True)
        )
        self.present = tuple(i for i, gap in enumerate([*gaps, np.inf]) if largest(gap) > 0.0)
        """Which pieces are not empty, from the origin outwards."""

        self.nonzero = tuple(i for i in self.present if not self.pieces[i].vanishes)
        """Those of them where phi is not 0 for the whole batch."""

    @classmethod
    def left(cls, kinks: Kinks, slopes: tuple[float, ...]) -> HalfLine:
        """The half line x <= 0, reflected."""
        return cls(kinks.reflected(), tuple(-slope for slope in reversed(slopes)), direction=-1)

    def parts(self, scale: Scale, chosen: tuple[int, ...]) -> Iterator[tuple[Piece, Domain]]:
        """The chosen pieces, and where they lie."""
        tails: dict[int, Tail] = {}
        for i in chosen:
            start = tails.get(i) or Tail(self.rays[i], scale)
            if i < len(self.segments):
                tails[i + 1] = Tail(self.rays[i + 1], scale)
                yield self.pieces[i], Interval(self.segments[i], start, tails[i + 1])
            else:
                yield self.pieces[i], start

    def edge_deficit(self, scale: Scale) -> Number:
        """E psi'^2 - E psi^2 over this half line, for psi = phi - phi(0), standardized to q = 1.

        In the slope jumps d_j at the kinks k_j this is the quadratic form
        sum_ij d_i d_j min(k_i, k_j) T_1(max(k_i, k_j)). As k / T_1(k) increases, it is also a sum
        of squares with positive weights, in which nothing cancels. The slope at the origin drops
        out: for a linear function every variance is a fixed point.
        """
        *inner, last = (on for _, on in self.parts(scale, tuple(range(len(self.pieces)))))
        intervals = cast(list[Interval], inner)
        # Of all pieces but the first: the mean of the ramp with slope 1 on the piece, 0 elsewhere.
        ramps = [on.moment1 + on.width * on.right.moment0 for on in intervals[1:]] + [last.moment1]
        deficit: Number = 0.0
        for i, on in enumerate(intervals):
            weight = on.width
            if i > 0:
                weight = weight + on.left.a * ratio_or_zero(ramps[i - 1], on.left.moment1)
            excess: Number = 0.0
            for slope, ramp in zip(self.slopes[i + 1 :], ramps[i:], strict=True):
                if slope != self.slopes[i]:
                    excess = excess + (slope - self.slopes[i]) * ramp
            deficit = deficit + weight * excess * ratio_or_zero(excess, on.right.moment1)
        return deficit


Parts: TypeAlias = tuple[tuple[int, HalfLine, tuple[int, ...]], ...]
"""The multiplicity of half lines, and which of their pieces are meant."""


@dataclass(frozen=True)
class Anchored:
    """phi in regions of the line, each a straight line through the nearest end of its piece.

    ``bounds`` are the ends of the regions, ascending, shape (n - 1, *batch); region i has the
    anchor ``high[i] + low[i]``, the value there and the slope, each of shape (n, *batch).
    """

    bounds: Array
    high: Array
    low: Array | None
    values: Array
    slopes: Array

    @classmethod
    def at(cls, high: Array, low: Array, values: Array, slopes: Array) -> Anchored:
        """The regions of pieces that end at ``high + low``, ascending: two for each end."""
        bounds = np.empty((2 * len(high) - 1, *high.shape[1:]))  # ends, and middles between them
        bounds[::2] = np.where(low > 0.0, np.nextafter(high, np.inf), high)
        bounds[1::2] = 0.5 * high[1:] + 0.5 * high[:-1]
        high, low, values = (np.repeat(each, 2, axis=0) for each in (high, low, values))
        slopes = np.concatenate([slopes[:1], np.repeat(slopes[1:-1], 2, axis=0), slopes[-1:]])
        return cls(bounds, high, low if np.any(low) else None, values, slopes)

    def __call__(self, x: Array) -> Array:
        """phi(x), elementwise."""
        region = np.zeros(np.broadcast_shapes(x.shape, self.high.shape[1:]), dtype=np.intp)
        for bound in self.bounds:
            region += x >= bound
        phi = np.asarray(x - _entries(self.high, region))
        if self.low is not None:
            phi -= _entries(self.low, region)
        value = _entries(self.values, region)
        with np.errstate(invalid="ignore"):  # 0 * inf, which is replaced
            phi *= _entries(self.slopes, region)
        phi += value
        lost = np.isnan(phi)
        return np.where(lost & ~np.isnan(x), value, phi) if np.any(lost) else phi


def _stack(arrays: list[Array]) -> Array:
    return np.stack(np.broadcast_arrays(*arrays))


class PiecewiseLinear(Value):
    """A continuous piecewise-linear activation, with its Gaussian expectations in closed form.

    Args:
        knots: the kinks, where the slope changes: shape (n,), n >= 1, strictly ascending, finite.
        slopes: the slope left of the first kink, between kinks, right of the last: shape (n + 1,).
        offset: the value at ``knots[0]``.

    Raises:
        ValueError: for knots that are not finite and ascending, slopes or an offset that are not
            finite, or a number of slopes that is not one more than the number of knots.
    """

    odd = False
    """Whether phi(-x) = -phi(x), so that one half line gives the other."""

    _kinks: Kinks
    _slopes: tuple[float, ...]

    def __init__(self, knots: FloatLike, slopes: FloatLike, offset: FloatLike = 0.0) -> None:
        points = check.finite("knots", knots)
        rises = check.finite("slopes", slopes)
        start = check.finite("offset", offset)
        if points.ndim != 1 or points.size == 0 or np.any(np.diff(points) <= 0):
            raise ValueError(
                f"knots must be one-dimensional and ascending, got {check.shown(knots)}"
            )
        if rises.shape != (points.size + 1,):
            raise ValueError(
                f"slopes must have one entry more than knots ({points.size + 1}), "
                f"got {check.shown(slopes)}"
            )
        if start.ndim != 0:
            raise ValueError(f"offset must be a single number, got {check.shown(offset)}")
        gaps = np.diff(points)
        values = start + np.concatenate([[0.0], np.cumsum(rises[1:-1] * gaps)])
        self._set(
            Kinks(tuple(points), (_ZERO,) * points.size, tuple(gaps), tuple(values)),
            tuple(rises.tolist()),
        )

    @classmethod
    def _of(cls, kinks: Kinks, slopes: tuple[float, ...]) -> PiecewiseLinear:
        self = cls.__new__(cls)
        self._set(kinks, slopes)
        return self

    def _set(self, kinks: Kinks, slopes: tuple[float, ...]) -> None:
        self._keep(_kinks=kinks, _slopes=slopes)

    def _parameters(self) -> dict[str, Any]:
        return {"knots": self.kinks, "slopes": self.slopes, "offset": self.offset}

    @property
    def kinks(self) -> Array:
        """Where the slope changes, ascending; shape (n, *batch), rounded to double precision."""
        return _stack(list(self._kinks.high))

    @property
    def knots(self) -> Array:
        """The `kinks`, by the name that splines have for them and the constructor takes."""
        return self.kinks

    @property
    def slopes(self) -> Array:
        """The slopes between the kinks, shape (n + 1,)."""
        return np.array(self._slopes)

    @property
    def offset(self) -> Parameter:
        """The value at the first kink."""
        return plain(self._kinks.values[0])

    def __call__(self, x: FloatLike) -> Array:
        """phi(x), elementwise; infinities and NaN are allowed.

        It is evaluated on the piece where x lies, from the nearest of its ends and the origin: what
        other pieces round does not matter, values at kinks are exact, and so is phi(x) = x.
        """
        return scalar_or_array(self._anchored(check.real("x", x)))

    @cached_property
    def _anchored(self) -> Anchored:
        """phi by its pieces, anchored at the kinks and the origin."""
        kinks, batch = self._kinks, self._kinks.high[0].shape
        high, low, values = (_stack(list(x)) for x in (kinks.high, kinks.low, kinks.values))
        slopes = np.broadcast_to(
            self.slopes.reshape(-1, *[1] * len(batch)), (len(high) + 1, *batch)
        )
        origin = np.zeros((1, *batch))
        at_origin = Anchored.at(high, low, values, slopes)(origin[0])[None]
        points = np.concatenate([high, origin])
        order = np.argsort(points, axis=0, kind="stable")
        kinks_before = np.cumsum(order < len(high), axis=0, dtype=np.intp)
        after = np.take_along_axis(slopes, kinks_before, axis=0)
        lows, levels = np.concatenate([low, origin]), np.concatenate([values, at_origin])
        return Anchored.at(
            np.take_along_axis(points, order, axis=0),
            np.take_along_axis(lows, order, axis=0),
            np.take_along_axis(levels, order, axis=0),
            np.concatenate([slopes[:1], after]),
        )

    def derivative(self, x: FloatLike) -> Array:
        """phi'(x), elementwise; at a kink, the smaller in magnitude of the two slopes."""
        x = check.real("x", x)
        left = right = np.full(x.shape, self._slopes[0])
        for high, slope in zip(self._kinks.high, self._slopes[1:], strict=True):
            left = np.where(x > high, slope, left)
            right = np.where(x >= high, slope, right)
        smaller = np.where(np.abs(left) < np.abs(right), left, right)
        return scalar_or_array(np.where(np.isnan(x), x, smaller))

    def scales(self) -> tuple[float, float]:
        """The sizes of the smallest and the largest kink except zero in the batch; 1 for none."""
        sizes = np.abs(self.kinks)
        sizes = sizes[sizes > 0.0] if np.any(sizes) else np.ones(1)
        return float(sizes.min()), float(sizes.max())

    def dead_zone(self) -> tuple[Array, Array]:
        """The ends of the first interval on which phi = 0, where units are inactive.

        They may be infinite; both are 0 where phi vanishes on no interval.
        """
        kinks, values = self._kinks.high, self._kinks.values
        ends = [np.full((), -np.inf), *kinks, np.full((), np.inf)]
        for i, slope in enumerate(self._slopes):
            if slope == 0.0 and not np.any(values[max(i - 1, 0)]):
                return ends[i], ends[i + 1]
        return np.zeros(()), np.zeros(())

    def take(self, index: NDArray[np.intp], shape: tuple[int, ...]) -> PiecewiseLinear:
        """The activations at these indices of the batch of parameters, of that shape, flattened.

        An activation with scalar parameters is returned as it is.
        """
        if all(kink.ndim == 0 for kink in self._kinks.high):
            return self

        def chosen(arrays: tuple[Array, ...]) -> tuple[Array, ...]:
            return tuple(np.broadcast_to(x, shape).ravel()[index] for x in arrays)

        kinks = self._kinks
        return PiecewiseLinear._of(
            Kinks(*map(chosen, (kinks.high, kinks.low, kinks.gaps, kinks.values))), self._slopes
        )

    def sparsity(self, q: FloatLike = 1.0) -> Array:
        """The expected share of zeros, P(phi(Z) = 0) for Z ~ N(0, q) (Eqs. 12, 56)."""
        parts = tuple((times, half, half.present) for times, half in self._half_lines)
        return self._sum(check.positive("q", q), Piece.probability_of_zero, parts)

    def mean(self, q: Array) -> Array:
        """E phi(sqrt(q) z)."""
        if self.odd:
            return np.zeros(np.shape(q))
        return self._expectation(q, Piece.mean)

    def mean_square(self, q: Array) -> Array:
        """E phi(sqrt(q) z)^2 (Eqs. 37, 41, 44, 53)."""
        return self._expectation(q, Piece.mean_square)

    def mean_fourth_power(self, q: Array) -> Array:
        """E phi(sqrt(q) z)^4; relative accuracy falls as (kink / sqrt(q))^4 in the tails."""
        return self._expectation(q, Piece.mean_fourth_power)

    def mean_square_slope(self, q: Array) -> Array:
        """d/dq of E phi(sqrt(q) z)^2 (Eqs. 38, 43, 50)."""
        return self._expectation(q, Piece.weighted_slope)

    def mean_square_curvature(self, q: Array) -> Array:
        """The second derivative in q of E phi(sqrt(q) z)^2 (Eqs. 40, 43)."""
        return self._expectation(
            q,
            lambda piece, on, scale: 0.5 * piece.hermite_slope(on, scale) / scale.q,
        )

    def mean_derivative_power(self, q: Array, power: int) -> Array:
        """E phi'(sqrt(q) z)^power; the power 2 is in Eqs. 39, 42, 51, 54, the others in Eq. 27."""
        return self._expectation(q, lambda piece, on, _: piece.derivative_power(power, on))

    def squared_slopes(self, q: Array) -> tuple[Array, Array]:
        """The law of phi'(sqrt(q) z)^2 for a single q: its values, ascending, and their masses."""
        masses: dict[float, float] = {}
        scale = Scale(float(q))
        for times, half in self._half_lines:
            for piece, on in half.parts(scale, half.present):
                square = piece.derivative**2
                masses[square] = masses.get(square, 0.0) + times * float(on.moment0)
        values = sorted(masses)
        return np.array(values), np.array([masses[value] for value in values])

    def edge_deficit(self, q: Array) -> Array:
        """q E phi'^2 - E phi^2, which is sigma_b^2 / sigma_w^2 on the edge of chaos."""
        scale = Scale(plain(np.asarray(q)))
        deficit: Number = q * sum(times * half.edge_deficit(scale) for times, half in self._support)
        at_zero = self._value_at_zero
        if not is_zero(at_zero):
            deficit = deficit + at_zero * (at_zero - 2.0 * self.mean(q))
        return np.asarray(deficit)[()]

    def mean_product(self, rho: Array, q: Array) -> Array:
        """E phi(u1) phi(u2) for normal u1, u2 of variance q and correlation rho (Eq. 6)."""
        return q * bivariate.correlation(self._line(q), rho)

    def mean_product_between(self, rho: Array, q1: Array, q2: Array) -> Array:
        """E phi(u1) phi(u2) for u1 of variance q1 and u2 of variance q2 (Eq. 4).

        To about 1e-12 of E phi^2; pieces of w < 0.05 standard deviations lose more, 1e-16 / w^2,
        since what the kinks at their ends have in common cancels.
        """
        rho, q1, q2 = np.broadcast_arrays(rho, q1, q2)
        root = np.sqrt(q1) * np.sqrt(q2)
        from_kinks = bivariate.kink_integral(
            [kink / np.sqrt(q1) for kink in self._kinks.high],
            [kink / np.sqrt(q2) for kink in self._kinks.high],
            np.diff(self.slopes).tolist(),
            rho,
        )
        return self.mean(q1) * self.mean(q2) + root * (
            rho * self.mean_derivative_power(q1, 1) * self.mean_derivative_power(q2, 1) + from_kinks
        )

    def mean_product_of_derivatives(self, rho: Array, q: Array) -> Array:
        """E phi'(u1) phi'(u2)."""
        return bivariate.slope_correlation(self._line(q), rho)

    def mean_product_gap(self, gap: Array, q: Array) -> Array:
        """E phi^2 - E phi(u1) phi(u2) at correlation 1 - gap."""
        return q * bivariate.correlation_gap(self._line(q), gap)

    def _line(self, q: Array) -> bivariate.Line:
        """The line that `bivariate` integrates, with kinks moved to at most `FAR` deviations."""
        far = FAR * np.sqrt(q)
        high = [np.clip(kink, -far, far) for kink in self._kinks.high]
        low = [
            np.where(np.abs(kink) < far, rest, 0.0)
            for kink, rest in zip(self._kinks.high, self._kinks.low, strict=True)
        ]
        gaps = [np.minimum(gap, far) for gap in self._kinks.gaps]
        # From phi(0), which far kinks do not move, back to the first kink.
        offset = self(0.0) + self._slopes[0] * np.maximum(high[0], 0.0)
        widths = (*gaps, np.full((), np.inf))
        for kink, width, slope in zip(high, widths, self._slopes[1:], strict=True):
            offset = offset - slope * np.minimum(np.maximum(-kink, 0.0), width)
        return bivariate.standardize(
            (_stack(high), _stack(low)),
            _stack(gaps) if gaps else np.zeros(0),
            self.slopes,
            offset,
            q,
        )

    @once
    def _right(self) -> HalfLine:
        return HalfLine(self._kinks, self._slopes)

    @once
    def _left(self) -> HalfLine:
        return HalfLine.left(self._kinks, self._slopes)

    @property
    def _half_lines(self) -> tuple[tuple[int, HalfLine], ...]:
        """The half lines that differ, and the multiplicity of each."""
        return ((2, self._right),) if self.odd else ((1, self._right), (1, self._left))

    @once
    def _support(self) -> tuple[tuple[int, HalfLine], ...]:
        """The same, less one on which phi is known to be 0."""
        kinks = self._kinks
        if self._slopes[0] == 0.0 and is_zero(kinks.values[0]) and not np.any(kinks.high[0] < 0.0):
            return ((1, self._right),)
        return self._half_lines

    @once
    def _value_at_zero(self) -> Parameter:
        return plain(np.asarray(self(0.0)))

    def _expectation(self, q: Array, integral: Integral) -> Array:
        """The sum of an integral over all pieces where phi is not 0, in blocks of variances."""
        parts = tuple((times, half, half.nonzero) for times, half in self._support)
        return self._sum(q, integral, parts)

    def _sum(self, q: Array, integral: Integral, parts: Parts) -> Array:
        q, batch = np.asarray(q), self._kinks.high[0].shape
        if q.ndim == 0 and not batch:
            return cast(Array, np.float64(_sum_at(float(q), integral, parts)))
        result = np.empty(np.broadcast_shapes(q.shape, batch))
        if q.size <= _CHUNK or batch:
            result[...] = _sum_at(plain(q), integral, parts)
            return result
        variances, results = q.ravel(), result.reshape(-1)
        for first in range(0, q.size, _CHUNK):
            block = slice(first, first + _CHUNK)
            results[block] = _sum_at(variances[block], integral, parts)
        return result


def _sum_at(q: Number, integral: Integral, parts: Parts) -> Number:
    scale = Scale(q)
    total: Number = 0.0
    for times, half, chosen in parts:
        for piece, on in half.parts(scale, chosen):
            part = integral(piece, on, scale)
            total = part if type(total) is float and total == 0.0 else total + part
        if times != 1:  # then there is no other half line
            total = times * total
    return total


def ramp_kinks(tau: Array, m: Array) -> Kinks:
    """Kinks of the ramp that is 0 up to tau and m from tau + m on."""
    zero = np.zeros_like(tau)
    end, rounding = two_sum(tau, m)
    return Kinks((tau, end), (zero, rounding), (m,), (zero, m))


def clipped_ramp(tau: Array, m: Array) -> PiecewiseLinear:
    """The function that is 0 up to tau, rises with slope 1, and is m from tau + m on."""
    return PiecewiseLinear._of(ramp_kinks(tau, m), (0.0, 1.0, 0.0))


def _entries(table: Array, index: NDArray[np.intp]) -> Array:
    """table[index[i], i] for every place i of the batch, which the table broadcasts to."""
    if table.ndim == 1:
        return np.asarray(table.take(index, mode="clip"))
    axes = [1] * (index.ndim + 1 - table.ndim)
    whole = table.reshape(len(table), *axes, *table.shape[1:])
    whole = np.broadcast_to(whole, (len(table), *index.shape))
    return np.asarray(np.take_along_axis(whole, index[None], axis=0)[0])
