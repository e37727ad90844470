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

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._types import Number
from .double_double import Divisor, exp_minus_half_square, exp_of_quotient, two_product
from .elementary import (
    choose,
    erfcx,
    exp,
    expm1,
    larger,
    largest,
    once,
    polynomial,
    select,
    smallest,
    sqrt,
)
from .legendre import gauss_legendre

_SQRT_HALF = math.sqrt(0.5)
_SQRT_HALF_PI = math.sqrt(0.5 * math.pi)
_INV_SQRT_2PI = 1.0 / math.sqrt(2.0 * math.pi)

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
# Gauss-Legendre nodes, or terms of a power series, leave no error above rounding.
_NODES = {0.5: 8, 1.0: 10, 2.0: 12}
_TERMS = {0.5: 11, 1.0: 14, 2.0: 18}
_RULES = {limit: gauss_legendre(count)[::2] for limit, count in _NODES.items()}
_FINE_NODES, _, _FINE_WEIGHTS = gauss_legendre(16)
_FACTORIALS = np.array([math.factorial(n) for n in range(max(_TERMS.values()))], dtype=np.float64)


def mills_ratio(a: Number) -> Number:
    """t_0(a) = (1 - Phi(a)) / gamma(a), for a >= 0."""
    return _SQRT_HALF_PI * erfcx(_SQRT_HALF * a)


def scaled_second_moment(a: Number) -> Number:
    """t_2(a) = int_0^inf t^2 exp(-a t - t^2 / 2) dt for a >= 0, to a few ulps."""
    b = a + 2.0
    return polynomial(_SECOND_TAIL_MOMENT, (a - 5.0) / (a + 5.0)) / (b * b * b)


def density(high: Number, low: Number, q: Number) -> Number:
    """gamma((high + low) / sqrt(q)), to a few ulps however far out."""
    return np.asarray(_INV_SQRT_2PI * exp_minus_half_square(high, low, q))


# Squares of points between these are far from the ends of the doubles.
_SMALL, _LARGE = 1e-120, 1e120

Powers = tuple[tuple[float, int, int], ...]
"""Terms (c, j, k): a sum of c (z - a)^j z^k."""


def ramp_slope(a: Number, w: Number) -> Number:
    """int (z - a) z gamma(dz) / gamma(a) over the interval from a >= 0 to a + w."""
    thin = w * (a + 0.5 * w) <= 1.0
    return choose(thin, lambda: _thin_ramp_slope(a, w), lambda: _thick_ramp_slope(a, w))


def _thin_ramp_slope(a: Number, w: Number) -> Number:
    nodes, weights = _RULES[1.0]
    start, width = np.asarray(a)[..., None], np.asarray(w)[..., None]
    z, falling = start + nodes * width, np.exp(-nodes * width * (start + 0.5 * nodes * width))
    total = (nodes * z * falling) @ weights
    return w * w * (float(total) if total.ndim == 0 else total)


def _thick_ramp_slope(a: Number, w: Number) -> Number:
    return mills_ratio(a) - exp(-w * (a + 0.5 * w)) * (mills_ratio(a + w) + w)


class Scale:
    """Variances q > 0, and what all points need of them to be taken in units of sqrt(q)."""

    def __init__(self, q: Number) -> None:
        self.q, self.root = q, sqrt(q)
        least = smallest(q)
        self.reach = FAR * math.sqrt(least)
        """Farther points are cut at `FAR` for some variance."""
        self.moderate = least > _SMALL**2 and largest(q) < _LARGE**2

    @once
    def divisor(self) -> Divisor:
        """q, for quotients to more than double precision."""
        return Divisor.of(self.q)


