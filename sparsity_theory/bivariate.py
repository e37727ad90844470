"""Gaussian correlation integrals of continuous piecewise-linear functions (Eqs. 6, 11, 35, 36).

For phi with kinks k_1 <= ... <= k_n, slopes s_0 .. s_n, and standard normal z1, z2 with
correlation t, let

    C(t) = E[phi(z1) phi(z2)],   P(t) = C'(t) = E[phi'(z1) phi'(z2)],   G(g) = C(1) - C(1 - g).

Price's theorem makes the second derivative a finite sum over the slope jumps d_i = s_i - s_{i-1},

    K(t) = C''(t) = sum_ij d_i d_j N2(k_i, k_j; t)          (N2: bivariate normal density),

whose Taylor coefficients are not negative. For 0 <= rho <= 1 every term is therefore positive:

    P(rho) = (E phi')^2 + int_0^rho K(t) dt
    C(rho) = (E phi)^2 + rho (E phi')^2 + int_0^rho (rho - t) K(t) dt
    G(g)   = g (E phi')^2 + int_0^1 min(g, 1 - t) K(t) dt.

With t = (1 - u^2) / (1 + u^2), c = (x + y)/2, d = (x - y)/2 the density loses its singularity,

    N2(x, y; t) dt = exp(-(c^2 (1 + u^2) + d^2 (1 + 1/u^2)) / 2) du / (pi (1 + u^2)),

and Gauss-Legendre panels in u, geometric above the smallest distance between kinks, converge to
rounding. A piece of slope s is a pair of jumps +s, -s; the double difference of N2 over two pieces
is formed with `expm1` from the corner of largest density, so thin pieces lose nothing. What all
terms share, exp(-k^2 / (1 + rho)) for the kink k nearest to zero, is factored out in double-double.

A negative correlation is a positive one of (z1, -z2). K may change sign there: C and P start from
t = -1 or from t = 0, whichever cancels less; of an odd function they follow from rho > 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erfcx

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]
Index = NDArray[np.intp]
Rule = Callable[["Line", Array], Array]
Routes = list[tuple[Bool, Rule]]
Weight = Callable[["_Nodes"], Array]
Base = tuple[Callable[["_Nodes", Array], Array], Callable[["_Nodes", Array], Array]]

_FOLDS = 40.0  # exp(-40) of a panel's peak is below rounding
_RATIO = 4.0  # widest panel, right over left, that 22 nodes integrate to rounding
_FAR = 1e3  # standardized distances are cut here: exp(-_FAR**2 / 2) is 0
_LAST = 37.0  # exp(-_LAST**2 / 2) is 1e-297: kinks farther out count as infinitely far
_TINY = 1e-280  # floor of u^2, far below any feature
_CHUNK = 32768  # points of one pass
_BLOCK = 512  # panels evaluated together, so that temporaries stay in cache


def _gauss_legendre(n: int) -> tuple[Array, Array, Array]:
    """Nodes x, 1 - x and weights on [0, 1], rounded once (Newton in extended precision)."""
    x = np.cos(np.pi * (np.arange(n, dtype=np.longdouble) + 0.75) / (n + 0.5))
    for _ in range(6):
        previous, value = np.ones_like(x), x
        for k in range(2, n + 1):
            previous, value = value, ((2 * k - 1) * x * value - (k - 1) * previous) / k
        derivative = n * (x * value - previous) / (x * x - 1)
        x = x - value / derivative
    weights = 1 / ((1 - x * x) * derivative**2)
    left, right = (1 - x) / 2, (1 + x) / 2
    return left.astype(np.float64), right.astype(np.float64), weights.astype(np.float64)


_RULES = [tuple(v[:, None] for v in _gauss_legendre(n)) for n in (10, 14, 22)]
_EASY = (
    (1.5, 4.0),
    (2.2, 9.0),
)  # widest panel and largest run of exponents that the first two rules integrate
_LONG, _, _LONG_WEIGHTS = (v[:, None] for v in _gauss_legendre(32))  # for a whole half line at once


# --- double-double, only for the one exponent that carries the size of the result -----------------


def _two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """a * b as an unevaluated sum (Veltkamp split, Dekker product)."""
    big_a, big_b = 134217729.0 * a, 134217729.0 * b
    a1, b1 = big_a - (big_a - a), big_b - (big_b - b)
    a2, b2 = a - a1, b - b1
    p = a * b
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


def _square_over(hi: Array, lo: Array, q: Array) -> tuple[Array, Array]:
    """(hi + lo)^2 / q in double-double."""
    p, e = _two_product(hi, hi)
    e = e + 2 * hi * lo
    ratio = p / q
    back, rest = _two_product(ratio, q)
    return ratio, ((p - back) - rest + e) / q


def _decay(exponent: tuple[Array, Array], rho: Array) -> Array:
    """exp(-exponent / (1 + rho)), the exponent in double-double, to the last ulp."""
    hi, lo = exponent
    d = 1.0 + rho
    d_lo = rho - (d - 1.0)
    safe = np.where(d > 0, d, 1.0)
    ratio = hi / safe
    back, rest = _two_product(ratio, safe)
    ratio_lo = ((hi - back) - rest + lo - ratio * d_lo) / safe
    return np.where(d > 0, np.exp(-ratio) * (1.0 - ratio_lo), (hi == 0).astype(float))


# --- a line and its one-dimensional moments -------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A piecewise-linear function in units of sqrt(q).

    One row for each kink or piece, one column for each member of the batch; one column serves all.
    """

    shape: tuple[int, ...]
    knots: Array  # (n, b)
    widths: Array  # (n - 1, b)
    slopes: Array  # (n + 1, b)
    values: Array  # phi at the knots (n, b)
    value: Array  # phi(0) (b,)
    exponent: tuple[Array, Array]  # (nearest kink)^2 in double-double (b,)
    nearest: Array  # distance from zero to the nearest kink (b,)
    flat: Bool  # phi' is 0 around zero
    silent: Bool  # phi and phi' are 0 around zero
    one_sided: Bool  # all kinks on one side of zero
    odd: Bool  # odd up to a constant
    even: Bool

    def take(self, index: Index) -> Line:
        """The members at `index`; a single member serves all."""
        if self.value.size == 1:
            return self
        high, low = self.exponent
        rows = {
            f: getattr(self, f)[..., index]
            for f in self.__dataclass_fields__
            if f not in ("shape", "exponent")
        }
        return Line(shape=(index.size,), exponent=(high[index], low[index]), **rows)


