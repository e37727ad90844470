"""The contribution of the kinks to E phi(u1) phi(u2) where u1 and u2 differ in variance (Eq. 4).

By Price's theorem, with u1 = sqrt(q1) z1, u2 = sqrt(q2) z2, correlation rho and slope jumps d_i,

    E phi(u1) phi(u2) = E phi(u1) E phi(u2) + sqrt(q1 q2) (rho E phi'(u1) E phi'(u2) + B(rho)),
    B(rho) = int_0^rho (rho - t) sum_ij d_i d_j N2(k_i / sqrt(q1), k_j / sqrt(q2); t) dt,

as for equal variances, but with different kinks for z1 and z2. With t = sin(theta) the bivariate
density loses its pole at |t| = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import scipy

from ..._types import Array

_RELATIVE = 1e-13  # tolerance, of the largest sum of absolute values
_ABSOLUTE = 1e-290  # tolerance, where all kinks are far out


def kink_integral(
    kinks1: Sequence[Array], kinks2: Sequence[Array], jumps: Sequence[float], rho: Array
) -> Array:
    """B(rho).

    Args:
        kinks1: the kinks k_i / sqrt(q1), each of the batch's shape.
        kinks2: the kinks k_j / sqrt(q2).
        jumps: the changes of slope d_i.
        rho: in [-1, 1].
    """
    angle = np.arcsin(rho)
    sign = np.where(rho < 0.0, -1.0, 1.0)
    first, second = zip(kinks1, jumps, strict=True), zip(kinks2, jumps, strict=True)
    pairs = [(a, sign * b, d * e) for (a, d), (b, e) in product(first, second)]

    def integrand(share: float) -> Array:
        s = np.sin(share * angle)
        terms = [weight * _scaled_density(a, b, np.abs(s)) for a, b, weight in pairs]
        # With the sum of absolute values, which is the larger: the tolerance is relative to it.
        sums = np.stack([sum(terms, np.zeros(rho.shape)), sum(map(np.abs, terms))])
        return np.asarray(angle * (rho - s) * sums)

    total, _ = scipy.integrate.quad_vec(
        integrand, 0.0, 1.0, epsabs=_ABSOLUTE, epsrel=_RELATIVE, norm="max"
    )
    return np.asarray(total[0] / (2.0 * np.pi))


def _scaled_density(a: Array, b: Array, s: Array) -> Array:
    """2 pi sqrt(1 - s^2) times the density of (z1, z2) with correlation s >= 0 at (a, b).

    (a^2 - 2 a b s + b^2) / (1 - s^2), split so that nothing cancels as s tends to 1.
    """
    apart = 0.5 * (a - b) ** 2
    ratio = np.divide(
        apart, (1.0 - s) * (1.0 + s), out=np.where(apart > 0.0, np.inf, 0.0), where=s < 1.0
    )
    return np.asarray(np.exp(-ratio - a * b / (1.0 + s)))
