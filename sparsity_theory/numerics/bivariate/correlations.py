"""C, P and G of a line at given correlations: the integral and the anchor chosen at every point.

For rho >= 0, and everywhere for odd phi, C and P start at rho = 0. For rho < 0 they are, with
K(-t) integrated over t > 0,

    from 0:    P = (E phi')^2 - int_0^r K(-t) dt,
               C = (E phi)^2 - r (E phi')^2 + int_0^r (r - t) K(-t) dt,         r = -rho,
    from -1:   P = P(-1) + int_r^1 K(-t) dt,
               C = C(-1) + (1 - r) P(-1) + int_r^1 (t - r) K(-t) dt,

whichever cancels less. Both terms at -1 are 0 for a line that is 0 near zero and one-sided.

Relative errors of the paper's four kinds are a few 1e-16, at most 5e-15. They are larger where the
value itself is a difference: next to a change of sign of C or P (activations with slopes or values
of both signs at rho < 0; there errors are relative to C(1) and P(1)), and for C of a ramp of width
w that holds zero, or ends within about w of it on the negative side, up to 1e-16 / sqrt(w) as rho
tends to -1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from ..._types import Array
from ..double_double import exp_minus_over_one_plus
from .conditional import value_one_sided
from .kernel import ABOVE, FALL, UNDER, WHOLE, Base
from .line import Bool, Line
from .moments import at_minus_one, first_moments
from .panels import FOLDS, Integrals, Weight, below_one, distance, edge_of, unit
from .pieces import Pieces, pieces_of

Rule = Callable[[Line, Array], Array]
Routes = list[tuple[Bool, Rule]]

_LAST = 37.0  # exp(-_LAST^2 / 2) is 1e-297: kinks farther out count as infinitely far
_CHUNK = 32768  # points at once, so that temporary arrays stay in the cache
_SHARING = 131072  # points at once of one line: what they share is computed for all of them
_NONE = 1e-130  # no feature of the kernel is smaller, as its nodes are farther than that from zero
_THIN = 0.05  # pieces whose kernel is of both signs near rho = -1


@dataclass(frozen=True)
class _Scaled:
    """A line with E phi and E phi' over exp(-scale^2 / 2).

    The scale is the distance of the nearest kink where phi (or phi') vanishes near zero, else 0.
    """

    line: Line
    pieces: Pieces
    square: Array
    square_error: Array
    mean: Array
    gain: Array

    @classmethod
    def of(cls, line: Line, vanishes: Bool) -> _Scaled:
        scale = np.where(vanishes, np.minimum(line.nearest, _LAST), 0.0)
        pieces = pieces_of(line, scale)
        square, error = (np.where(vanishes, v, 0.0) for v in (line.square, line.square_error))
        return cls(line, pieces, square, error, *first_moments(line, pieces))

    def factor(self, rho: Array) -> Array:
        """exp(-scale^2 / (1 + rho))."""
        decay = exp_minus_over_one_plus(self.square, self.square_error, rho)
        return np.where(self.pieces.scale < _LAST, decay, 0.0)

    def squares(self, r: Array) -> tuple[Array, Array]:
        """(E phi)^2 and (E phi')^2 over exp(-scale^2 / (1 + r))."""
        over = np.exp(-(self.pieces.scale**2) * (r / (1 + r)))
        return over * self.mean**2, over * self.gain**2

    def integrals(self, base: Base) -> Integrals:
        """Of K(t)."""
        widths = np.where(self.pieces.widths > _NONE, self.pieces.widths, np.inf)
        thinnest = widths.min(axis=0, initial=np.inf) / np.sqrt(8 * FOLDS)
        farthest = 4.5 / np.maximum(self.line.nearest, 1.0)
        return Integrals(self.pieces, np.minimum(thinnest, farthest), base)

    def mirrored(self, base: Base) -> Integrals:
        """Of K(-t)."""
        k = self.pieces.kinks
        sums = np.abs(k[:, None] + k[None]).reshape(len(k) ** 2, -1)
        feature = np.where(sums > _NONE, sums, np.inf).min(axis=0) / np.sqrt(8 * FOLDS)
        return Integrals(self.pieces, feature, base, mirrored=True)

    def top(self, low: Array) -> Array:
        """Where the nearest kink's density has decayed from its value at ``low``."""
        near = np.maximum(self.line.nearest, 1.0)
        return np.minimum(1.0, np.sqrt(low * low + 2 * FOLDS / near**2))

    def whole_top(self, low: Array) -> Array:
        """Where that density has decayed from its value at u = 0."""
        return self.top(np.zeros_like(low))


def _one(low: Array) -> Array:
    return np.ones_like(low)


def _zero(high: Array) -> Array:
    return np.zeros_like(high)


# --- C and P --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Order:
    """C or P as an expansion of C about an anchor, with an integral of K as the remainder."""

    weight: Weight
    reflected: float
    """Sign of the integral of K(-t) over 0 < t < -rho."""
    vanishes: Callable[[Line], Bool]
    """Whether phi (for C) or phi' (for P) is 0 near zero."""
    terms: Callable[[Array, Array, Array], Array]
    """Rows: terms of the expansion, from C and P at the anchor and the signed distance to it."""


_P = _Order(unit, -1.0, lambda line: line.flat, lambda c, p, t: (p + 0 * t)[None])
_C = _Order(
    distance, 1.0, lambda line: line.zero_near_origin, lambda c, p, t: np.stack([c + 0 * t, t * p])
)


def _from_zero(order: _Order, line: Line, rho: Array) -> Array:
    s, r = _Scaled.of(line, order.vanishes(line)), np.abs(rho)
    anchor = order.terms(*s.squares(r), rho).sum(axis=0)
    rise, _ = s.integrals(ABOVE).above(edge_of(r), s.top, order.weight)
    return np.asarray(s.factor(r) * (anchor + np.where(rho < 0, -order.reflected, 1.0) * rise))


def _from_minus_one(order: _Order, line: Line, rho: Array) -> Array:
    """All kinks on one side of zero, and K >= 0."""
    s = _Scaled.of(line, order.vanishes(line))
    scale2 = s.pieces.scale**2

    def bottom(edge: Array) -> Array:
        run = scale2 + 2 * FOLDS * edge**2
        return edge * s.pieces.scale / np.sqrt(np.where(run > 0, run, 1.0))

    rise, _ = s.mirrored(FALL).below(edge_of(-rho), bottom, order.weight)
    return np.asarray(s.factor(rho) * rise)


def _from_either(order: _Order, line: Line, rho: Array) -> Array:
    s, r = _Scaled.of(line, order.vanishes(line)), -rho
    edge, scale = edge_of(r), s.pieces.scale
    fall, fall_size = s.mirrored(ABOVE).above(edge, _one, order.weight)
    rise, rise_size = s.mirrored(UNDER).below(edge, _zero, order.weight)
    start = order.terms(*s.squares(r), rho)
    rest = np.exp(scale**2 * (1 / (1 + r) - 0.5))
    end = rest * order.terms(*at_minus_one(line, scale), 1 - r)
    nearer = np.abs(start).sum(axis=0) + fall_size < np.abs(end).sum(axis=0) + rise_size
    falling = start.sum(axis=0) + order.reflected * fall
    return np.asarray(s.factor(r) * np.where(nearer, falling, end.sum(axis=0) + rise))


# --- G --------------------------------------------------------------------------------------------


def _end(s: _Scaled, weight: Weight) -> Array:
    """int_0^1 weight K dt, one value for every line."""
    zero = np.zeros_like(s.gain)
    return np.asarray(s.integrals(WHOLE).above(zero, s.top, weight)[0])


def _square(s: _Scaled) -> Array:
    """(E phi')^2 over exp(-scale^2 / 2)."""
    return s.squares(np.ones(()))[1]


def _factor_at_one(s: _Scaled) -> Array:
    return s.factor(np.ones(()))


def _gap_from_one(line: Line, gap: Array) -> Array:
    """g P(1) less a small integral near t = 1."""
    s, edge = _Scaled.of(line, line.flat), np.sqrt(gap / (2 - gap))
    lost, _ = s.integrals(WHOLE).below(edge, _zero, distance)
    return np.asarray(_factor_at_one(s) * (gap * (_square(s) + _end(s, unit)) - lost))


def _gap_between(line: Line, gap: Array) -> Array:
    """g P(1 - g), and what K adds from there to 1."""
    s = _Scaled.of(line, line.flat)
    edge = np.minimum(np.sqrt(gap / (2 - gap)), s.whole_top(gap))
    near, _ = s.integrals(WHOLE).below(edge, _zero, below_one)
    rest, _ = s.integrals(WHOLE).above(edge, s.whole_top, unit)
    return np.asarray(_factor_at_one(s) * (gap * (_square(s) + rest) + near))


def _gap_from_zero(line: Line, gap: Array) -> Array:
    """C(1) - C(0) and on to r = 1 - g > 0, or to r < 0 if phi is odd."""
    s, r = _Scaled.of(line, line.flat), 1 - gap
    rise, _ = s.integrals(WHOLE).above(edge_of(np.abs(r)), s.whole_top, distance)
    return np.asarray(
        _factor_at_one(s) * (gap * _square(s) + _end(s, below_one) - np.sign(r) * rise)
    )


def _gap_beyond_zero(line: Line, gap: Array) -> Array:
    """C(1) - C(0) and on to r = 1 - g < 0."""
    s, edge = _Scaled.of(line, line.flat), np.sqrt((2 - gap) / gap)
    back, _ = s.mirrored(WHOLE).above(edge, _one, distance)
    return np.asarray(_factor_at_one(s) * (gap * _square(s) + _end(s, below_one) - back))


# --- routes ---------------------------------------------------------------------------------------


def _over_points(line: Line, x: ArrayLike, routes: Callable[[Line, Array], Routes]) -> Array:
    """Apply to every point the rule of its route."""
    x = np.asarray(x, dtype=np.float64)
    shape = np.broadcast_shapes(line.shape, x.shape)
    flat = np.broadcast_to(x, shape).reshape(-1)
    if line.value.size > 1 and line.shape != shape:
        entries = np.arange(line.value.size).reshape(line.shape)
        line = line.take(np.broadcast_to(entries, shape).reshape(-1))
    out = np.empty(flat.size)
    step = _SHARING if line.value.size == 1 else _CHUNK
    for first in range(0, flat.size, step):
        chunk = np.arange(first, min(first + step, flat.size))
        part = line.take(chunk)
        for mask, rule in routes(part, flat[chunk]):
            index = np.nonzero(np.broadcast_to(mask, chunk.shape))[0]
            if index.size:
                out[chunk[index]] = rule(part.take(index), flat[chunk[index]])
    return out.reshape(shape)


def _monotone(line: Line, rho: Array) -> Bool:
    """Whether all kinks are on one side of zero and K >= 0 on [-1, rho], rho < 0."""
    r = np.abs(rho)
    safe = line.nearest**2 * (1 + r) >= r * (1 - r)  # for thin pieces, the worst case
    monotone: Bool = line.one_sided & (safe | (len(line.kinks) == 1))
    return monotone


def _order_routes(order: _Order, line: Line, rho: Array) -> Routes:
    zero = (rho >= 0) | line.odd
    tail = ~zero & order.vanishes(line) & _monotone(line, rho)
    return [
        (zero, partial(_from_zero, order)),
        (tail, partial(_from_minus_one, order)),
        (~zero & ~tail, partial(_from_either, order)),
    ]


def slope_correlation(line: Line, rho: ArrayLike) -> Array:
    """P(rho) = E[phi'(z1) phi'(z2)], -1 <= rho <= 1; R' is sigma_w^2 P (Eqs. 11, 19)."""
    return _over_points(line, rho, partial(_order_routes, _P))


def correlation(line: Line, rho: ArrayLike) -> Array:
    """C(rho) = E[phi(z1) phi(z2)] in units of q, -1 <= rho <= 1 (Eq. 6)."""

    def routes(part: Line, r: Array) -> Routes:
        zero, tail, either = _order_routes(_C, part, r)
        thin = part.widths.min(axis=0, initial=np.inf) < _THIN
        cancels = either[0] & part.zero_near_origin & part.one_sided & thin & (r > -1)
        return [zero, tail, (cancels, value_one_sided), (either[0] & ~cancels, either[1])]

    return _over_points(line, rho, routes)


def correlation_gap(line: Line, gap: ArrayLike) -> Array:
    """G(gap) = C(1) - C(1 - gap) in units of q without cancellation, 0 <= gap <= 2."""

    def routes(part: Line, g: Array) -> Routes:
        beyond = (g > 1) & ~part.odd
        zero = (g > 0.3) & ~beyond
        thinnest = part.widths.min(axis=0, initial=np.inf) / 9
        small = np.minimum(thinnest, 0.5 / np.maximum(part.nearest, 1.0)) ** 2
        one = (g <= small) & (g <= 0.3)
        return [
            (beyond, _gap_beyond_zero),
            (zero, _gap_from_zero),
            (one, _gap_from_one),
            (~beyond & ~zero & ~one, _gap_between),
        ]

    gap = np.asarray(gap, dtype=np.float64)
    reflected = line.even.reshape(line.shape) & (gap > 1)  # G(2 - g) = G(g) of an even phi
    return _over_points(line, np.where(reflected, 2 - gap, gap), routes)
