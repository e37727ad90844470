"""Derive the polynomial that ``sparsity_theory.numerics.gaussian`` uses for the second tail moment.

The moment t_2(a) = int_0^inf t^2 exp(-a t - t^2/2) dt equals (1 + a^2) t_0(a) - a, where t_0 is
Mills' ratio; in double precision that difference loses every digit for large a. The product
(a + 2)^3 t_2(a) is smooth and bounded on [0, inf), so it is interpolated by Chebyshev polynomials
in y = (a - 5) / (a + 5), with 60 digits, and printed as coefficients of powers of y.

Run: ``python tools/precompute/second_tail_moment.py``
"""

from __future__ import annotations

import mpmath as mp

POLE, SHIFT, NODES, DEGREE = 5, 2, 64, 26


def second_tail_moment(a: mp.mpf) -> mp.mpf:
    """t_2(a) with about 60 correct digits, for 0 <= a <= 1e6."""
    with mp.workdps(90 + int(6 * mp.log10(a + 1))):
        mills = mp.sqrt(mp.pi / 2) * mp.erfc(a / mp.sqrt(2)) * mp.exp(a * a / 2)
        return (1 + a * a) * mills - a


def chebyshev_coefficients() -> list[mp.mpf]:
    """Coefficients of (a + SHIFT)^3 t_2(a) in the Chebyshev polynomials of y, up to DEGREE."""
    angles = [mp.pi * (2 * j + 1) / (2 * NODES) for j in range(NODES)]
    values = []
    for angle in angles:
        y = mp.cos(angle)
        a = POLE * (1 + y) / (1 - y)
        values.append((a + SHIFT) ** 3 * second_tail_moment(a))
    coefficients = [
        2 * mp.fsum(v * mp.cos(n * angle) for v, angle in zip(values, angles, strict=True)) / NODES
        for n in range(DEGREE + 1)
    ]
    coefficients[0] /= 2
    return coefficients


def powers_of_y(chebyshev: list[mp.mpf]) -> list[mp.mpf]:
    """The same polynomial in powers of y, lowest first."""
    before, current = [mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]
    powers = [mp.mpf(0)] * len(chebyshev)
    for coefficient in chebyshev:
        for power, factor in enumerate(before):
            powers[power] += coefficient * factor
        following = [mp.mpf(0)] + [2 * factor for factor in current]
        for power, factor in enumerate(before):
            following[power] -= factor
        before, current = current, following
    return powers


if __name__ == "__main__":
    mp.mp.dps = 60
    for power in powers_of_y(chebyshev_coefficients()):
        print(f"    {float(power)!r},")