def standardize(
    knots: tuple[ArrayLike, ArrayLike],
    widths: ArrayLike,
    slopes: ArrayLike,
    offset: ArrayLike = 0.0,
    q: ArrayLike = 1.0,
) -> Line:
    """The line phi(sqrt(q) z) / sqrt(q) of a piecewise-linear phi.

    Parameters
    ----------
    knots : (high, low), each (n, ...): ascending kinks as unevaluated sums high + low.
    widths : (n - 1, ...): distances between neighbouring kinks, which large kinks have lost.
    slopes : (n + 1, ...).
    offset : value at the first kink.
    q : variance, > 0.
    """
    high, low, widths, slopes, offset, q = (
        np.asarray(v, dtype=np.float64) for v in (knots[0], knots[1], widths, slopes, offset, q)
    )
    n = len(high)
    shape = np.broadcast_shapes(
        high.shape[1:], low.shape[1:], widths.shape[1:], slopes.shape[1:], offset.shape, q.shape
    )
    size = int(np.prod(shape))

    def columns(v: Array, rows: int) -> Array:
        return np.broadcast_to(
            v.reshape(v.shape[:1] + (1,) * (len(shape) + 1 - v.ndim) + v.shape[1:]), (rows, *shape)
        ).reshape(rows, size)

    high, low, widths, slopes = (
        columns(high, n),
        columns(low, n),
        columns(widths, n - 1),
        columns(slopes, n + 1),
    )
    offset, q = (np.broadcast_to(v, shape).reshape(size) for v in (offset, q))
    root = np.sqrt(q)
    k, w = (high + low) / root, widths / root
    values = np.concatenate([(offset / root)[None], slopes[1:-1] * w]).cumsum(axis=0)
    centre = (k < 0).sum(axis=0)  # piece that holds zero
    column = np.arange(size)
    anchor = np.maximum(centre - 1, 0)
    slope = slopes[centre, column]
    value = values[anchor, column] - slope * k[anchor, column]
    near = np.where(np.diff(slopes, axis=0) != 0, np.abs(k), np.inf).argmin(axis=0)
    mirrored = np.all(k == -k[::-1], axis=0) & np.all(w == w[::-1], axis=0)
    return Line(
        shape=shape,
        knots=k,
        widths=w,
        slopes=slopes,
        values=values,
        value=value,
        exponent=_square_over(high[near, column], low[near, column], q),
        nearest=np.abs(k[near, column]),
        flat=slope == 0,
        silent=(slope == 0) & (value == 0),
        one_sided=np.all(k >= 0, axis=0) | np.all(k <= 0, axis=0),
        odd=mirrored & np.all(slopes == slopes[::-1], axis=0),
        even=mirrored & np.all(slopes == -slopes[::-1], axis=0),
    )


def _half_line_moments(start: Array, beyond: Array, width: Array) -> tuple[Array, Array]:
    """Integrals of gamma and of Q (Q the upper tail; to be replaced by gaussian.py) a piece.

    Both over [start, start + width], start >= 0, and times exp((start - beyond)^2 / 2).
    """
    reach = 2 * _FOLDS / (start + np.sqrt(start**2 + 2 * _FOLDS))
    length = np.minimum(width, reach)
    t = length * _LONG
    density = np.exp(-t * (start + t / 2)) * (_LONG_WEIGHTS * length)
    size = np.exp(-beyond * (start - beyond / 2)) / np.sqrt(2 * np.pi)
    rest = np.exp(-np.minimum(width * (start + width / 2), 700.0)) * np.sqrt(np.pi / 2)
    farther = np.where(width < reach, width * rest * erfcx((start + width) / np.sqrt(2)), 0.0)
    return size * density.sum(axis=0), size * ((t * density).sum(axis=0) + farther)


