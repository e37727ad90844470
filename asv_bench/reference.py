"""The theory to far more digits than a float has, from its definitions alone; needs mpmath.

Differentiating the normal density under the integral sign turns V' and V'' into expectations of
phi^2 times a polynomial: with z standard normal and x = sqrt(q) z,

    V(q) = E phi(x)^2
    V'(q) = E phi(x)^2 (z^2 - 1) / (2 q)
    V''(q) = E phi(x)^2 (z^4 - 6 z^2 + 3) / (4 q^2)

at sigma_w^2 = 1 and sigma_b^2 = 0. Each is a sum of partial moments of z over the straight pieces
of phi, exact but full of cancellation, hence the many digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    import mpmath

    mp: Any = mpmath.mp
except ModuleNotFoundError:  # asv imports every module here; who needs this one says so
    mp = None

Number = Any  # an mpmath number

DIGITS = 120
"""A clip at 12 standard deviations leaves V'' = 1e-27 as a difference of numbers of order one."""

HERMITE = {"V": [1], "V'": [-1, 0, 1], "V''": [3, 0, -6, 0, 1]}
"""Coefficients of 1, z, z^2, ..."""


def expectation(quantity: str, tau: float, m: float | None, sides: int, q: float) -> Number:
    """V, V' or V'' at q of the activation with threshold tau and clip m (None: unclipped).

    ``sides`` is 1 for the one-sided kinds and 2 for the odd ones.
    """
    with mp.workdps(DIGITS):
        root = mp.sqrt(q)
        start = mp.mpf(tau) / root
        end = mp.inf if m is None else (mp.mpf(tau) + mp.mpf(m)) / root
        height = mp.mpf(0) if m is None else mp.mpf(m)
        polynomial = [mp.mpf(c) for c in HERMITE[quantity]]
        ramp = [root**2 * c for c in (start**2, -2 * start, mp.mpf(1))]
        rising = mp.fdot(_product(ramp, polynomial), _moments(start, end))
        flat = height**2 * mp.fdot(polynomial, _moments(end, mp.inf)[: len(polynomial)])
        order = quantity.count("'")
        return sides * (rising + flat) / (2 * mp.mpf(q)) ** order


def slope_mass(tau: float, m: float | None, sides: int, q: float) -> Number:
    """E phi'(x)^2, which is chi at sigma_w^2 = 1, and 1 / sigma_w^2 on the edge of chaos."""
    with mp.workdps(DIGITS):
        start = mp.mpf(tau) / mp.sqrt(q)
        end = mp.inf if m is None else (mp.mpf(tau) + mp.mpf(m)) / mp.sqrt(q)
        return sides * _moments(start, end)[0]


def edge_bias(tau: float, m: float | None, sides: int, q: float) -> Number:
    """sigma_b^2 on the edge of chaos with q* = q."""
    with mp.workdps(DIGITS):
        return q - expectation("V", tau, m, sides, q) / slope_mass(tau, m, sides, q)


def threshold(s: float, sides: int, q: float) -> Number:
    """tau that silences a share s of the units (Eq. 57)."""
    with mp.workdps(DIGITS):
        inner = mp.mpf(s) if sides == 2 else 2 * mp.mpf(s) - 1
        return mp.sqrt(2 * mp.mpf(q)) * mp.erfinv(inner)


def clip(s: float, slope: float, sides: int, q: float, *, near: float) -> Number:
    """m that gives V'(q) = slope on the edge of chaos with q* = q, the one ``near`` a number."""
    tau = threshold(s, sides, q)

    def excess(m: Number) -> Number:
        return expectation("V'", tau, m, sides, q) / slope_mass(tau, m, sides, q) - slope

    return _root(excess, near)


def fixed_point(
    sides: int, tau: float, m: float, sigma_w2: float, sigma_b2: float, *, near: float
) -> Number:
    """q with sigma_w^2 V(q) + sigma_b^2 = q, the one ``near`` a number."""

    def excess(q: Number) -> Number:
        return mp.mpf(sigma_w2) * expectation("V", tau, m, sides, q) + mp.mpf(sigma_b2) - q

    return _root(excess, near)


def _root(function: Callable[[Number], Number], near: float) -> Number:
    with mp.workdps(DIGITS):
        start = mp.mpf(near)
        pair = start, start * (1 + mp.mpf(10) ** -8)
        return mp.findroot(function, pair, solver="secant", tol=mp.mpf(10) ** -DIGITS)


def _product(a: list[Number], b: list[Number]) -> list[Number]:
    """Coefficients of the product of two polynomials, padded to degree 6."""
    result = [mp.mpf(0)] * 7
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            result[i + j] += x * y
    return result


def _moments(lower: Number, upper: Number) -> list[Number]:
    """Integrals of 1, z, ..., z^6 against the normal density from ``lower`` to ``upper``."""
    moments = [
        (mp.erfc(lower / mp.sqrt(2)) - mp.erfc(upper / mp.sqrt(2))) / 2,
        mp.npdf(lower) - mp.npdf(upper),
    ]
    for power in range(2, 7):
        boundary = _boundary(lower, power) - _boundary(upper, power)
        moments.append(boundary + (power - 1) * moments[power - 2])
    return moments


def _boundary(z: Number, power: int) -> Number:
    return z ** (power - 1) * mp.npdf(z) if mp.isfinite(z) else mp.mpf(0)
