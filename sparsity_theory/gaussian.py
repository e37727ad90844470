"""Partial moments of the standard normal distribution, exact far into its tails (Eqs. 33-36).

With gamma the standard normal density, everything here is an integral of a power against gamma
over a half line or an interval of it:

    tail moments      T_k(a)    = int_a^inf (z - a)^k gamma(dz) = gamma(a) t_k(a),
    interval moments  G_k(a, w) = int_a^{a+w} (z - a)^k gamma(dz),      k = 0, 1, 2, a >= 0.

Eq. 36 gives them as differences such as T_1 = gamma(a) - a (1 - Phi(a)), which lose all digits
for large a; thin intervals lose them again. Here no difference of nearly equal numbers is formed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx

from ._types import Array
from .double_double import exp_minus_half_square

_FALSE = np.zeros((), dtype=np.bool_)
_SQRT_HALF = np.sqrt(0.5)
_SQRT_HALF_PI = np.sqrt(0.5 * np.pi)
_INV_SQRT_2PI = 1.0 / np.sqrt(2.0 * np.pi)

# (a + 2)^3 t_2(a) in powers of (a - 5) / (a + 5), printed by tools/fit_second_tail_moment.py.
_SECOND_TAIL_MOMENT = (
    4.462677851185991,
    -4.4223534860011675,
    2.678453133739717,
    -0.4248483489581941,
    -0.8790828952777212,
    0.9333719843040179,
    -0.38693961548852013,
    -0.04874026877268239,
    0.14762663933508036,
    -0.06625640145083589,
    -0.0060764323598490565,
    0.0178088292493081,
    -0.004593016061562721,
    -0.0024854426836130724,
    0.001466518115780169,
    0.00027209412817369324,
    -0.0003345952708075582,
    -2.931117766246218e-05,
    7.144181396662398e-05,
    4.7958748366738425e-06,
    -1.4992960771663448e-05,
    -1.236887794362592e-06,
    2.9259695275052667e-06,
    2.7401096403707734e-07,
    -4.5244134946116377e-07,
    -3.089735174804483e-08,
    3.8962520103293016e-08,
)

# Points and widths are cut here, far beyond the last a with gamma(a) > 0, which is 38.6.
FAR = 1e3

# Intervals over which a z changes by at most this are integrated by Gauss-Legendre, the others
# taken as differences of tails, which then lose less than a factor of six.
_THIN = 2.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_NODES, _WEIGHTS = 0.5 * (_NODES[:, None] + 1.0), 0.5 * _WEIGHTS[:, None]  # on [0, 1]


def mills_ratio(a: Array) -> Array:
    """t_0(a) = (1 - Phi(a)) / gamma(a), for a >= 0."""
    return np.asarray(_SQRT_HALF_PI * erfcx(_SQRT_HALF * a))


def scaled_second_moment(a: Array) -> Array:
    """t_2(a) = int_0^inf t^2 exp(-a t - t^2 / 2) dt for a >= 0, to a few ulps."""
    y = (a - 5.0) / (a + 5.0)
    moment = np.full_like(y, _SECOND_TAIL_MOMENT[-1])
    for coefficient in _SECOND_TAIL_MOMENT[-2::-1]:
        moment *= y
        moment += coefficient
    moment /= (a + 2.0) ** 3
    return moment


def density(high: Array, low: Array, q: Array) -> Array:
    """gamma((high + low) / sqrt(q)), to a few ulps however far out."""
    return np.asarray(_INV_SQRT_2PI * exp_minus_half_square(high, low, q))


class Tail:
    """The half line beyond a = (high + low) / sqrt(q) >= 0; moments are computed when asked for.

    ``cut`` marks ends that are no knot but the origin, where a piece was cut into two halves: what
    the two halves have at that end cancels, and is left out of the Hermite moments of both.
    """

    def __init__(self, high: Array, low: Array, q: Array, cut: NDArray[np.bool_] = _FALSE) -> None:
        far = FAR * np.sqrt(q)
        self._high, self._low, self._q = np.minimum(high, far), np.where(high < far, low, 0.0), q
        self.cut = cut

    @cached_property
    def a(self) -> Array:
        """Where the half line begins."""
        return np.asarray((self._high + self._low) / np.sqrt(self._q))

    @cached_property
    def density(self) -> Array:
        """gamma(a)."""
        return density(self._high, self._low, self._q)

    @cached_property
    def moment0(self) -> Array:
        """T_0(a) = 1 - Phi(a)."""
        return self.density * mills_ratio(self.a)

    @cached_property
    def moment1(self) -> Array:
        """T_1(a) = gamma(a) - a (1 - Phi(a)), from T_2 = T_0 - a T_1 where that would cancel."""
        a = self.a
        return np.where(
            a > 1.0,
            (self.moment0 - self.moment2) / np.maximum(a, 1.0),
            self.density - a * self.moment0,
        )

    @cached_property
    def moment2(self) -> Array:
        """T_2(a) = (1 + a^2) (1 - Phi(a)) - a gamma(a)."""
        return self.density * scaled_second_moment(self.a)

    @cached_property
    def hermite0(self) -> Array:
        """int He_3(z) gamma(dz) = He_2(a) gamma(a), with He_3(z) = z^3 - 3 z, He_2(z) = z^2 - 1."""
        return np.where(self.cut, 0.0, (self.a**2 - 1.0) * self.density)

    @cached_property
    def hermite1(self) -> Array:
        """int (z - a) He_3(z) gamma(dz) = a gamma(a)."""
        return self.a * self.density


class Interval:
    """The interval from ``left.a`` to ``right.a``; moments about its left end, when asked for.

    ``width`` stands beside the two ends since it is known better than their difference.
    """

    def __init__(self, left: Tail, right: Tail, width: Array) -> None:
        self.left, self.right = left, right
        self.width = width

    @cached_property
    def moment0(self) -> Array:
        """G_0 = Phi(a + w) - Phi(a)."""
        return self._choose(self.left.moment0 - self.right.moment0, lambda t, z: 1.0)

    @cached_property
    def moment1(self) -> Array:
        """G_1 = int (z - a) gamma(dz)."""
        left, right, w = self.left, self.right, self.width
        thick = left.moment1 - right.moment1 - w * right.moment0
        return self._choose(thick, lambda t, z: t)

    @cached_property
    def moment2(self) -> Array:
        """G_2 = int (z - a)^2 gamma(dz)."""
        left, right, w = self.left, self.right, self.width
        thick = left.moment2 - right.moment2 - w * (2.0 * right.moment1 + w * right.moment0)
        return self._choose(thick, lambda t, z: t * t)

    @cached_property
    def hermite0(self) -> Array:
        """int He_3(z) gamma(dz)."""
        thick = self.left.hermite0 - (self.right.a**2 - 1.0) * self.right.density
        chosen = self._choose(thick, lambda t, z: z * (z * z - 3.0))
        return np.where(self.left.cut, thick, chosen)

    @cached_property
    def hermite1(self) -> Array:
        """int (z - a) He_3(z) gamma(dz)."""
        left, right = self.left, self.right
        thick = left.hermite1 - right.density * (left.a + self.width * right.a**2)
        chosen = self._choose(thick, lambda t, z: t * z * (z * z - 3.0))
        return np.where(left.cut, thick, chosen)

    @cached_property
    def _thin(self) -> NDArray[np.bool_]:
        return self.width * (self.left.a + 0.5 * self.width) <= _THIN

    @cached_property
    def _nodes(self) -> tuple[Array, Array, Array]:
        """Of the thin intervals: distances t from the left end, positions z, weights."""
        shape = self._thin.shape
        a, gamma, w = (
            np.broadcast_to(x, shape)[self._thin]
            for x in (self.left.a, self.left.density, self.width)
        )
        t = w * _NODES
        weights = (gamma * w) * (_WEIGHTS * np.exp(-t * (a + 0.5 * t)))
        return t, a + t, weights

    def _choose(self, thick: Array, power: Callable[[Array, Array], Array | float]) -> Array:
        """``thick``, with the integrals of ``power(t, z)`` put in where the interval is thin."""
        if not np.any(self._thin):
            return np.asarray(thick)
        t, z, weights = self._nodes
        moment = np.array(np.broadcast_to(thick, self._thin.shape))
        moment[self._thin] = (weights * power(t, z)).sum(axis=0)
        return moment