def _first_moments(line: Line, pieces: _Pieces) -> tuple[Array, Array]:
    """E phi and E phi', both times exp(scale^2 / 2), from zero outwards."""
    n = len(line.knots)
    gain, sides = np.zeros_like(line.value), []
    end = np.full_like(line.value, 2 * _FAR)
    for side in (pieces.positive, ~pieces.positive):
        mean = np.zeros_like(line.value)
        forward = side is pieces.positive
        for a in range(n + 1) if forward else range(n, -1, -1):
            inner, outer = (a - 1, a) if forward else (a, a - 1)
            starts = side[inner] if 0 <= inner < n else np.zeros_like(side[0])
            reaches = side[outer] if 0 <= outer < n else np.ones_like(side[0])
            inside = reaches & (line.slopes[a] != 0)
            if inside.any():
                far = pieces.beyond[outer] + pieces.scale if 0 <= outer < n else end
                width = np.where(starts, pieces.widths[a - 1] if 1 <= a < n else end, far)
                beyond = np.where(starts, pieces.beyond[min(max(inner, 0), n - 1)], 0.0)
                start = np.where(starts, pieces.scale + beyond, 0.0)
                mass, tail = _half_line_moments(start, beyond, np.where(inside, width, 0.0))
                gain = gain + line.slopes[a] * mass
                mean = mean + line.slopes[a] * tail
        sides.append(mean)
    return line.value * (pieces.scale == 0) + (sides[0] - sides[1]), gain


def _at_minus_one(line: Line, scale: Array) -> tuple[Array, Array]:
    """C(-1) = E[phi(z) phi(-z)] and P(-1) = E[phi'(z) phi'(-z)], both times exp(scale^2 / 2)."""
    cuts = np.sort(np.minimum(np.abs(line.knots), _FAR), axis=0)
    start = np.concatenate([np.zeros_like(cuts[:1]), cuts])
    end = np.concatenate([cuts, np.full_like(cuts[:1], 2 * _FAR)])
    correlation, slope = np.zeros_like(line.value), np.zeros_like(line.value)
    for left, right in zip(start, end, strict=True):
        length = np.minimum(right - left, 2 * _FOLDS / (left + np.sqrt(left**2 + 2 * _FOLDS)))
        z = left + length * _LONG
        density = (
            np.exp((scale - z) * (scale + z) / 2) * (_LONG_WEIGHTS * length) * np.sqrt(2 / np.pi)
        )
        (f, df), (g, dg) = _evaluate(line, z), _evaluate(line, -z)
        correlation = correlation + (f * g * density).sum(axis=0)
        slope = slope + (df * dg * density).sum(axis=0)
    return correlation, slope


def _evaluate(line: Line, z: Array) -> tuple[Array, Array]:
    """phi and phi' at z."""
    value = line.values[0] + line.slopes[0] * (z - line.knots[0])
    slope = np.broadcast_to(line.slopes[0], z.shape)
    for k, v, s in zip(line.knots, line.values, line.slopes[1:], strict=True):
        value = np.where(z > k, v + s * (z - k), value)
        slope = np.where(z > k, s, slope)
    return value, slope


# --- the kernel K ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pieces:
    """A line as the kernel sees it: kinks by sign and distance, slopes less a reference."""

    knots: Array
    widths: Array
    slopes: Array
    positive: Bool
    beyond: Array  # |k| - scale, >= 0
    scale: Array

    def take(self, index: Index) -> _Pieces:
        if self.scale.size == 1:
            return self
        return _Pieces(*(getattr(self, f)[..., index] for f in self.__dataclass_fields__))


def _pieces(line: Line, scale: Array) -> _Pieces:
    k, w = np.clip(line.knots, -_FAR, _FAR), np.minimum(line.widths, _FAR)
    n, size = k.shape
    positive = k >= 0
    beyond = np.abs(k) - scale
    for i in range(1, n):
        beyond[i] = np.where(positive[i - 1], beyond[i - 1] + w[i - 1], beyond[i])
    for i in range(n - 2, -1, -1):
        beyond[i] = np.where(positive[i + 1], beyond[i], beyond[i + 1] + w[i])
    # Kinks without a jump may be nearer; their terms vanish but must not overflow.
    beyond = np.where(scale < 1, beyond, np.maximum(beyond, 0.0))
    # K stays the same when one slope is taken from all: the centre's, unless that piece is thin.
    centre = (~positive).sum(axis=0)
    column = np.arange(size)
    inner = (centre > 0) & (centre < n)
    thin = (
        inner
        & (line.nearest < 1)
        & (np.concatenate([w, np.full((1, size), _FAR)])[np.maximum(centre - 1, 0), column] < 1)
    )
    reference = np.where(thin, line.slopes[0], line.slopes[centre, column])
    return _Pieces(k, w, line.slopes - reference, positive, beyond, scale)


