"""The definitions, in 50-digit arithmetic, sharing no code with ``sparsity_theory``.

A ``Function`` is a list of straight pieces. Its Gaussian expectations are exact: on a piece they
are partial moments of a normal variable, whose antiderivatives are known. Derivatives in q are
taken numerically, at high precision, so no formula for V' or V'' is assumed. Two further routes
check these: ``mean_square_by_quadrature`` here, and SciPy's ``quad`` in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath

mp: Any = mpmath.mp.clone()
mp.dps = 50

Number = Any  # an mpmath number, or what can be made one exactly: int, float, str


@dataclass(frozen=True)
class Piece:
    """The line ``slope * x + intercept`` on ``[lower, upper]``."""

    lower: Number
    upper: Number
    slope: Number
    intercept: Number


@dataclass(frozen=True)
class Function:
    """A piecewise-linear function on the line."""

    pieces: tuple[Piece, ...]

    def __call__(self, x: Number) -> Number:
        """Value at x."""
        x = mp.mpf(x)
        piece = next(p for p in self.pieces if x <= p.upper)
        return piece.slope * x + piece.intercept if piece.slope else piece.intercept

    def kinks(self) -> list[Number]:
        """Where two pieces meet."""
        return [piece.upper for piece in self.pieces[:-1]]

    def mean(self, q: Number, integrand: Callable[[Piece], tuple[Number, ...]]) -> Number:
        """Sum over pieces of E[c_0 + c_1 z + c_2 z^2 + ...; z in piece], z standard normal."""
        root = mp.sqrt(q)
        total = mp.mpf(0)
        for piece in self.pieces:
            coefficients = integrand(piece)
            if any(coefficients):
                ends = piece.lower / root, piece.upper / root
                moments = partial_moments(*ends, len(coefficients) - 1)
                total += mp.fdot(coefficients, moments)
        return total

    def mean_square(self, q: Number) -> Number:
        """E[phi(sqrt(q) z)^2]."""
        root = mp.sqrt(q)
        return self.mean(
            q,
            lambda p: (
                p.intercept**2,
                2 * p.slope * p.intercept * root,
                (p.slope * root) ** 2,
            ),
        )

    def mean_square_by_quadrature(self, q: Number) -> Number:
        """The same, by numerical integration of the definition, split at the kinks."""
        root = mp.sqrt(q)
        ends = [-mp.inf, *(kink / root for kink in self.kinks()), mp.inf]
        return mp.quad(lambda z: self(root * z) ** 2 * mp.npdf(z), ends)

    def mean_square_slope(self, q: Number) -> Number:
        """d/dq of E[phi(sqrt(q) z)^2], numerically."""
        return mp.diff(self.mean_square, mp.mpf(q), 1, relative=True)

    def mean_square_curvature(self, q: Number) -> Number:
        """The second derivative of E[phi(sqrt(q) z)^2] in q, numerically."""
        with mp.workdps(80):  # V'' of a thin piece is small beside V / q^2
            return mp.diff(self.mean_square, mp.mpf(q), 2, relative=True)

    def mean_square_derivative(self, q: Number) -> Number:
        """E[phi'(sqrt(q) z)^2]."""
        return self.mean(q, lambda p: (p.slope**2,))

    def mass_of_zeros(self, q: Number) -> Number:
        """P(phi(sqrt(q) z) = 0)."""
        return self.mean(q, lambda p: (mp.mpf(p.slope == 0 and p.intercept == 0),))


def partial_moments(lower: Number, upper: Number, most: int = 2) -> list[Number]:
    """Integrals of 1, z, ..., z^most against the standard normal density from lower to upper."""
    if lower < 0 and upper < -lower:  # reflect, so that tails are differences of small numbers
        reflected = partial_moments(-upper, -lower, most)
        return [moment if k % 2 == 0 else -moment for k, moment in enumerate(reflected)]
    ends = [(x, mp.npdf(x)) for x in (lower, upper)]
    moments = [(mp.erfc(lower / mp.sqrt(2)) - mp.erfc(upper / mp.sqrt(2))) / 2]
    for k in range(1, most + 1):  # by parts: z^k = z^(k - 1) z
        at_lower, at_upper = (x ** (k - 1) * g if mp.isfinite(x) else mp.mpf(0) for x, g in ends)
        below = (k - 1) * moments[k - 2] if k > 1 else mp.mpf(0)
        moments.append(at_lower - at_upper + below)
    return moments


def from_knots(knots: list[float], slopes: list[float], offset: float = 0.0) -> Function:
    """The continuous function with these slopes and the value ``offset`` at the first knot."""
    points = [mp.mpf(knot) for knot in knots]
    rises = [mp.mpf(slope) for slope in slopes]
    pieces = [Piece(-mp.inf, points[0], rises[0], mp.mpf(offset) - rises[0] * points[0])]
    for i, start in enumerate(points):
        upper = points[i + 1] if i + 1 < len(points) else mp.inf
        value = pieces[-1].slope * start + pieces[-1].intercept
        pieces.append(Piece(start, upper, rises[i + 1], value - rises[i + 1] * start))
    return Function(tuple(pieces))


def of_kind(kind: str, tau: Number, m: Number | None = None) -> Function:
    """One of the paper's four activations, with its kinks at exactly tau and tau + m."""
    tau = mp.mpf(tau)
    zero = mp.mpf(0)
    end = mp.inf if m is None else tau + mp.mpf(m)
    right = [Piece(tau, end, mp.mpf(1), -tau)]
    if m is not None:
        right.append(Piece(end, mp.inf, zero, mp.mpf(m)))
    if kind in ("relu", "crelu"):
        return Function((Piece(-mp.inf, tau, zero, zero), *right))
    left = [Piece(-p.upper, -p.lower, p.slope, -p.intercept) for p in reversed(right)]
    return Function((*left, Piece(-tau, tau, zero, zero), *right))


def phi(kind: str, x: float, tau: float, m: float = math.inf) -> Number:
    """The four activations, case by case as Eqs. 7-10 write them, in exact arithmetic."""
    x, tau, m = mp.mpf(x), mp.mpf(tau), mp.mpf(m)
    size = x if kind in ("relu", "crelu") else abs(x)
    sign = 1 if kind in ("relu", "crelu") else mp.sign(x)
    if size <= tau:
        return mp.mpf(0)
    return sign * (size - tau) if size <= tau + m else sign * m


def normal_cdf(z: Number) -> Number:
    """Phi(z)."""
    return mp.erfc(-mp.mpf(z) / mp.sqrt(2)) / 2


def normal_quantile(p: Number) -> Number:
    """The inverse of Phi."""
    p = mp.mpf(p)
    return mp.sqrt(2) * mp.erfinv(2 * p - 1)
