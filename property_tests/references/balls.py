"""The mean-field theory of the four kinds in ball arithmetic, sharing no code with the library.

Every function takes and returns balls (``flint.arb``) and encloses its values on them, so a sign
that comes out is a proof. All depends on the scaled threshold a = tau / sqrt(q) and the scaled clip
w = m / sqrt(q); z = a + w is the upper kink. ``mass`` to ``curvature`` are one-sided expectations
over z normal, where phi is t = z - a on the ramp, 0 < t < w, and w above it:

    mass         E[phi'^2]    integral of gamma(a + t)             over 0 < t < w
    mean_square  E[phi^2]     integral of 2 t P(Z > a + t)
    slope        q-slope      integral of t (a + t) gamma(a + t)
    curvature    q-curvature  integral of t He_3(a + t) gamma(a + t) / 2

with gamma the normal density and He_3(x) = x^3 - 3x. For given tau and m, ``slope`` is the first
derivative in q of E[phi(sqrt(q) z)^2] = q ``mean_square``, and ``curvature`` is q times the second:
by the heat equation these are E[phi^2 He_2(z)] / 2q and q E[phi^2 He_4(z)] / 4q^2, and an
integration by parts takes He_2 to He_1 and He_4 to He_3. The odd kinds have twice each, and
``w = None`` is the unclipped kind, w to infinity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

from flint import acb, arb

Clip: TypeAlias = arb | None

ONE_SIDED = ("relu", "crelu")


# ---------------------------------------------------------------- one-sided expectations


def density(z: arb) -> arb:
    """The standard normal density, gamma."""
    return (-z * z / 2).exp() / (2 * arb.pi()).sqrt()


def tail(z: arb) -> arb:
    """P(Z > z), Z standard normal."""
    return (z / arb(2).sqrt()).erfc() / 2


def quantile(p: arb) -> arb:
    """Where P(Z < z) = p."""
    return arb(2).sqrt() * (2 * p - 1).erfinv()


def mass(a: arb, w: Clip) -> arb:
    """E[phi'^2], the normal mass of the ramp."""
    if w is None:
        return tail(a)
    between = w * density(a.union(a + w))  # by the mean value, better where the ramp is thin
    return (tail(a) - tail(a + w)).intersection(between)


def mean_square(a: arb, w: Clip) -> arb:
    """E[phi^2]."""
    if w is None:
        return (1 + a * a) * tail(a) - a * density(a)
    ramp = (1 + a * a) * mass(a, w) + (a - w) * density(a + w) - a * density(a)
    return ramp + w * w * tail(a + w)


def slope(a: arb, w: Clip) -> arb:
    """d/dq of q E[phi^2]."""
    return mass(a, w) if w is None else mass(a, w) - w * density(a + w)


def curvature(a: arb, w: Clip) -> arb:
    """Q times the second derivative in q of q E[phi^2]."""
    at_threshold = a * density(a)
    if w is None:
        return at_threshold / 2
    return (at_threshold - (a + w * (a + w) ** 2) * density(a + w)) / 2


def stability(a: arb, w: arb) -> arb:
    """V'(q*) on the edge of chaos: ``slope`` over ``mass``."""
    return 1 - w * density(a + w) / mass(a, w)


def stability_growth(a: arb, w: arb) -> arb:
    """The derivative of ``stability`` in w."""
    whole, z = mass(a, w), a + w
    return -density(z) * ((1 - w * z) * whole - w * density(z)) / whole**2


# ---------------------------------------------------------------- networks


@dataclass(frozen=True)
class Network:
    """One of the four kinds with its variances sigma_w^2 and sigma_b^2."""

    kind: str
    tau: arb
    m: Clip
    sigma_w2: arb
    sigma_b2: arb

    @property
    def gain(self) -> arb:
        """sigma_w^2 times the number of sides of phi."""
        return self.sigma_w2 if self.kind in ONE_SIDED else 2 * self.sigma_w2

    def scaled(self, q: arb) -> tuple[arb, Clip]:
        """tau / sqrt(q) and m / sqrt(q)."""
        return self.tau / q.sqrt(), None if self.m is None else self.m / q.sqrt()

    def variance_map(self, q: arb) -> arb:
        """V, Eq. 3."""
        return self.gain * q * mean_square(*self.scaled(q)) + self.sigma_b2

    def variance_slope(self, q: arb) -> arb:
        """V'."""
        return self.gain * slope(*self.scaled(q))

    def variance_curvature(self, q: arb) -> arb:
        """V''."""
        return self.gain * curvature(*self.scaled(q)) / q

    def chi(self, q: arb) -> arb:
        """chi, Eq. 11."""
        return self.gain * mass(*self.scaled(q))

    def highest(self) -> arb:
        """A bound of V for the clipped kinds: P(Z > tau) <= 1/2 on each side, phi <= m."""
        assert self.m is not None
        return self.gain * self.m**2 / 2 + self.sigma_b2


def with_chi(kind: str, tau: arb, m: Clip = None, q: arb | int = 1, chi: arb | int = 1) -> Network:
    """The network with the fixed point q at which chi_1 is ``chi``; 1 is the edge of chaos.

    sigma_b^2 comes out negative where there is none.
    """
    q = arb(q)
    unit = Network(kind, tau, m, arb(1), arb(0))
    sigma_w2 = chi / unit.chi(q)
    return Network(kind, tau, m, sigma_w2, q - sigma_w2 * unit.variance_map(q))


# ---------------------------------------------------------------- correlation maps


NEAR = arb(1) / 64
"""An angle so small that unequal kinks are no longer seen together below it."""

Pair: TypeAlias = tuple[int, arb | None, arb | None]
"""Of two kinks: the product of the jumps, the difference and the sum (None if exactly zero).

The product is that of all pairs that are alike, added up."""


@dataclass(frozen=True)
class CorrelationMap:
    """R of a network at a fixed point q, as a function of the angle theta with rho = cos theta.

    By Price's theorem R'' = q sigma_w^2 E[phi''(u_1) phi''(u_2)]: the derivative of phi jumps by
    +1 or -1 at its kinks, so this is a sum over pairs of kinks k, l (over sqrt(q)) of the bivariate
    normal density, whose exponent is -(k - l)^2 / (8 sin^2(theta / 2)) - (k + l)^2 / (8
    cos^2(theta / 2)). With R(1) = 1 and R'(1) = chi_1, R follows by integrating twice.
    """

    network: Network
    q: arb

    def bending(self, theta: arb) -> arb:
        """sin(theta) R''(cos theta), for 0 <= theta < pi; the angle may be wide."""
        bending: arb = _bending(theta, self._pairs())
        return self._scale() * bending

    def slope(self, theta: arb) -> arb:
        """R'(cos theta), for NEAR < theta <= pi - NEAR."""
        return self.network.chi(self.q) - self._integral(lambda t: acb(1), theta)

    def value(self, theta: arb) -> arb:
        """R(cos theta), for NEAR < theta <= pi - NEAR."""
        cosine = theta.cos()
        bent = self._integral(lambda t: t.cos() - cosine, theta)
        return 1 - self.network.chi(self.q) * (1 - cosine) + bent

    def _integral(self, weight: Callable[[acb], acb], theta: arb) -> arb:
        """Integral of weight times bending from 0 to theta, where the weight is at most 2."""
        equal = [pair for pair in self._pairs() if pair[1] is None]
        apart = [pair for pair in self._pairs() if pair[1] is not None]
        seen = (_decay(difference, (NEAR / 2).sin() ** 2) for _, difference, _ in apart)
        rest = 2 * NEAR * sum(seen, arb(0))  # of unequal kinks, from 0 to NEAR: at most at NEAR
        whole = _weighted(weight, equal, arb(0), theta) + _weighted(weight, apart, NEAR, theta)
        return self._scale() * (whole + rest.union(-rest))

    def _scale(self) -> arb:
        return self.network.sigma_w2 / (2 * arb.pi())

    def _pairs(self) -> list[Pair]:
        a, w = self.network.scaled(self.q)
        kinks = [(1, 1, a)] if w is None else [(1, 1, a), (2, -1, a + w)]
        if self.network.kind not in ONE_SIDED:
            mirrored = [(-name, -jump, -kink) for name, jump, kink in kinks]
            kinks = [each for each in kinks + mirrored if not each[2].is_zero()]  # these cancel
        alike: dict[tuple[int, int], Pair] = {}  # in either order, and mirrored
        for (name, jump, kink), (other_name, other_jump, other) in product(kinks, repeat=2):
            order = min((name, other_name), (other_name, name))
            key = min(order, (-order[1], -order[0]))
            alike[key] = (
                jump * other_jump + (alike[key][0] if key in alike else 0),
                None if name == other_name else kink - other,
                None if name == -other_name else kink + other,
            )
        return list(alike.values())


def _weighted(weight: Callable[[acb], acb], pairs: list[Pair], start: arb, end: arb) -> arb:
    return acb.integral(lambda t, _: weight(t) * _bending(t, pairs), start, end).real


def _bending(t: Any, pairs: Iterable[Pair]) -> Any:
    """Sum over pairs of kinks at an angle, real or complex, both of which may be wide."""
    sine, cosine = (t / 2).sin() ** 2, (t / 2).cos() ** 2
    return sum(jumps * _decay(apart, sine) * _decay(both, cosine) for jumps, apart, both in pairs)


def _decay(x: arb | None, y: Any) -> Any:
    """exp(-x^2 / 8y), or one for no x; y >= 0 if it is real, and zero at y = 0."""
    if x is None:
        return 1
    if isinstance(y, arb) and 0 in y:
        return arb(0).union((-(x * x).lower() / (8 * y.upper())).exp())
    return (-x * x / (8 * y)).exp()