def _expm1(x: Array) -> Array:
    """expm1 of x <= 0; `exp` is twice as fast and as good where the difference from 1 is large."""
    return np.exp(x) - 1.0 if x.max() < -0.5 else np.expm1(x)


class _Nodes:
    """Nodes u (nodes, panels) and what the kernel asks of t = (1 - u^2) / (1 + u^2)."""

    def __init__(self, u: Array, away: Array, edge: Array) -> None:
        self.u, self.away, self.edge = u, away, edge  # away = |u - edge|, exact
        self.u2 = np.maximum(u * u, _TINY)
        self.up = 1.0 + self.u2

    @cached_property
    def same(self) -> Array:
        """1 / (1 + t)."""
        return self.up * 0.5

    @cached_property
    def opposite(self) -> Array:
        """1 / (1 - t)."""
        return self.same / self.u2

    @cached_property
    def curvature(self) -> Array:
        """1 / (2 (1 - t^2))."""
        return self.opposite * self.up * 0.25

    @cached_property
    def twist(self) -> Array:
        """t / (1 - t^2)."""
        return self.opposite * (0.5 - 0.5 * self.u2)


class _Kernel:
    """K dt / du over a common factor; `mirrored` is K(-t).

    `base` gives the exponents of (scale, scale) and (scale, -scale) over that factor.
    """

    def __init__(self, pieces: _Pieces, x: _Nodes, base: Base, mirrored: bool) -> None:
        self.p, self.x, self.base, self.mirrored = pieces, x, base, mirrored
        self.n = len(pieces.knots)
        self.exponents: dict[tuple[int, int], Array] = {}

    def sum(self, terms: list[tuple[int, int, float]]) -> Array:
        """Over pairs of pieces with their multiplicity."""
        total = np.zeros_like(self.x.u)
        for a, b, times in terms:
            density = self.pair(a, b)
            density *= self.p.slopes[a] * self.p.slopes[b] * (times / np.pi)
            total += density
        return np.divide(total, self.x.up, out=total)

    def gap(self, i: int, j: int) -> Array:
        """x_i - y_j, y mirrored or not."""
        p = self.p
        if self.mirrored:
            distance: Array = p.knots[i] + p.knots[j]
        else:  # one of the two sums is empty
            distance = p.widths[j:i].sum(axis=0) - p.widths[i:j].sum(axis=0)
        return distance

    def exponent(self, i: int, j: int) -> Array:
        """-log density at (x_i, y_j): a sum of positive terms."""
        i, j = min(i, j), max(i, j)
        if (i, j) not in self.exponents:
            p, x = self.p, self.x
            alike = p.positive[i] == p.positive[j]
            together = alike != self.mirrored
            across = p.beyond[i] - p.beyond[j]
            if not self.mirrored:
                across = np.where(alike, self.gap(i, j), across)
            linear = p.scale * (p.beyond[i] + p.beyond[j]) + p.beyond[i] * p.beyond[j]
            if together.all():
                value = self.base[0](x, p.scale)
                if linear.any():
                    value = value + linear * x.same
            elif not together.any():
                value = self.base[1](x, p.scale) + linear * x.opposite
            else:
                value = np.where(
                    together,
                    self.base[0](x, p.scale) + linear * x.same,
                    self.base[1](x, p.scale) + linear * x.opposite,
                )
            self.exponents[i, j] = (
                value + (across * across) * x.curvature if across.any() else value
            )
        return self.exponents[i, j]

    def step(self, i: int, j: int) -> Array:
        """log density at (x_{i+1}, y_j) over that at (x_i, y_j); the same along y."""
        y = -self.p.knots[j] if self.mirrored else self.p.knots[j]
        twice = self.gap(i, j) + self.gap(i + 1, j)
        rise: Array = -self.p.widths[i] * (twice * self.x.curvature + y * self.x.same)
        return rise

    def pair(self, a: int, b: int) -> Array:
        """Double difference of the density over pieces a and b."""
        ends = {0: (0, -1.0), self.n: (self.n - 1, 1.0)}
        if a in ends and b in ends:
            (i, sign), (j, other) = ends[a], ends[b]
            return np.multiply(sign * other, np.exp(-self.exponent(i, j)))
        if a in ends:
            return ends[a][1] * self.strip(ends[a][0], b)
        if b in ends:
            return ends[b][1] * self.strip(ends[b][0], a)
        if a == b and not self.mirrored:
            return self.diagonal(a)
        sides = [self.side(a), self.side(b)]
        if 0 not in sides and (sides[0] == sides[1]) == self.mirrored:
            near = [end - 1 if side > 0 else end for end, side in zip((a, b), sides, strict=True)]
            return self.apart(a, b, near[0], near[1])
        return self.block(a, b)

    def side(self, a: int) -> int:
        """1 or -1 where a finite piece lies on one side of zero in every member, else 0."""
        ends = self.p.positive[a - 1 : a + 1]
        return int(ends.all()) - int(not ends.any())

    def strip(self, i: int, b: int) -> Array:
        """Kink i and a finite piece b: a single difference."""
        e0, e1 = self.exponent(i, b - 1), self.exponent(i, b)
        sign = np.where(e0 <= e1, -1.0, 1.0)
        return sign * np.exp(-np.minimum(e0, e1)) * _expm1(-np.abs(self.step(b - 1, i)))

    def diagonal(self, a: int) -> Array:
        """A finite piece and itself, t > 0: both terms are positive."""
        i, j, p = a - 1, a, self.p
        nearer = np.abs(p.knots[i]) <= np.abs(p.knots[j])
        start = (
            self.exponent(i, i)
            if nearer.all()
            else np.where(nearer, self.exponent(i, i), self.exponent(j, j))
        )
        half = _expm1(-(p.widths[i] * np.abs(p.knots[i] + p.knots[j]) / 2) * self.x.same)
        dip = _expm1(-(p.widths[i] ** 2 / 2) * self.x.twist)
        dip *= 1 + half
        half *= half
        half -= 2 * dip
        half *= np.exp(-start)
        return half

    def apart(self, a: int, b: int, i: int, j: int) -> Array:
        """Finite pieces on opposite sides of zero: the density is largest at the near ends i, j."""
        along_x = _expm1(-np.abs(self.step(a - 1, j)))
        along_y = along_x if a - 1 == b - 1 and i == j else _expm1(-np.abs(self.step(b - 1, i)))
        dip = _expm1(-(self.p.widths[a - 1] * self.p.widths[b - 1]) * self.x.twist)
        sign = -1.0 if (a - i + b - j) % 2 else 1.0
        return (
            sign
            * np.exp(-self.exponent(i, j))
            * (along_x * along_y + (1 + along_x) * (1 + along_y) * dip)
        )

    def block(self, a: int, b: int) -> Array:
        """Two finite pieces, from the corner of largest density."""
        i, j = a - 1, b - 1
        e00, e10, e01, e11 = (
            self.exponent(*c) for c in ((i, j), (i + 1, j), (i, j + 1), (i + 1, j + 1))
        )
        x1 = np.minimum(e10, e11) < np.minimum(e00, e01)
        y1 = np.where(x1, e11 < e10, e01 < e00)
        top = np.minimum(np.minimum(e00, e01), np.minimum(e10, e11))
        other = np.where(x1, np.where(y1, e00, e01), np.where(y1, e10, e11))
        along_x = -np.abs(np.where(y1, self.step(i, j + 1), self.step(i, j)))
        along_y = -np.abs(np.where(x1, self.step(j, i + 1), self.step(j, i)))
        flip = np.where(x1 != y1, -1.0, 1.0)
        twist = (
            flip
            * (self.p.widths[i] * self.p.widths[j] * (-1.0 if self.mirrored else 1.0))
            * self.x.twist
        )
        rest = np.where(twist > 0, np.minimum(top - other, 0.0), along_x + along_y)
        corner = np.copysign(np.exp(rest) * _expm1(-np.abs(twist)), twist)
        density: Array = flip * np.exp(-top) * (_expm1(along_x) * _expm1(along_y) + corner)
        return density


