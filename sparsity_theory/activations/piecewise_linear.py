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
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _validation as check
from .._types import Array, FloatLike, Parameter, plain, scalar_or_array
from .._values import Value
from ..numerics import bivariate
from ..numerics.division import ratio_or_zero
from ..numerics.double_double import two_sum
from ..numerics.gaussian import FAR, Interval, Tail

_ZERO = np.zeros(())
_CHUNK = 16384  # variances at once, so that temporary arrays stay in the cache


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


@dataclass(frozen=True)
class Piece:
    """phi on an interval of z >= 0 or a half line: its value at the left end, and its slope.

    On the reflected half line these are those of phi(-x), and ``derivative`` is phi' = -slope.
    """

    domain: Interval | Tail
    value: Array
    slope: float
    derivative: float

    @property
    def vanishes(self) -> bool:
        """Whether phi = 0 throughout, for the whole batch."""
        return self.slope == 0.0 and bool(np.all(self.value == 0.0))

    def probability_of_zero(self) -> Array:
        """The probability of z where phi = 0; a single zero inside the piece has none."""
        if self.slope != 0.0:
            return np.zeros(())
        return np.where(self.value == 0.0, self.domain.moment0, 0.0)

    def derivative_power(self, power: int) -> Array:
        """The integral of phi'(scale z)^power."""
        return self.derivative**power * self.domain.moment0

    def mean(self, scale: Array) -> Array:
        """The integral of phi(scale z)."""
        return self.value * self.domain.moment0 + self.slope * scale * self.domain.moment1

    def mean_square(self, scale: Array) -> Array:
        """The integral of phi(scale z)^2."""
        on, rise = self.domain, self.slope * scale
        total: Array = np.zeros(())
        if self.slope != 0.0:
            total = rise * (rise * on.moment2)
        if np.any(self.value):
            total = total + self.value * (self.value * on.moment0)
        if self.slope != 0.0 and np.any(self.value):
            total = total + 2.0 * rise * (self.value * on.moment1)
        return total

    def mean_fourth_power(self, scale: Array) -> Array:
        """The integral of phi(scale z)^4."""
        on, rise, value = self.domain, self.slope * scale, self.value
        total: Array = np.zeros(())
        if self.slope != 0.0:
            total = rise**4 * on.moment4
        if np.any(value):
            total = total + value**4 * on.moment0
        if self.slope != 0.0 and np.any(value):
            mixed = 4.0 * value**2 * on.moment1 + 6.0 * value * rise * on.moment2
            total = total + value * rise * (mixed + 4.0 * rise**2 * on.moment3)
        return total

    def weighted_slope(self, scale: Array) -> Array:
        """The integral of z phi(scale z) phi'(scale z)."""
        level = self.value * self.domain.slope0 if np.any(self.value) else 0.0
        return np.asarray(self.slope * (level + self.slope * scale * self.domain.slope1))

    def hermite_slope(self, scale: Array) -> Array:
        """The integral of He_3(z) phi(scale z) phi'(scale z)."""
        level = self.value * self.domain.hermite0 if np.any(self.value) else 0.0
        return np.asarray(self.slope * (level + self.slope * scale * self.domain.hermite1))


