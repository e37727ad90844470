"""Power series in exact rational arithmetic, where cancellation costs nothing.

A series is the list of its first coefficients, as fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

Series = list[Fraction]


def product(a: Sequence[Fraction], b: Sequence[Fraction]) -> Series:
    """a b, to as many coefficients as the shorter has."""
    number = min(len(a), len(b))
    return [sum((a[j] * b[n - j] for j in range(n + 1)), Fraction()) for n in range(number)]


def power(a: Sequence[Fraction], exponent: int) -> Series:
    """a^exponent, of either sign, for a series that begins with 1 (Euler's recurrence)."""
    powers = [Fraction(1)]
    for n in range(1, len(a)):
        terms = ((exponent * j - (n - j)) * a[j] * powers[n - j] for j in range(1, n + 1))
        powers.append(sum(terms, Fraction()) / n)
    return powers


def reversion(a: Sequence[Fraction]) -> Series:
    """b such that w = y b(y) inverts y = w a(w), for a that begins with 1.

    Lagrange: the coefficient of y^n in w is that of w^(n - 1) in a(w)^(-n), over n.
    """
    return [power(a[: n + 1], -(n + 1))[n] / (n + 1) for n in range(len(a))]