def _terms(pieces: _Pieces) -> list[tuple[int, int, float]]:
    """Pairs of pieces that count, each with its multiplicity (equal pairs of a symmetric line)."""
    n = len(pieces.knots)
    active = [a for a in range(n + 1) if np.any(pieces.slopes[a] != 0)]
    s = pieces.slopes
    symmetric = (
        np.array_equal(pieces.knots, -pieces.knots[::-1])
        and np.array_equal(pieces.widths, pieces.widths[::-1])
        and any(np.array_equal(s, sign * s[::-1]) for sign in (1, -1))
    )
    times: dict[tuple[int, int], float] = {}
    for a in active:
        for b in active:
            key = min((a, b), (b, a), *([(n - a, n - b), (n - b, n - a)] if symmetric else []))
            times[key] = times.get(key, 0.0) + 1.0
    return [(a, b, count) for (a, b), count in times.items()]


# --- quadrature -----------------------------------------------------------------------------------


def _panels(
    low: Array, high: Array, feature: Array, pieces: _Pieces
) -> Iterator[tuple[tuple[Array, ...], Index, Array, Array]]:
    """Blocks (rule, point, left, right) of panels that tile each [low, high].

    One panel below `feature`, geometric ones above; the rule suits the panel's run of exponents.
    """
    low, high, feature = np.broadcast_arrays(low, high, feature)
    below = (low < feature / 2).astype(np.intp)
    start = np.minimum(np.where(below, feature, low), high)
    span = np.where((start > 0) & (high > start), high / np.where(start > 0, start, 1.0), 1.0)
    tiers = np.ceil(np.log(span) / np.log(_RATIO)).astype(np.intp)
    count = np.where(high > low, below + tiers, 0)
    owner = np.repeat(np.arange(low.size), count)
    tier = np.arange(owner.size) - np.repeat(np.cumsum(count) - count, count) - below[owner]
    s, h, ratio = start[owner], high[owner], (span ** (1.0 / np.maximum(tiers, 1)))[owner]
    left = np.where(tier < 0, low[owner], np.where(tier == 0, s, s * ratio**tier))
    right = np.where(tier < 0, s, np.where(tier == tiers[owner] - 1, h, s * ratio ** (tier + 1)))

    farthest = np.abs(pieces.knots).max(axis=0)
    direct = np.minimum(farthest**2, pieces.scale**2 + 2 * _FOLDS)
    direct, farthest, scale = (
        np.broadcast_to(v, low.shape)[owner] for v in (direct, farthest, pieces.scale)
    )
    l2, r2 = np.maximum(left * left, _TINY), right * right
    across = np.minimum(farthest**2 / 2, scale**2 / 2 + _FOLDS * r2) * (
        1 / l2 - 1 / np.maximum(r2, _TINY)
    )
    folds = direct * (r2 - l2) + across
    easy, moderate = ((right <= ratio * left) & (folds <= limit) for ratio, limit in _EASY)
    grade = np.where(easy, 0, np.where(moderate, 1, 2))
    for g, rule in enumerate(_RULES):
        chosen = np.nonzero(grade == g)[0]
        for first in range(0, chosen.size, _BLOCK):
            block = chosen[first : first + _BLOCK]
            yield rule, owner[block], left[block], right[block]


