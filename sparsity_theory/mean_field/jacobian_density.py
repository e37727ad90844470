"""The spectrum of J J^T, J the input-output Jacobian: density, edges, atoms and every moment.

In the limit of infinite width, by free probability (Pennington, Schoenholz and Ganguli 2018);
`spectrum` has the equation. `jacobian` has the first two moments, as Eqs. 28-30 write them.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike, scalar_or_array
from .._values import Value
from ..activations.function import Activation
from ..activations.piecewise_linear import PiecewiseLinear
from ..numerics.series import power, product, reversion
from .maps import MeanField, check_net
from .spectrum import FreeProduct

_PANEL = np.pi  # the longest panel of an integral, in the variable in which edges are smooth
_DEGREE, _HALVINGS, _RESOLVED = 64, 8, 1e-11
_POINTS = np.polynomial.chebyshev.chebpts1(_DEGREE)
_TO_SERIES = np.linalg.inv(np.polynomial.chebyshev.chebvander(_POINTS, _DEGREE - 1))
_ROUNDING = 1e-12  # shares and logarithms below this are none
_NOTHING = 1e-12  # slopes that come down to this part of the largest come down to zero


class JacobianDensity(Value):
    """The limiting spectrum of J J^T of one initialization; call it for the density at x > 0.

    Args:
        net: an initialization whose ``q_star`` is known, with scalar parameters.
        depth: number L of layers.
        orthogonal: weights that are orthogonal matrices times sigma_w, not Gaussian ones.

    Densities are exact to 1e-11 relative, next to edges to 1e-9, and shares to 1e-9. For an
    `Activation` the law of phi'^2 is that of a quadrature (`Activation.squared_slopes`), which
    changes that by less for tanh and the smooth clipped kinds; its gaps are not looked for.

    Raises:
        ValueError: for a depth below 1, no network or one whose q_star is not known, parameters
            that are arrays, a phi that jumps, or phi' = 0 wherever a N(0, q*) variable falls; for
            orthogonal weights and a single layer of an activation that is not piecewise linear, as
            the spectrum then is the law of sigma_w^2 phi'^2 itself.
    """

    net: MeanField
    depth: int
    orthogonal: bool

    def __init__(self, net: MeanField, depth: int, orthogonal: bool = False) -> None:
        check_net(net)
        q = net.require_q_star()
        layers = check.count("depth", depth)
        if not isinstance(net.activation, PiecewiseLinear | Activation):
            raise ValueError(
                f"activation must be a PiecewiseLinear or an Activation, got {net.activation!r}"
            )
        mean_square = net.activation.mean_derivative_power(q, 2)
        if np.ndim(net.sigma_w2) or np.ndim(mean_square):
            shape = np.broadcast_shapes(np.shape(net.sigma_w2), np.shape(mean_square))
            raise ValueError(f"net must have scalar parameters, got shape {shape}")
        if np.isinf(mean_square):
            raise ValueError(f"{net.activation!r} jumps, so that J J^T has no finite moments")
        if mean_square < np.finfo(float).tiny:
            raise ValueError(f"the derivative of {net.activation!r} vanishes at q_star = {q!s}")
        self._keep(net=net, depth=layers, orthogonal=bool(orthogonal))
        if self._is_law_of_slopes and not self._is_exact:
            raise ValueError(
                "depth must be at least 2 for orthogonal weights and a phi that is not piecewise "
                f"linear: the spectrum of one layer is the law of sigma_w^2 phi'^2, got {depth}"
            )

    def _parameters(self) -> dict[str, Any]:
        return {"net": self.net, "depth": self.depth, "orthogonal": self.orthogonal}

    def moment(self, k: int) -> float:
        """m_k, the mean of x^k over the spectrum; m_1 and m_2 are those of `jacobian_moments`.

        By Lagrange's inversion of z(y), with chi = sigma_w^2 E phi'^2 and b the series for which
        u = y b(y) inverts y = sum_j E phi'^(2j) / (E phi'^2)^j u^j,

            m_k = chi^(kL) / k [y^(k-1)] (1 + y)^e b(y)^(-kL),

        e = k for Gaussian weights and k (1 - L) for orthogonal ones: in exact rational arithmetic,
        so that nothing is lost but the rounding of E phi'^(2j). inf beyond doubles. It takes some
        hundredths of a second for k = 20, and sixteen times as long for twice that.

        Raises:
            ValueError: for k below 1.
        """
        k = check.count("k", k)
        q, phi = self.net.require_q_star(), self.net.activation
        means = [Fraction(float(phi.mean_derivative_power(q, 2 * j))) for j in range(1, k + 1)]
        inverted = reversion([mean / means[0] ** (j + 1) for j, mean in enumerate(means)])
        one_more = [Fraction(1), Fraction(1), *[Fraction(0)] * k][:k]
        exponent = k * (1 - self.depth) if self.orthogonal else k
        whole = product(power(one_more, exponent), power(inverted, -k * self.depth))
        try:
            scaled = float(whole[k - 1] / k)
        except OverflowError:
            return np.inf
        with np.errstate(over="ignore"):
            chi = np.asarray(self.net.sigma_w2) * float(means[0])
            return float(scaled * chi ** (k * self.depth))

    @cached_property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Single points of the spectrum with a share of their own, (x, share), ascending.

        Zero has the share of units with phi' = 0: the narrowest of all layers counts, and all are
        equally narrow. Orthogonal weights leave alone what meets the same slope in every layer:
        (sigma_w^2 p)^L has the share 1 - L (1 - P(phi'^2 = p)), if that is positive.
        """
        values, masses = self._law
        zero = float(np.sum(masses[values == 0.0]))
        found = [(0.0, zero)] if zero > _ROUNDING else []
        if self.orthogonal and self._is_exact:
            shares = 1.0 - self.depth * (1.0 - masses)
            for value, share in zip(values, shares, strict=True):
                if value > 0.0 and share > _ROUNDING:
                    place = (self.net.sigma_w2 * value) ** self.depth
                    found.append((float(place), float(share)))
        return tuple(found)

    @property
    def atom_at_zero(self) -> float:
        """The share of zeros in the spectrum."""
        return dict(self.atoms).get(0.0, 0.0)

    @cached_property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """Where the density is positive: its edges, ascending; none if there are atoms only.

        Between two of them is a gap. The first begins at 0.0 where the spectrum reaches zero.
        """
        return tuple((float(np.exp(low)), float(np.exp(high))) for low, high in self._log_intervals)

    @property
    def edges(self) -> tuple[float, float]:
        """The least and the largest point of the spectrum but for an atom at zero."""
        points = [x for interval in self.intervals for x in interval]
        points += [x for x, _ in self.atoms if x > 0.0]
        return min(points), max(points)

    def __call__(self, x: FloatLike) -> Array:
        """The density of the spectrum at x > 0, atoms left out.

        Raises:
            ValueError: for x not positive and finite.
        """
        x = check.positive("x", x)
        log_x = np.log(x)
        density = np.zeros(x.shape)
        inside = np.zeros(x.shape, dtype=np.bool_)
        for low, high in self._log_intervals:
            inside |= (log_x > max(low, self._product.floor())) & (log_x < high)
        if np.any(inside):
            m = self._product.on_the_axis(log_x[inside])
            density[inside] = np.maximum(-m.imag, 0.0) / (np.pi * x[inside])
        return scalar_or_array(density)

    def cdf(self, x: FloatLike) -> Array:
        """The share of the spectrum up to x >= 0, atoms and all.

        It is one less what lies above, so that a spectrum that reaches far down is no problem.

        Raises:
            ValueError: for x negative or not finite.
        """
        x = check.nonnegative("x", x)
        above = np.zeros(x.shape)
        for place, share in self.atoms:
            above += share * (place > x)
        log_x = np.maximum(np.log(np.maximum(x, np.finfo(float).tiny)), self._product.floor())
        for low, high in self._log_intervals:
            above += self._share_above(np.clip(log_x, low, high), low, high)
        below_all = (x < self.edges[0]) | (x == 0.0)
        below = np.clip(1.0 - above, 0.0, 1.0)
        return scalar_or_array(np.where(below_all, self.atom_at_zero, below))

    def _share_above(self, log_x: Array, low: float, high: float) -> Array:
        """The share between points of an interval and its upper edge.

        The density has roots at edges. It has none in s, with log x = high - s^2 where the
        interval reaches zero and log x = middle + half cos(s) otherwise, in which it is
        interpolated by polynomials and integrated.
        """
        s, along = _smooth_variable(log_x, low, high)
        above = np.zeros(log_x.shape)
        last = np.pi if np.isfinite(low) else np.inf
        begins = np.arange(0.0, np.max(s, initial=0.0), _PANEL)
        most = _HALVINGS if self._is_exact else 2  # no finer than a quadrature's law
        panels = [(begin, min(begin + _PANEL, last), most) for begin in begins[::-1]]
        while panels:
            begin, end, halvings = panels.pop()
            points, stretch = along(0.5 * (begin + end) + 0.5 * (end - begin) * _POINTS)
            values = -self._product.on_the_axis(points).imag * stretch / np.pi
            coefficients = _TO_SERIES @ values
            if halvings and np.max(np.abs(coefficients[-4:])) > _RESOLVED:
                middle = 0.5 * (begin + end)
                panels += [(middle, end, halvings - 1), (begin, middle, halvings - 1)]
                continue
            share = np.polynomial.Chebyshev(coefficients, domain=[begin, end]).integ(lbnd=begin)
            above += np.where(s > begin, share(np.minimum(s, end)), 0.0)
        return above

    @cached_property
    def _law(self) -> tuple[Array, Array]:
        """The law of phi'^2: values and masses."""
        phi, q = self.net.activation, self.net.require_q_star()
        assert isinstance(phi, PiecewiseLinear | Activation)
        values, masses = phi.squared_slopes(q)
        return values[masses > 0.0], masses[masses > 0.0]

    @property
    def _is_exact(self) -> bool:
        """Whether the values of phi'^2 are few, and given with their masses."""
        return isinstance(self.net.activation, PiecewiseLinear)

    @property
    def _is_law_of_slopes(self) -> bool:
        """Whether J J^T has the law of sigma_w^2 phi'^2: one layer, whose rotation is nothing."""
        return self.orthogonal and self.depth == 1

    @cached_property
    def _product(self) -> FreeProduct:
        values, masses = self._law
        rising = values > 0.0
        return FreeProduct(
            values[rising],
            masses[rising],
            float(np.sum(masses[~rising])),
            float(np.log(self.net.sigma_w2)),
            self.depth,
            wishart=int(not self.orthogonal),
        )

    @cached_property
    def _log_intervals(self) -> tuple[tuple[float, float], ...]:
        """The logarithms of `intervals`: what is left of the line below the upper edge by gaps."""
        only_one = self._product.values.size == 1 and self._product.zero < _ROUNDING
        if self._is_law_of_slopes or (self.orthogonal and only_one):
            return ()
        top, values = self._product.upper_edge(), self._product.values
        searched = values.size if self._is_exact else int(values[0] > _NOTHING * values[-1])
        ends = [-np.inf]
        for low, high in self._product.gaps(searched):
            ends += [low, high]
        ends.append(top)
        pairs = zip(ends[::2], ends[1::2], strict=True)
        return tuple((low, high) for low, high in pairs if high - low > _ROUNDING)


def _smooth_variable(
    log_x: Array, low: float, high: float
) -> tuple[Array, Callable[[Array], tuple[Array, Array]]]:
    """s at points of an interval, and the function that gives log x at s and -d(log x) / ds."""
    if np.isinf(low):
        return np.sqrt(high - log_x), lambda s: (high - s * s, 2.0 * s)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    s = np.arccos(np.clip((log_x - middle) / half, -1.0, 1.0))
    return s, lambda s: (middle + half * np.cos(s), half * np.sin(s))


def jacobian_density(net: MeanField, depth: int, orthogonal: bool = False) -> JacobianDensity:
    """The limiting spectrum of J J^T at q*: a density to call, with edges, atoms and moments.

    Arguments and errors are those of `JacobianDensity`.
    """
    return JacobianDensity(net, depth, orthogonal)
