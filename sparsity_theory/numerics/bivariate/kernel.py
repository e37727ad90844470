"""The kernel K = C'' = sum_ij d_i d_j N2(k_i, k_j; t), as double differences over pieces.

With t = (1 - u^2) / (1 + u^2), c = (x + y) / 2 and d = (x - y) / 2 the bivariate normal density
N2 loses its singularity at t = 1,

    N2(x, y; t) dt = -exp(-(c^2 (1 + u^2) + d^2 (1 + 1 / u^2)) / 2) du / (pi (1 + u^2)).

A piece of slope s is a pair of jumps +s, -s at its ends, so K is a sum over pairs of pieces of
s_a s_b times the double difference of N2. That is formed with `expm1` from the corner where N2 is
largest, so that thin pieces lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._types import Array
from .pieces import Pieces

TINY = 1e-280
"""Floor of u^2, far below the distance of any two kinks."""

_PLAIN = -0.5  # below it exp(x) - 1 is as good as expm1(x), and twice as fast
_LARGE = -0.6  # compared to its square, 1 - exp(x) is needed to absolute accuracy only

Term = tuple[int, int, float]
"""Two pieces and their multiplicity."""


class Nodes:
    """Nodes u (nodes, panels) and what the kernel needs of t = (1 - u^2) / (1 + u^2)."""

    def __init__(self, u: Array, away: Array, edge: Array) -> None:
        self.u, self.away, self.edge = u, away, edge  # away = |u - edge|, exact
        self.u2 = np.maximum(u * u, TINY)
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


@dataclass(frozen=True)
class Base:
    """The common factor exp(-level(edge)) of an integral, by which the density is divided.

    The fields are exponents at (scale, scale) and (scale, -scale), less level(edge); and
    level(e) - level(f) for two edges.
    """

    together: Callable[[Nodes, Array], Array]
    apart: Callable[[Nodes, Array], Array]
    change: Callable[[Array, Array, Array], Array]


def _upwards(x: Nodes, scale: Array) -> Array:
    return scale * scale / 2 * x.away * (x.edge + x.u)


def _from_edge(x: Nodes, scale: Array) -> Array:
    return scale * scale / 2 * (1 / x.u2 - x.edge * x.edge)


def _change(e: Array, f: Array, scale: Array) -> Array:
    return scale * scale / 2 * (e - f) * (e + f)


def _together(x: Nodes, scale: Array) -> Array:
    return scale * scale / 2 * x.u2


def _still(e: Array, f: Array, scale: Array) -> Array:
    return np.zeros_like(e)


ABOVE = Base(_upwards, _from_edge, _change)
"""Level scale^2 / (1 + r), with r the correlation at the edge, for u above the edge (t < r) ..."""

UNDER = Base(lambda x, scale: -_upwards(x, scale), _from_edge, _change)
"""... and for u below it."""

WHOLE = Base(_together, lambda x, scale: scale * scale / 2 / x.u2, _still)
"""Level scale^2 / 2, that of t = 1, wherever the edge is."""

FALL = Base(
    _together,
    lambda x, scale: _upwards(x, scale) / (x.u2 * (x.edge * x.edge)),
    lambda e, f, scale: -_change(e, f, scale) / np.maximum((e * f) ** 2, TINY),
)
"""Level scale^2 / (1 - r) for u below the edge, mirrored kinks on one side of zero."""


def _expm1(x: Array) -> Array:
    """Expm1 of x <= 0."""
    return np.exp(x) - 1.0 if x.max() < _PLAIN else np.expm1(x)


class Kernel:
    """|dt / du| K(t) over a base's factor, or K(-t) if ``mirrored``, at some nodes."""

    def __init__(self, pieces: Pieces, nodes: Nodes, base: Base, mirrored: bool) -> None:
        self.p, self.x, self.base, self.mirrored = pieces, nodes, base, mirrored
        self.n = len(pieces.kinks)
        self.exponents: dict[tuple[int, int], Array] = {}

    def sum(self, terms: list[Term]) -> Array:
        """Over pairs of pieces."""
        total = np.zeros_like(self.x.u)
        for a, b, times in terms:
            density = self.pair(a, b)
            density *= self.p.slopes[a] * self.p.slopes[b] * (times / np.pi)
            total += density
        total /= self.x.up
        return total

    def gap(self, i: int, j: int) -> Array:
        """x_i - y_j, y mirrored or not."""
        p = self.p
        if self.mirrored:
            distance: Array = p.kinks[i] + p.kinks[j]
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
            if together.all():
                value = self._together(i, j)
            elif not together.any():
                value = self._apart(i, j)
            else:
                value = np.where(together, self._together(i, j), self._apart(i, j))
            if across.any():
                value = value + (across * across) * x.curvature
            self.exponents[i, j] = value
        return self.exponents[i, j]

    def _together(self, i: int, j: int) -> Array:
        value, linear = self.base.together(self.x, self.p.scale), self._linear(i, j)
        return value + linear * self.x.same if linear.any() else value

    def _apart(self, i: int, j: int) -> Array:
        return self.base.apart(self.x, self.p.scale) + self._linear(i, j) * self.x.opposite

    def _linear(self, i: int, j: int) -> Array:
        """|k_i k_j| - scale^2."""
        x, y = self.p.beyond[i], self.p.beyond[j]
        return np.asarray(self.p.scale * (x + y) + x * y)

    def step(self, i: int, j: int) -> Array:
        """log density at (x_{i+1}, y_j) over that at (x_i, y_j); the same along y."""
        y = -self.p.kinks[j] if self.mirrored else self.p.kinks[j]
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
        """1 or -1 where a finite piece lies on one side of zero in the whole batch, else 0."""
        ends = self.p.positive[a - 1 : a + 1]
        return int(ends.all()) - int(not ends.any())

    def strip(self, i: int, b: int) -> Array:
        """Kink i and a finite piece b: a single difference."""
        e0, e1 = self.exponent(i, b - 1), self.exponent(i, b)
        sign = np.where(e0 <= e1, -1.0, 1.0)
        return sign * np.exp(-np.minimum(e0, e1)) * _expm1(-np.abs(self.step(b - 1, i)))

    def diagonal(self, a: int) -> Array:
        """The double difference of a finite piece with itself, t > 0: both terms are positive."""
        i, j, p = a - 1, a, self.p
        nearer = np.abs(p.kinks[i]) <= np.abs(p.kinks[j])
        start = (
            self.exponent(i, i)
            if nearer.all()
            else np.where(nearer, self.exponent(i, i), self.exponent(j, j))
        )
        half = _expm1(-(p.widths[i] * np.abs(p.kinks[i] + p.kinks[j]) / 2) * self.x.same)
        dip = -(p.widths[i] ** 2 / 2) * self.x.twist
        if half.max() < _LARGE:  # then dip is small compared to half^2, or as large as one
            dip = np.exp(dip, out=dip)
            dip -= 1.0
        else:
            dip = _expm1(dip)
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


def terms_of(pieces: Pieces) -> list[Term]:
    """Pairs of pieces with nonzero slopes, and how many pairs of a symmetric line equal each."""
    n = len(pieces.kinks)
    active = [a for a in range(n + 1) if np.any(pieces.slopes[a] != 0)]
    s = pieces.slopes
    symmetric = (
        np.array_equal(pieces.kinks, -pieces.kinks[::-1])
        and np.array_equal(pieces.widths, pieces.widths[::-1])
        and any(np.array_equal(s, sign * s[::-1]) for sign in (1, -1))
    )
    times: dict[tuple[int, int], float] = {}
    for a in active:
        for b in active:
            key = min((a, b), (b, a), *([(n - a, n - b), (n - b, n - a)] if symmetric else []))
            times[key] = times.get(key, 0.0) + 1.0
    return [(a, b, count) for (a, b), count in times.items()]