def _integrate(
    pieces: _Pieces,
    low: Array,
    high: Array,
    feature: Array,
    edge: Array,
    base: Base,
    weight: Weight | None,
    mirrored: bool = False,
    size: Array | None = None,
) -> Array:
    """int weight K dt over u in [low, high], all on one side of `edge`; of |K|, added to `size`."""
    total = np.zeros(low.size)
    terms = _terms(pieces)
    if not terms:
        return total
    for (x, rest, weights), owner, left, right in _panels(low, high, feature, pieces):
        e, length = edge[owner], right - left
        away = (left - e) + length * x if left[0] >= e[0] else (e - right) + length * rest
        nodes = _Nodes(left + length * x, away, e)
        k = _Kernel(pieces.take(owner), nodes, base, mirrored).sum(terms)
        k *= weights
        if weight is not None:
            k *= weight(nodes)
        total += np.bincount(owner, k.sum(axis=0) * length, low.size)
        if size is not None:
            size += np.bincount(owner, np.abs(k).sum(axis=0) * length, low.size)
    return total


# --- C, P and G -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scaled:
    """A line, E phi and E phi' over exp(-scale^2 / 2); scale: nearest kink if `quiet`, else 0."""

    line: Line
    pieces: _Pieces
    exponent: tuple[Array, Array]
    mean: Array
    gain: Array
    feature: Array  # below it in u, kinks do not see each other
    mirrored_feature: Array


def _scaled(line: Line, quiet: Bool) -> _Scaled:
    scale = np.where(quiet, np.minimum(line.nearest, _LAST), 0.0)
    pieces = _pieces(line, scale)
    mean, gain = _first_moments(line, pieces)
    k, n = pieces.knots, len(pieces.knots)
    widths = np.where(pieces.widths > 0, pieces.widths, np.inf)
    sums = np.abs(k[:, None] + k[None]).reshape(n * n, -1)
    return _Scaled(
        line,
        pieces,
        (np.where(quiet, line.exponent[0], 0.0), np.where(quiet, line.exponent[1], 0.0)),
        mean,
        gain,
        np.minimum(
            widths.min(axis=0, initial=np.inf) / np.sqrt(8 * _FOLDS),
            4.5 / np.maximum(line.nearest, 1.0),
        ),
        np.where(sums > 0, sums, np.inf).min(axis=0) / np.sqrt(8 * _FOLDS),
    )


def _factor(s: _Scaled, rho: ArrayLike) -> Array:
    return np.where(
        s.pieces.scale < _LAST, _decay(s.exponent, np.asarray(rho, dtype=np.float64)), 0.0
    )


# Exponents of (scale, scale), (scale, -scale) over scale^2 / (1 + r), for t < r and for t > r, ...
_ABOVE: Base = (
    lambda x, scale: scale * scale / 2 * x.away * (x.edge + x.u),
    lambda x, scale: scale * scale / 2 * (1 / x.u2 - x.edge * x.edge),
)
_UNDER: Base = (lambda x, scale: -_ABOVE[0](x, scale), _ABOVE[1])
# ... over scale^2 / 2, ...
_WHOLE: Base = (
    lambda x, scale: scale * scale / 2 * x.u2,
    lambda x, scale: scale * scale / 2 / x.u2,
)
# ... and of (scale, -scale) over scale^2 / (1 - r) for t > r.
_FALL: Base = (
    _WHOLE[0],
    lambda x, scale: scale * scale / 2 * x.away * (x.edge + x.u) / (x.u2 * (x.edge * x.edge)),
)


def _distance(x: _Nodes) -> Array:
    """|t - r|, r at the edge."""
    return x.away * (x.u + x.edge) / x.up * (2 / (1 + x.edge * x.edge))


def _below_one(x: _Nodes) -> Array:
    """1 - t."""
    return 2 * x.u2 / x.up