class Ray:
    """The half line beyond high + low >= 0, at no variance yet, with what does not depend on one.

    ``cut`` marks half lines that begin at the origin only because a piece was cut there in two.
    The boundary terms of the two parts cancel there, and are left out of both Hermite moments.
    """

    def __init__(self, high: Number, low: Number, cut: Any = False) -> None:
        self.high, self.low, self.cut = high, low, cut
        self.at_origin = type(high) is float and high == 0.0
        self.farthest = largest(high)
        nearest = smallest(select(high > 0.0, high, _LARGE))
        self.moderate = nearest > _SMALL and self.farthest < _LARGE

    @once
    def exponent(self) -> tuple[Number, Number]:
        """-(high + low)^2 / 2, and its rounding error."""
        square, error = two_product(self.high, self.high)
        return -0.5 * square, -0.5 * error - self.high * self.low


class Tail:
    """The half line beyond a = (high + low) / sqrt(q); moments are computed on first use."""

    def __init__(self, ray: Ray, scale: Scale) -> None:
        self.ray, self.scale, self.cut = ray, scale, ray.cut
        self.moderate = scale.moderate and ray.moderate and ray.farthest <= scale.reach
        """Whether nothing is cut at `FAR`, and no product leaves the doubles."""

    @once
    def _clipped(self) -> tuple[Number, Number]:
        """Where the half line begins, times sqrt(q), as high + low, cut at `FAR`."""
        far = FAR * self.scale.root
        high = self.ray.high
        return np.minimum(high, far), np.where(high < far, self.ray.low, 0.0)

    @once
    def a(self) -> Number:
        """Where the half line begins."""
        if self.ray.at_origin:
            return 0.0
        if self.moderate:
            return self.ray.high / self.scale.root
        high, low = self._clipped
        return (high + low) / self.scale.root

    @once
    def density(self) -> Number:
        """gamma(a)."""
        if self.ray.at_origin:
            return _INV_SQRT_2PI
        if self.moderate:
            return exp_of_quotient(*self.ray.exponent, self.scale.divisor, _INV_SQRT_2PI)
        return density(*self._clipped, np.asarray(self.scale.q))

    @once
    def moment0(self) -> Number:
        """T_0(a) = 1 - Phi(a)."""
        return self.density * mills_ratio(self.a)

    @once
    def moment1(self) -> Number:
        """T_1(a) = gamma(a) - a (1 - Phi(a)), from T_2 = T_0 - a T_1 where that would cancel."""
        a = self.a
        return choose(
            a > 1.0,
            lambda: (self.moment0 - self.moment2) / larger(1.0, a),
            lambda: self.density - a * self.moment0,
        )

    @once
    def moment2(self) -> Number:
        """T_2(a) = (1 + a^2) (1 - Phi(a)) - a gamma(a)."""
        return self.density * scaled_second_moment(self.a)

    @once
    def moment3(self) -> Number:
        """T_3(a) = 2 T_1 - a T_2."""
        return 2.0 * self.moment1 - self.a * self.moment2

    @once
    def moment4(self) -> Number:
        """T_4(a) = 3 T_2 - a T_3."""
        return 3.0 * self.moment2 - self.a * self.moment3

    @property
    def slope0(self) -> Number:
        """int z gamma(dz) = gamma(a)."""
        return self.density

    @property
    def slope1(self) -> Number:
        """int (z - a) z gamma(dz) = 1 - Phi(a)."""
        return self.moment0

    @property
    def hermite0(self) -> Number:
        """int He_3(z) gamma(dz) = He_2(a) gamma(a), with He_3(z) = z^3 - 3 z, He_2(z) = z^2 - 1."""
        return choose(self.cut, lambda: 0.0, lambda: (self.a * self.a - 1.0) * self.density)

    @property
    def hermite1(self) -> Number:
        """int (z - a) He_3(z) gamma(dz) = a gamma(a)."""
        return self.a * self.density


