"""Exact calculus with polynomials times normal densities and tails, for proofs without a bound.

A ``Form`` is P_1 P(Z > z) + P_2 gamma(z) + P_3 P(Z > a) + P_4 gamma(a) with z = a + w, gamma the
normal density and P_1 to P_4 polynomials in a and w with rational coefficients. Derivatives of
forms are forms, computed exactly. So "F vanishes at w = 0 and its derivative is a polynomial with
positive coefficients times gamma(z)" is decided by comparing integers, and proves F > 0 for every
a >= 0 and w > 0: no box, no rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flint import Ordering, arb, fmpq_mpoly, fmpq_mpoly_ctx

from property_tests.references.balls import density, tail

_RING = fmpq_mpoly_ctx.get(("a", "w"), Ordering.lex)

A, W = _RING.gens()
"""The scaled threshold a = tau / sqrt(q) and the scaled clip w = m / sqrt(q)."""

Z = A + W
"""The upper kink."""

ZERO, ONE = _RING.constant(0), _RING.constant(1)


def he(n: int, x: fmpq_mpoly) -> fmpq_mpoly:
    """The Hermite polynomial He_n."""
    before, now = ZERO, ONE
    for k in range(n):
        before, now = now, x * now - k * before
    return now


@dataclass(frozen=True)
class Form:
    """Polynomials before P(Z > z), gamma(z), P(Z > a) and gamma(a)."""

    tail_z: fmpq_mpoly = field(default_factory=lambda: ZERO)
    density_z: fmpq_mpoly = field(default_factory=lambda: ZERO)
    tail_a: fmpq_mpoly = field(default_factory=lambda: ZERO)
    density_a: fmpq_mpoly = field(default_factory=lambda: ZERO)

    def __add__(self, other: Form) -> Form:
        """The sum, exactly."""
        return Form(*(x + y for x, y in zip(self._parts(), other._parts(), strict=True)))

    def __sub__(self, other: Form) -> Form:
        """The difference, exactly."""
        return self + other.times(-ONE)

    def times(self, factor: fmpq_mpoly) -> Form:
        """The product with a polynomial."""
        return Form(*(factor * part for part in self._parts()))

    def derivative_w(self) -> Form:
        """The derivative in w: P(Z > z)' = -gamma(z) and gamma(z)' = -z gamma(z)."""
        d_tail, d_density, *rest = (part.derivative("w") for part in self._parts())
        return Form(d_tail, d_density - self.tail_z - Z * self.density_z, *rest)

    def derivative_a(self) -> Form:
        """The derivative in a, on which z depends as well."""
        d_tail_z, d_density_z, d_tail_a, d_density_a = (p.derivative("a") for p in self._parts())
        return Form(
            d_tail_z,
            d_density_z - self.tail_z - Z * self.density_z,
            d_tail_a,
            d_density_a - self.tail_a - A * self.density_a,
        )

    def without_ramp(self) -> Form:
        """The value at w = 0, where z = a."""
        tail_z, density_z, tail_a, density_a = (part.subs({"w": 0}) for part in self._parts())
        return Form(tail_a=tail_z + tail_a, density_a=density_z + density_a)

    def unclipped(self) -> Form:
        """The limit as w grows: gamma(z) and P(Z > z) outdo every polynomial."""
        assert self.tail_a.derivative("w") == self.density_a.derivative("w") == ZERO
        return Form(tail_a=self.tail_a, density_a=self.density_a)

    def without_threshold(self) -> Form:
        """The value at a = 0, where P(Z > a) = 1/2; of a form without a ramp."""
        assert self.tail_z == self.density_z == ZERO
        return Form(*(part.subs({"a": 0}) for part in self._parts()))

    def value(self, a: arb, w: arb) -> arb:
        """The form in balls."""
        basis = tail(a + w), density(a + w), tail(a), density(a)
        terms = (_value(p, a, w) * b for p, b in zip(self._parts(), basis, strict=True))
        return sum(terms, arb(0))

    def _parts(self) -> tuple[fmpq_mpoly, ...]:
        return self.tail_z, self.density_z, self.tail_a, self.density_a


def positive_everywhere(polynomial: fmpq_mpoly) -> bool:
    """Whether positive coefficients show it to be positive for all a >= 0 and w > 0."""
    terms = polynomial.to_dict()
    return all(c > 0 for c in terms.values()) and any(power == 0 for power, _ in terms)


def positive_for_positive_a(polynomial: fmpq_mpoly) -> bool:
    """Whether positive coefficients show it to be positive for all a > 0 and w > 0."""
    terms = polynomial.to_dict()
    return bool(terms) and all(c > 0 for c in terms.values())


def _value(polynomial: fmpq_mpoly, a: arb, w: arb) -> arb:
    terms = polynomial.to_dict().items()
    return sum((arb(c) * a**i * w**j for (i, j), c in terms), arb(0))


# The expectations of ``balls``, one-sided, for q = 1.
MASS = Form(tail_z=-ONE, tail_a=ONE)
MEAN_SQUARE = Form(tail_z=W**2 - 1 - A**2, density_z=A - W, tail_a=1 + A**2, density_a=-A)
SLOPE = MASS - Form(density_z=W)
CURVATURE = Form(density_z=-(A + W * Z**2), density_a=A).times(ONE / 2)