def _edge(r: Array) -> Array:
    return np.sqrt((1 - r) / (1 + r))


def _top(line: Line, low: Array) -> Array:
    """Where the nearest kink's density has decayed from its value at `low`."""
    near = np.maximum(line.nearest, 1.0)
    return np.minimum(1.0, np.sqrt(low * low + 2 * _FOLDS / near**2))


def _rise(s: _Scaled, edge: Array, weight: Weight | None, base: Base = _ABOVE) -> Array:
    """int_0^r weight K(t) dt."""
    top = _top(s.line, edge if base is _ABOVE else np.zeros_like(edge))
    return _integrate(s.pieces, edge, top, s.feature, edge, base, weight)


def _mirrored(
    s: _Scaled, low: Array, high: Array, edge: Array, base: Base, weight: Weight | None
) -> tuple[Array, Array]:
    """int weight K(-t) dt over u in [low, high], and of |K|."""
    size = np.zeros(edge.size)
    total = _integrate(
        s.pieces, low, high, s.mirrored_feature, edge, base, weight, mirrored=True, size=size
    )
    return total, size


def _slope_from_zero(line: Line, rho: Array) -> Array:
    s, r = _scaled(line, line.flat), np.abs(rho)
    start = s.gain**2 * np.exp(-(s.pieces.scale**2) * (r / (1 + r)))
    slope: Array = _factor(s, r) * (start + _rise(s, _edge(r), None))
    return slope


def _value_from_zero(line: Line, rho: Array) -> Array:
    s, r = _scaled(line, line.silent), np.abs(rho)
    start = np.exp(-(s.pieces.scale**2) * (r / (1 + r)))
    odd = start * r * s.gain**2 + _rise(s, _edge(r), _distance)
    value: Array = _factor(s, r) * (start * s.mean**2 + np.sign(rho) * odd)
    return value


def _fall(s: _Scaled, rho: Array, weight: Weight | None) -> Array:
    """int_-1^rho weight K dt, all kinks on one side of zero: nothing else remains at t = -1."""
    edge, scale = _edge(-rho), s.pieces.scale
    low = np.where(
        edge > 0, edge * scale / np.sqrt(scale**2 + 2 * _FOLDS * edge**2 + (edge == 0)), 0.0
    )
    return _factor(s, rho) * _integrate(
        s.pieces,
        low,
        edge,
        np.where(low > 0, low, s.mirrored_feature),
        edge,
        _FALL,
        weight,
        mirrored=True,
    )


def _slope_one_sided(line: Line, rho: Array) -> Array:
    return _fall(_scaled(line, line.flat), rho, None)


def _value_one_sided(line: Line, rho: Array) -> Array:
    return _fall(_scaled(line, line.silent), rho, _distance)


def _slope_either(line: Line, rho: Array) -> Array:
    s, r = _scaled(line, line.flat), -rho
    edge, scale = _edge(r), s.pieces.scale
    start = s.gain**2 * np.exp(-(scale**2) * (r / (1 + r)))
    fall, fall_size = _mirrored(s, edge, np.ones_like(r), edge, _ABOVE, None)
    rise, rise_size = _mirrored(s, np.zeros_like(r), edge, edge, _UNDER, None)
    end = _at_minus_one(line, scale)[1] * np.exp(scale**2 * (1 / (1 + r) - 0.5))
    nearer = start + fall_size < np.abs(end) + rise_size
    return _factor(s, r) * np.where(nearer, start - fall, end + rise)


def _value_either(line: Line, rho: Array) -> Array:
    s, r = _scaled(line, line.silent), -rho
    edge, scale = _edge(r), s.pieces.scale
    start = np.exp(-(scale**2) * (r / (1 + r)))
    mean, gain = start * s.mean**2, start * r * s.gain**2
    fall, fall_size = _mirrored(s, edge, np.ones_like(r), edge, _ABOVE, _distance)
    rise, rise_size = _mirrored(s, np.zeros_like(r), edge, edge, _UNDER, _distance)
    value, slope = (v * np.exp(scale**2 * (1 / (1 + r) - 0.5)) for v in _at_minus_one(line, scale))
    slope = slope * (1 - r)
    nearer = mean + gain + fall_size < np.abs(value) + np.abs(slope) + rise_size
    return _factor(s, r) * np.where(nearer, mean - gain + fall, value + slope + rise)


def _square(s: _Scaled) -> Array:
    """(E phi')^2 over exp(-scale^2 / 2)."""
    return s.gain**2 * np.exp(-(s.pieces.scale**2) / 2)


def _end(s: _Scaled, weight: Weight | None) -> Array:
    """int_0^1 weight K dt: for every line, not for every point."""
    zero = np.zeros_like(s.gain)
    return _integrate(s.pieces, zero, _top(s.line, zero), s.feature, zero, _WHOLE, weight)


def _gap_from_one(line: Line, gap: Array) -> Array:
    """g P(1) less a small integral near t = 1."""
    s, edge = _scaled(line, line.flat), np.sqrt(gap / (2 - gap))
    lost = _integrate(s.pieces, np.zeros_like(edge), edge, s.feature, edge, _WHOLE, _distance)
    return _factor(s, 1.0) * (gap * (_square(s) + _end(s, None)) - lost)