@dataclass(frozen=True)
class HalfLine:
    """phi on the half line z >= 0, or z <= 0 after reflection, cut at the kinks.

    ``ends[0]`` is the origin and ``ends[i]`` the i-th kink, moved to the origin where it is
    negative; piece i begins at ``ends[i]`` with ``values[i]`` and ``slopes[i]``, and is
    ``widths[i]`` wide; the last piece is unbounded. ``direction`` is -1 after reflection.
    """

    ends: tuple[Tail, ...]
    widths: tuple[Array, ...]
    values: tuple[Array, ...]
    slopes: tuple[float, ...]
    direction: int

    @classmethod
    def right(
        cls, kinks: Kinks, slopes: tuple[float, ...], q: Array, direction: int = 1
    ) -> HalfLine:
        """The half line z >= 0 of a function, standardized by sqrt(q)."""
        root = np.sqrt(q)
        ends = [Tail(_ZERO, _ZERO, q, np.ones((), dtype=np.bool_))]
        widths = [np.clip(kinks.high[0], 0.0, FAR * root) / root]
        values = [kinks.values[0] - slopes[0] * kinks.high[0]]
        following = (*kinks.high[1:], np.full((), np.inf))
        for i, (high, low) in enumerate(zip(kinks.high, kinks.low, strict=True)):
            negative = high < 0.0
            ends.append(Tail(np.maximum(high, 0.0), np.where(negative, 0.0, low), q, negative))
            values.append(kinks.values[i] - slopes[i + 1] * np.minimum(high, 0.0))
            if i < len(kinks.gaps):
                width = np.where(negative, np.maximum(following[i], 0.0), kinks.gaps[i])
                widths.append(np.minimum(width, FAR * root) / root)
        return cls(tuple(ends), tuple(widths), tuple(values), slopes, direction)

    @classmethod
    def left(cls, kinks: Kinks, slopes: tuple[float, ...], q: Array) -> HalfLine:
        """The half line z <= 0, reflected."""
        mirrored = tuple(-slope for slope in reversed(slopes))
        return cls.right(kinks.reflected(), mirrored, q, direction=-1)

    @cached_property
    def domains(self) -> tuple[Interval | Tail, ...]:
        """Where the pieces lie."""
        bounded = zip(self.ends[:-1], self.ends[1:], self.widths, strict=True)
        return (*(Interval(*ends_and_width) for ends_and_width in bounded), self.ends[-1])

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The pieces that are not empty, from the origin outwards."""
        parts = zip(self.domains, self.values, self.slopes, strict=True)
        return tuple(
            Piece(domain, value, slope, self.direction * slope)
            for i, (domain, value, slope) in enumerate(parts)
            if i == len(self.widths) or np.any(self.widths[i] > 0.0)
        )

    def edge_deficit(self) -> Array:
        """E psi'^2 - E psi^2 over this half line, for psi = phi - phi(0), standardized to q = 1.

        In the slope jumps d_j at the kinks k_j this is the quadratic form
        sum_ij d_i d_j min(k_i, k_j) T_1(max(k_i, k_j)). As k / T_1(k) increases, it is also a sum
        of squares with positive weights, in which nothing cancels. The slope at the origin drops
        out: for a linear function every variance is a fixed point.
        """
        ramps = self._ramp_means()
        deficit: Array = np.zeros(())
        for i, (before, end) in enumerate(pairwise(self.ends)):
            weight = self.widths[i] + before.a * ratio_or_zero(ramps[i], before.moment1)
            excess: Array = np.zeros(())
            for slope, ramp in zip(self.slopes[i + 1 :], ramps[i + 1 :], strict=True):
                excess = excess + (slope - self.slopes[i]) * ramp
            deficit = deficit + weight * excess * ratio_or_zero(excess, end.moment1)
        return deficit

    def _ramp_means(self) -> tuple[Array, ...]:
        """Of every piece: the mean of the ramp with slope 1 on the piece and 0 elsewhere."""
        bounded = (
            domain.moment1 + width * end.moment0
            for domain, width, end in zip(
                self.domains[:-1], self.widths, self.ends[1:], strict=True
            )
        )
        return (*bounded, self.ends[-1].moment1)


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
        q = check.positive("q", q)
        return sum(
            (times * piece.probability_of_zero() for times, piece in self._pieces(q)), np.zeros(())
        )

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
        return self._expectation(q, Piece.weighted_slope) / np.sqrt(q)

    def mean_square_curvature(self, q: Array) -> Array:
        """The second derivative in q of E phi(sqrt(q) z)^2 (Eqs. 40, 43)."""
        return 0.5 * self._expectation(q, Piece.hermite_slope) / np.sqrt(q) / q

    def mean_derivative_power(self, q: Array, power: int) -> Array:
        """E phi'(sqrt(q) z)^power; the power 2 is in Eqs. 39, 42, 51, 54, the others in Eq. 27."""
        return self._expectation(q, lambda piece, _: piece.derivative_power(power))

    def squared_slopes(self, q: Array) -> tuple[Array, Array]:
        """The law of phi'(sqrt(q) z)^2 for a single q: its values, ascending, and their masses."""
        masses: dict[float, Array] = {}
        for times, piece in self._pieces(q):
            square = piece.derivative**2
            masses[square] = masses.get(square, np.zeros(())) + times * piece.domain.moment0
        values = sorted(masses)
        return np.array(values), np.array([float(masses[value]) for value in values])

    def edge_deficit(self, q: Array) -> Array:
        """q E phi'^2 - E phi^2, which is sigma_b^2 / sigma_w^2 on the edge of chaos."""
        total = sum(times * half.edge_deficit() for times, half in self._half_lines(q))
        at_zero = self(0.0)
        return q * total + at_zero * (at_zero - 2.0 * self.mean(q))

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

    def _half_lines(self, q: Array) -> Iterator[tuple[int, HalfLine]]:
        """The half lines that differ, and the multiplicity of each."""
        yield 2 if self.odd else 1, HalfLine.right(self._kinks, self._slopes, q)
        if not self.odd:
            yield 1, HalfLine.left(self._kinks, self._slopes, q)

    def _pieces(self, q: Array) -> Iterator[tuple[int, Piece]]:
        for times, half in self._half_lines(q):
            for piece in half.pieces:
                yield times, piece

    def _expectation(self, q: Array, integral: Callable[[Piece, Array], Array]) -> Array:
        if np.size(q) > _CHUNK and all(high.ndim == 0 for high in self._kinks.high):
            parts = np.array_split(np.ravel(q), np.size(q) // _CHUNK + 1)
            done = [self._expectation(part, integral) for part in parts]
            return np.concatenate(done).reshape(np.shape(q))
        scale = np.sqrt(q)
        return sum(
            (
                times * integral(piece, scale)
                for times, piece in self._pieces(q)
                if not piece.vanishes
            ),
            np.zeros(()),
        )


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