class Segment:
    """The stretch between two half lines' ends, ``gap`` long, at no variance yet.

    The gap is given too, since it is known more accurately than the difference of the ends.
    """

    def __init__(self, left: Ray, right: Ray, gap: Number) -> None:
        self.left, self.right, self.gap = left, right, gap
        self.middle = left.high + 0.5 * gap
        self.step = gap * (self.middle if right.moderate else 0.0)  # else it is not used
        self.single = type(self.step) is float
        self._series: dict[tuple[float, int, int], list[float]] = {}

    def series(self, limit: float, j: int, k: int) -> list[float]:
        """int_0^1 u^j v^k exp(-x (left + gap u / 2) u / middle) du in powers of x - limit / 2.

        v = (left + gap u) / middle. Only for a single segment; good for 0 <= x <= limit.
        """
        if (limit, j, k) not in self._series:
            u, middle = _FINE_NODES, self.middle or 1.0
            v = (self.left.high + self.gap * u) / middle
            rate = (self.left.high + 0.5 * self.gap * u) / middle * -u
            powers = (
                np.vander(rate, _TERMS[limit], increasing=True).T
                / _FACTORIALS[: _TERMS[limit], None]
            )
            start = _FINE_WEIGHTS * u**j * v**k * np.exp(0.5 * limit * rate)
            self._series[limit, j, k] = (powers @ start).tolist()
        return self._series[limit, j, k]