def _gap_between(line: Line, gap: Array) -> Array:
    """The sum of positive terms."""
    s, edge = _scaled(line, line.flat), np.sqrt(gap / (2 - gap))
    zero = np.zeros_like(edge)
    top = _top(line, zero)
    low = np.minimum(edge, top)
    near = _integrate(s.pieces, zero, low, s.feature, edge, _WHOLE, _below_one)
    rest = _integrate(s.pieces, low, top, s.feature, edge, _WHOLE, None)
    return _factor(s, 1.0) * (gap * (_square(s) + rest) + near)


def _gap_from_zero(line: Line, gap: Array) -> Array:
    """C(1) - C(0) and on to r = 1 - g > 0, or to r < 0 if phi is odd."""
    s, edge = _scaled(line, line.flat), _edge(np.abs(1 - gap))
    rise = _rise(s, edge, _distance, _WHOLE)
    return _factor(s, 1.0) * (gap * _square(s) + _end(s, _below_one) - np.sign(1 - gap) * rise)


def _gap_beyond_zero(line: Line, gap: Array) -> Array:
    s, edge = _scaled(line, line.flat), np.sqrt((2 - gap) / gap)
    back = _mirrored(s, edge, np.ones_like(edge), edge, _WHOLE, _distance)[0]
    return _factor(s, 1.0) * (gap * _square(s) + _end(s, _below_one) - back)


def _over_points(line: Line, x: ArrayLike, routes: Callable[[Line, Array], Routes]) -> Array:
    """Apply to every point the rule of its route, in chunks that stay in cache."""
    x = np.asarray(x, dtype=np.float64)
    shape = np.broadcast_shapes(line.shape, x.shape)
    flat = np.broadcast_to(x, shape).reshape(-1)
    if line.value.size > 1 and line.shape != shape:
        line = line.take(
            np.broadcast_to(np.arange(line.value.size).reshape(line.shape), shape).reshape(-1)
        )
    out = np.empty(flat.size)
    for first in range(0, flat.size, _CHUNK):
        chunk = np.arange(first, min(first + _CHUNK, flat.size))
        part = line.take(chunk)
        for mask, rule in routes(part, flat[chunk]):
            index = np.nonzero(np.broadcast_to(mask, chunk.shape))[0]
            if index.size:
                out[chunk[index]] = rule(part.take(index), flat[chunk[index]])
    return out.reshape(shape)


def _monotone(line: Line, rho: Array) -> Bool:
    """Whether all kinks are on one side of zero and K >= 0 on [-1, rho], rho < 0."""
    r = np.abs(rho)
    safe = line.nearest**2 * (1 + r) >= r * (1 - r)  # thin pieces are the worst
    monotone: Bool = line.one_sided & (safe | (len(line.knots) == 1))
    return monotone


def slope_correlation(line: Line, rho: ArrayLike) -> Array:
    """P(rho) = E[phi'(z1) phi'(z2)], -1 <= rho <= 1; R' is sigma_w^2 P (Eqs. 11, 36)."""

    def routes(part: Line, r: Array) -> Routes:
        zero = (r >= 0) | part.odd
        tail = part.flat & _monotone(part, r)
        return [
            (zero, _slope_from_zero),
            (~zero & tail, _slope_one_sided),
            (~zero & ~tail, _slope_either),
        ]

    return _over_points(line, rho, routes)


def correlation(line: Line, rho: ArrayLike) -> Array:
    """C(rho) = E[phi(z1) phi(z2)] in units of q, -1 <= rho <= 1 (Eq. 6)."""

    def routes(part: Line, r: Array) -> Routes:
        zero = (r >= 0) | part.odd
        tail = part.silent & _monotone(part, r)
        return [
            (zero, _value_from_zero),
            (~zero & tail, _value_one_sided),
            (~zero & ~tail, _value_either),
        ]

    return _over_points(line, rho, routes)


def correlation_gap(line: Line, gap: ArrayLike) -> Array:
    """G(gap) = C(1) - C(1 - gap) in units of q without cancellation, 0 <= gap <= 2."""

    def routes(part: Line, g: Array) -> Routes:
        beyond = (g > 1) & ~part.odd
        zero = (g > 0.3) & ~beyond
        scale = np.minimum(
            part.widths.min(axis=0, initial=np.inf) / 9, 0.5 / np.maximum(part.nearest, 1.0)
        )
        one = (g <= scale**2) & (g <= 0.3)
        return [
            (beyond, _gap_beyond_zero),
            (zero, _gap_from_zero),
            (one, _gap_from_one),
            (~beyond & ~zero & ~one, _gap_between),
        ]

    gap = np.asarray(gap, dtype=np.float64)
    even = line.even.reshape(line.shape) & (gap > 1)
    return _over_points(
        line, np.where(even, 2 - gap, gap), routes
    )  # G(2 - g) = G(g) of an even phi
