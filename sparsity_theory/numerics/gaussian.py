"""Partial moments of the standard normal distribution, exact far into its tails (Eqs. 33-36).

With gamma the standard normal density, everything here is an integral of a power against gamma
over a half line or an interval of it:

    tail moments      T_k(a)    = int_a^inf (z - a)^k gamma(dz) = gamma(a) t_k(a),
    interval moments  G_k(a, w) = int_a^{a+w} (z - a)^k gamma(dz),      k = 0, ..., 4, a >= 0.

Eq. 36 gives them as differences such as T_1 = gamma(a) - a (1 - Phi(a)), which lose all digits
for large a; thin intervals lose them again. Here no difference of nearly equal numbers is formed
for k <= 2; k = 3 and 4, for the fluctuations of finite networks, lose a factor a^2 and a^4.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from .._types import Array
from .double_double import exp_minus_half_square
from .legendre import gauss_legendre

_FALSE = np.zeros((), dtype=np.bool_)
_SQRT_HALF = np.sqrt(0.5)
_SQRT_HALF_PI = np.sqrt(0.5 * np.pi)
_INV_SQRT_2PI = 1.0 / np.sqrt(2.0 * np.pi)

# (a + 2)^3 t_2(a) in powers of (a - 5) / (a + 5): tools/precompute/second_tail_moment.py
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

FAR = 1e3
"""Standardized points and widths are cut here; gamma(a) underflows from a = 38.6 on."""

# An interval from a to a + w is thin if w (a + w / 2) is at most one of these limits. Differences
# of tails lose at most a factor of ten beyond the limit that each is used with; below it, this many
# Gauss-Legendre nodes leave no error above rounding.
_RULES = {}
for _limit, _count in ((0.5, 8), (1.0, 10), (2.0, 12)):
    _nodes, _, _weights = gauss_legendre(_count)
    _RULES[_limit] = tuple(zip(_nodes, _weights, strict=True))


def mills_ratio(a: Array) -> Array:
    """t_0(a) = (1 - Phi(a)) / gamma(a), for a >= 0."""
    return np.asarray(_SQRT_HALF_PI * scipy.special.erfcx(_SQRT_HALF * a))


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


def _take(x: NDArray[Any], chosen: NDArray[np.bool_]) -> NDArray[Any]:
    """The chosen entries of an array that broadcasts against the batch."""
    return x if x.ndim == 0 else np.broadcast_to(x, chosen.shape)[chosen]


class Tail:
    """The half line beyond a = (high + low) / sqrt(q) >= 0; moments are computed on first use.

    ``cut`` marks half lines that begin at the origin only because a piece was cut there in two.
    The boundary terms of the two parts cancel there, and are left out of both Hermite moments.
    """

    def __init__(self, high: Array, low: Array, q: Array, cut: NDArray[np.bool_] = _FALSE) -> None:
        self._high, self._low, self._q, self.cut = high, low, q, cut

    def take(self, chosen: NDArray[np.bool_]) -> Tail:
        """The chosen half lines of the batch."""
        part = Tail(*(_take(x, chosen) for x in (self._high, self._low, self._q, self.cut)))
        part.a, part.density = _take(self.a, chosen), _take(self.density, chosen)
        return part

    @cached_property
    def _clipped(self) -> tuple[Array, Array]:
        """Where the half line begins, times sqrt(q), as high + low, cut at `FAR`."""
        far = FAR * np.sqrt(self._q)
        return np.minimum(self._high, far), np.where(self._high < far, self._low, 0.0)

    @cached_property
    def a(self) -> Array:
        """Where the half line begins."""
        high, low = self._clipped
        return np.asarray((high + low) / np.sqrt(self._q))

    @cached_property
    def density(self) -> Array:
        """gamma(a)."""
        return density(*self._clipped, self._q)

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
    def moment3(self) -> Array:
        """T_3(a) = 2 T_1 - a T_2."""
        return 2.0 * self.moment1 - self.a * self.moment2

    @cached_property
    def moment4(self) -> Array:
        """T_4(a) = 3 T_2 - a T_3."""
        return 3.0 * self.moment2 - self.a * self.moment3

    @cached_property
    def slope0(self) -> Array:
        """int z gamma(dz) = gamma(a)."""
        return self.density

    @cached_property
    def slope1(self) -> Array:
        """int (z - a) z gamma(dz) = 1 - Phi(a)."""
        return self.moment0

    @cached_property
    def hermite0(self) -> Array:
        """int He_3(z) gamma(dz) = He_2(a) gamma(a), with He_3(z) = z^3 - 3 z, He_2(z) = z^2 - 1."""
        return np.where(self.cut, 0.0, (self.a**2 - 1.0) * self.density)

    @cached_property
    def hermite1(self) -> Array:
        """int (z - a) He_3(z) gamma(dz) = a gamma(a)."""
        return self.a * self.density


class Interval:
    """The interval from ``left.a`` to ``right.a``; moments are about its left end.

    ``width`` is given too, since it is known more accurately than the difference of the ends.
    """

    def __init__(self, left: Tail, right: Tail, width: Array) -> None:
        self.left, self.right, self.width = left, right, width
        self._thick_parts: dict[float, Interval] = {}

    @cached_property
    def exponent(self) -> Array:
        """log(gamma(a) / gamma(a + w)) = w (a + w / 2)."""
        return np.asarray(self.width * (self.left.a + 0.5 * self.width))

    @cached_property
    def moment0(self) -> Array:
        """G_0 = Phi(a + w) - Phi(a)."""
        return self._moment(
            0.5, lambda part: part.left.moment0 - part.right.moment0, lambda t, z: np.ones_like(t)
        )

    @cached_property
    def moment1(self) -> Array:
        """G_1 = int (z - a) gamma(dz)."""
        return self._moment(
            1.0,
            lambda part: part.left.moment1 - part.right.moment1 - part.width * part.right.moment0,
            lambda t, z: t,
        )

    @cached_property
    def moment2(self) -> Array:
        """G_2 = int (z - a)^2 gamma(dz)."""
        return self._moment(2.0, _thick_moment2, lambda t, z: t * t)

    @cached_property
    def moment3(self) -> Array:
        """G_3 = int (z - a)^3 gamma(dz)."""
        return self._moment(2.0, _thick_moment3, lambda t, z: t * t * t)

    @cached_property
    def moment4(self) -> Array:
        """G_4 = int (z - a)^4 gamma(dz)."""
        return self._moment(2.0, _thick_moment4, lambda t, z: t * t * t * t)

    @cached_property
    def slope0(self) -> Array:
        """int z gamma(dz) = gamma(a) - gamma(a + w)."""
        return np.asarray(-self.left.density * np.expm1(-self.exponent))

    @cached_property
    def slope1(self) -> Array:
        """int (z - a) z gamma(dz)."""
        return self._moment(
            1.0,
            lambda part: part.left.moment0 - part.right.moment0 - part.width * part.right.density,
            lambda t, z: t * z,
        )

    @cached_property
    def hermite0(self) -> Array:
        """int He_3(z) gamma(dz)."""
        return self._hermite(
            lambda part: part.left.hermite0 - (part.right.a**2 - 1.0) * part.right.density,
            lambda t, z: z * (z * z - 3.0),
        )

    @cached_property
    def hermite1(self) -> Array:
        """int (z - a) He_3(z) gamma(dz)."""
        return self._hermite(
            lambda part: (
                part.left.hermite1
                - part.right.density * (part.left.a + part.width * part.right.a**2)
            ),
            lambda t, z: t * z * (z * z - 3.0),
        )

    def _hermite(
        self, thick: Callable[[Interval], Array], power: Callable[[Array, Array], Array]
    ) -> Array:
        """As `_moment`, but from the boundary terms alone where the left end is only a cut."""
        if not np.any(self.left.cut):
            return self._moment(1.0, thick, power)
        return np.where(self.left.cut, thick(self), self._moment(1.0, thick, power))

    def _moment(
        self,
        limit: float,
        thick: Callable[[Interval], Array],
        power: Callable[[Array, Array], Array],
    ) -> Array:
        """int power(z - a, z) gamma(dz): by nodes where the interval is thin, else by ``thick``."""
        thin = self.exponent <= limit
        if not np.any(thin):
            return np.asarray(thick(self))
        moment = np.empty(thin.shape)
        moment[thin] = self._by_nodes(thin, _RULES[limit], power)
        if not np.all(thin):
            if limit not in self._thick_parts:
                self._thick_parts[limit] = self._take(~thin)
            moment[~thin] = thick(self._thick_parts[limit])
        return moment

    def _by_nodes(
        self,
        chosen: NDArray[np.bool_],
        rule: tuple[tuple[float, float], ...],
        power: Callable[[Array, Array], Array],
    ) -> Array:
        a, gamma, w = (_take(x, chosen) for x in (self.left.a, self.left.density, self.width))
        linear, quadratic = -w * a, -0.5 * w * w
        total = np.zeros(np.broadcast_shapes(a.shape, w.shape))
        for node, weight in rule:  # node by node, so that temporary arrays stay in the cache
            t = node * w
            part = np.exp(node * (linear + node * quadratic))
            part *= weight * power(t, a + t)
            total += part
        return np.asarray(gamma * w * total)

    def _take(self, chosen: NDArray[np.bool_]) -> Interval:
        """The chosen intervals of the batch."""
        return Interval(self.left.take(chosen), self.right.take(chosen), _take(self.width, chosen))


def _thick_moment2(part: Interval) -> Array:
    left, right, w = part.left, part.right, part.width
    return left.moment2 - right.moment2 - w * (2.0 * right.moment1 + w * right.moment0)


def _thick_moment3(part: Interval) -> Array:
    left, right, w = part.left, part.right, part.width
    beyond = 3.0 * right.moment2 + w * (3.0 * right.moment1 + w * right.moment0)
    return left.moment3 - right.moment3 - w * beyond


def _thick_moment4(part: Interval) -> Array:
    left, right, w = part.left, part.right, part.width
    beyond = 6.0 * right.moment2 + w * (4.0 * right.moment1 + w * right.moment0)
    return left.moment4 - right.moment4 - w * (4.0 * right.moment3 + w * beyond)