class Interval:
    """The interval from ``left.a`` to ``right.a``; moments are about its left end."""

    def __init__(self, segment: Segment, left: Tail, right: Tail) -> None:
        self.segment, self.left, self.right, self.root = segment, left, right, left.scale.root
        self._moderate = right.moderate

    @once
    def width(self) -> Number:
        """w, at most `FAR`."""
        gap = self.segment.gap
        return (gap if self._moderate else np.minimum(gap, FAR * self.root)) / self.root

    @once
    def middle(self) -> Number:
        """a + w / 2."""
        return self.segment.middle / self.root if self._moderate else self.left.a + 0.5 * self.width

    @once
    def exponent(self) -> Number:
        """log(gamma(a) / gamma(a + w)) = w (a + w / 2)."""
        return self.segment.step / self.left.scale.q if self._moderate else self.width * self.middle

    @once
    def moment0(self) -> Number:
        """G_0 = Phi(a + w) - Phi(a)."""
        return self._moment(0.5, lambda: self.left.moment0 - self.right.moment0, ((1.0, 0, 0),))

    @once
    def moment1(self) -> Number:
        """G_1 = int (z - a) gamma(dz)."""
        return self._moment(1.0, self._thick_moment1, ((1.0, 1, 0),))

    @once
    def moment2(self) -> Number:
        """G_2 = int (z - a)^2 gamma(dz)."""
        return self._moment(2.0, self._thick_moment2, ((1.0, 2, 0),))

    @once
    def moment3(self) -> Number:
        """G_3 = int (z - a)^3 gamma(dz)."""
        return self._moment(2.0, self._thick_moment3, ((1.0, 3, 0),))

    @once
    def moment4(self) -> Number:
        """G_4 = int (z - a)^4 gamma(dz)."""
        return self._moment(2.0, self._thick_moment4, ((1.0, 4, 0),))

    @property
    def slope0(self) -> Number:
        """int z gamma(dz) = gamma(a) - gamma(a + w)."""
        return -self.left.density * expm1(-self.exponent)

    @property
    def slope1(self) -> Number:
        """int (z - a) z gamma(dz)."""
        return self._moment(1.0, self._thick_slope1, ((1.0, 1, 1),))

    @property
    def hermite0(self) -> Number:
        """int He_3(z) gamma(dz)."""
        return self._hermite(self._thick_hermite0, ((1.0, 0, 3), (-3.0, 0, 1)))

    @property
    def hermite1(self) -> Number:
        """int (z - a) He_3(z) gamma(dz)."""
        return self._hermite(self._thick_hermite1, ((1.0, 1, 3), (-3.0, 1, 1)))

    def _thick_moment1(self) -> Number:
        left, right, w = self.left, self.right, self.width
        return left.moment1 - right.moment1 - w * right.moment0

    def _thick_moment2(self) -> Number:
        left, right, w = self.left, self.right, self.width
        return left.moment2 - right.moment2 - w * (2.0 * right.moment1 + w * right.moment0)

    def _thick_moment3(self) -> Number:
        left, right, w = self.left, self.right, self.width
        beyond = 3.0 * right.moment2 + w * (3.0 * right.moment1 + w * right.moment0)
        return left.moment3 - right.moment3 - w * beyond

    def _thick_moment4(self) -> Number:
        left, right, w = self.left, self.right, self.width
        beyond = 6.0 * right.moment2 + w * (4.0 * right.moment1 + w * right.moment0)
        return left.moment4 - right.moment4 - w * (4.0 * right.moment3 + w * beyond)

    def _thick_slope1(self) -> Number:
        return self.left.moment0 - self.right.moment0 - self.width * self.right.density

    def _thick_hermite0(self) -> Number:
        right = self.right
        return self.left.hermite0 - (right.a * right.a - 1.0) * right.density

    def _thick_hermite1(self) -> Number:
        left, right = self.left, self.right
        return left.hermite1 - right.density * (left.a + self.width * right.a * right.a)

    def _hermite(self, thick: Callable[[], Number], terms: Powers) -> Number:
        """As `_moment`, but from the boundary terms alone where the left end is only a cut."""
        return choose(self.left.cut, thick, lambda: self._moment(1.0, thick, terms))

    def _moment(self, limit: float, thick: Callable[[], Number], terms: Powers) -> Number:
        """The sum of c int (z - a)^j z^k gamma(dz) over terms (c, j, k).

        By a power series or nodes where the interval is thin, else by ``thick``.
        """
        thin = self.exponent <= limit
        if self.segment.single and self._moderate:
            return choose(thin, lambda: self._by_series(limit, terms), thick)
        if not np.any(thin):
            return thick()
        moment = np.empty(np.shape(thin))
        if not np.all(thin):
            moment[...] = thick()
        moment[thin] = self._by_nodes(thin, limit, terms)
        return moment

    def _by_series(self, limit: float, terms: Powers) -> Number:
        """In powers of the exponent, which alone depends on q: for many variances."""
        x = self.exponent
        x = min(x, limit) if type(x) is float else np.minimum(x, limit)
        x = x - 0.5 * limit
        total: Number | float = 0.0
        for c, j, k in terms:
            part = polynomial(self.segment.series(limit, j, k), x)
            total = total + c * _power(self.width, j) * _power(self.middle, k) * part
        return self.left.density * self.width * total

    def _by_nodes(self, chosen: NDArray[np.bool_], limit: float, terms: Powers) -> Number:
        """By a Gauss-Legendre rule at the chosen places: for many intervals."""
        a, gamma, w = (
            _take(np.asarray(x), chosen) for x in (self.left.a, self.left.density, self.width)
        )
        linear, quadratic = -w * a, -0.5 * w * w
        total = np.zeros(np.broadcast_shapes(a.shape, w.shape))
        for node, weight in zip(*_RULES[limit], strict=True):
            t = node * w
            z = a + t
            part = np.exp(node * (linear + node * quadratic))
            part *= weight * sum(c * _power(t, j) * _power(z, k) for c, j, k in terms)
            total += part
        return gamma * w * total


def _take(x: NDArray[Any], chosen: NDArray[np.bool_]) -> NDArray[Any]:
    """The chosen entries of an array that broadcasts against the batch."""
    return x if x.ndim == 0 else np.broadcast_to(x, chosen.shape)[chosen]


def _power(x: Number, n: int) -> Number:
    """x^n by products, which are faster than powers."""
    if n == 0:
        return 1.0
    value = x
    for _ in range(n - 1):
        value = value * x
    return value
