"""The mean field of a random network of infinite width: its variance map and correlation map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike, Parameter, plain
from .._values import Value
from ..activations.expectations import GaussianExpectations, check_activation, shape_of
from ..numerics.elementary import once

# A correlation beyond 1 by at most this is 1, to the rounding of R and of the fixed point q.
_ROUNDING = 64 * np.finfo(float).eps
_TINY = np.finfo(float).tiny


class Maps(Value):
    """A network in the mean-field limit; arguments of its methods broadcast with its parameters."""

    _shape: tuple[int, ...]  # of the parameters together

    def _check_shapes(self, **given: Array) -> None:
        """Check that arguments of a method broadcast with the parameters."""
        shapes = {name: value.shape for name, value in given.items()}
        if any(shapes.values()):
            check.together({**shapes, "the network's parameters": self._shape})


class MeanField(Maps):
    """An activation with the variances of weights and biases, and the maps that they define.

    Every argument may be an array, and broadcasts with the others, with the activation's own
    parameters and with the arguments of the methods. Methods return an ``np.float64`` where all of
    these are single numbers, and an array otherwise.

    Args:
        activation: phi.
        sigma_w2: weights are N(0, sigma_w2 / N) for N inputs.
        sigma_b2: biases are N(0, sigma_b2).
        q_star: the fixed point of the variance map that the initialization was made for, if any.

    Raises:
        ValueError: if sigma_w2 or q_star is not positive, sigma_b2 is negative, or any of them
            is not finite; if their shapes and the activation's do not broadcast, as for arguments
            of the methods; if activation lacks a method of `GaussianExpectations`.
    """

    activation: GaussianExpectations
    sigma_w2: Parameter
    sigma_b2: Parameter
    q_star: Parameter | None

    def __init__(
        self,
        activation: GaussianExpectations,
        sigma_w2: FloatLike,
        sigma_b2: FloatLike = 0.0,
        q_star: FloatLike | None = None,
    ) -> None:
        check_activation(activation)
        weights = check.parameter(check.positive("sigma_w2", sigma_w2))
        biases = check.parameter(check.nonnegative("sigma_b2", sigma_b2))
        fixed = None if q_star is None else check.parameter(check.positive("q_star", q_star))
        shapes = {
            "sigma_w2": weights.shape,
            "sigma_b2": biases.shape,
            "q_star": () if fixed is None else fixed.shape,
        }
        if any(shapes.values()):
            check.together({**shapes, "the activation's parameters": shape_of(activation)})
        self._keep(
            activation=activation,
            sigma_w2=plain(weights),
            sigma_b2=plain(biases),
            q_star=None if fixed is None else plain(fixed),
        )

    def _parameters(self) -> dict[str, Any]:
        required = {
            "activation": self.activation,
            "sigma_w2": self.sigma_w2,
            "sigma_b2": self.sigma_b2,
        }
        return required if self.q_star is None else {**required, "q_star": self.q_star}

    def require_q_star(self, instead: str | None = None) -> Array:
        """``q_star`` as an array, for a function that takes the argument ``instead`` of it.

        Raises:
            ValueError: if it is not known.
        """
        if self.q_star is None:
            others = "" if instead is None else f", or give {instead}"
            raise ValueError(f"q_star is not known; make the network with edge_of_chaos{others}")
        return np.asarray(self.q_star)

    @once
    def _shape(self) -> tuple[int, ...]:
        shapes = np.shape(self.sigma_w2), np.shape(self.sigma_b2), shape_of(self.activation)
        return np.broadcast_shapes(*shapes)

    def _at_fixed_point(self, q: FloatLike | None) -> Array:
        """``q``, or ``q_star`` where it is not given."""
        return self.require_q_star("q") if q is None else check.positive("q", q)

    def variance_map(self, q: FloatLike) -> Array:
        """V(q) = sigma_w^2 E phi(sqrt(q) z)^2 + sigma_b^2 (Eqs. 3, 32, 37, 41, 44, 53).

        Args:
            q: variance of the pre-activations of one layer, nonnegative.

        Returns:
            The variance in the next layer; inf where it is beyond the largest double. At q = 0 it
            is sigma_w^2 phi(0)^2 + sigma_b^2: without bias and with phi(0) = 0, a network whose
            variance is 0 stays there.

        Raises:
            ValueError: for q negative or not finite, or q = 0 and a phi that jumps at 0.
        """
        q = check.nonnegative("q", q)
        self._check_shapes(q=q)
        with np.errstate(over="ignore"):
            mean_square = _from_zero_on(q, self.activation.mean_square, self._square_at_zero)
            weighted = self.sigma_w2 * mean_square
            if np.ndim(self.sigma_b2) > 0:
                return np.asarray(weighted + self.sigma_b2)[()]
            weighted += self.sigma_b2  # without another array
            return np.asarray(weighted)[()]

    def variance_slope(self, q: FloatLike) -> Array:
        """V'(q), the slope of the variance map (Eqs. 13, 14, 38, 43, 50), for q >= 0.

        Where E z phi phi' has terms of both signs, as it may for tau < 0, it is exact to a few ulps
        of the sum of their sizes.

        Raises:
            ValueError: for q negative or not finite, or q = 0 and phi(0) not 0 or a phi that jumps
                there: then V' may have no limit.
        """
        q = check.nonnegative("q", q)
        self._check_shapes(q=q)
        return self.sigma_w2 * _from_zero_on(
            q, self.activation.mean_square_slope, self._square_slope_at_zero
        )

    def variance_curvature(self, q: FloatLike) -> Array:
        """V''(q), the curvature of the variance map (Eqs. 40, 43), for q > 0.

        Its relative condition number |q V''' / V''| is unbounded where V'' changes sign, as it
        does for the clipped kinds: near there it is exact to a few ulps of
        sigma_w^2 E[(|z|^3 + 3 |z|) phi phi'] / (2 q^(3/2)).

        Raises:
            ValueError: for q not positive and finite.
        """
        q = check.positive("q", q)
        self._check_shapes(q=q)
        with np.errstate(over="ignore"):
            return self.sigma_w2 * self.activation.mean_square_curvature(q)

    def chi(self, q: FloatLike) -> Array:
        """sigma_w^2 E phi'(sqrt(q) z)^2 for q >= 0: chi_1 = R'(1) at q = q* (Eqs. 11, 15, 16, 19).

        The factor by which mean squared gradients grow from a layer to the one before (Eq. 24). At
        q = 0 it is the limit, sigma_w^2 (phi'(0-)^2 + phi'(0+)^2) / 2; inf if phi jumps.

        Raises:
            ValueError: for q negative or not finite.
        """
        q = check.nonnegative("q", q)
        self._check_shapes(q=q)
        return self.sigma_w2 * _from_zero_on(
            q,
            lambda positive: self.activation.mean_derivative_power(positive, 2),
            self._squared_derivative_at_zero,
        )

    def correlation_map(self, rho: FloatLike, q: FloatLike | None = None) -> Array:
        """R(rho), the correlation in the next layer of two inputs with variance q (Eq. 6).

        Args:
            rho: their correlation in this layer, in [-1, 1].
            q: a fixed point of the variance map, by which the result is divided; ``q_star`` where
                not given.

        Returns:
            In [-1, 1] if q is a fixed point to rounding.

        Raises:
            ValueError: for rho outside [-1, 1], q not positive and finite, or q not given for a
                network without q_star.
        """
        rho, q = check.correlation("rho", rho), self._at_fixed_point(q)
        self._check_shapes(rho=rho, q=q)
        with np.errstate(over="ignore", invalid="ignore"):
            mapped = (self.sigma_w2 * self.activation.mean_product(rho, q) + self.sigma_b2) / q
        size = np.abs(mapped)
        rounded = (size > 1.0) & (size <= 1.0 + _ROUNDING)
        return known(self.activation, np.where(rounded, np.sign(mapped), mapped), q)

    def correlation_slope(self, rho: FloatLike, q: FloatLike | None = None) -> Array:
        """R'(rho), the slope of the correlation map; chi_1 at rho = 1.

        Arguments and errors are those of `correlation_map`.
        """
        rho, q = check.correlation("rho", rho), self._at_fixed_point(q)
        self._check_shapes(rho=rho, q=q)
        with np.errstate(over="ignore", invalid="ignore"):
            slope = self.sigma_w2 * self.activation.mean_product_of_derivatives(rho, q)
        return known(self.activation, slope, q)

    def correlation_gap(self, gap: FloatLike, q: FloatLike | None = None) -> Array:
        """1 - R(1 - gap) for gap in [0, 2], with full relative accuracy however small the gap.

        For kinked activations this is chi_1 gap minus a term in gap^(3/2). The variance q is
        taken as the fixed point that R(1) = 1 asks for: ``q_star`` where not given.

        Raises:
            ValueError: for a gap outside [0, 2], and as in `correlation_map` for q.
        """
        gap, q = check.gap("gap", gap), self._at_fixed_point(q)
        self._check_shapes(gap=gap, q=q)
        with np.errstate(over="ignore", invalid="ignore"):
            mapped = self.sigma_w2 * self.activation.mean_product_gap(gap, q) / q
        return known(self.activation, np.asarray(mapped), q)

    def trajectory(self, q0: FloatLike, depth: int) -> Array:
        """q^0, V(q^0), V(V(q^0)), ...: shape (depth + 1, *batch).

        A variance beyond the largest double is inf, and so are those after it.

        Raises:
            ValueError: for q0 negative or not finite, or a negative depth.
        """
        return iterated(self.variance_map, q0, depth)

    def _value_at_zero(self) -> Array:
        """phi(0), where phi does not jump."""
        below, here, above = (self.activation(x) for x in (-_TINY, 0.0, _TINY))
        scale = np.maximum(np.abs(below), np.abs(above))
        if np.any(np.maximum(np.abs(below - here), np.abs(above - here)) > 1e-6 * scale + 1e-100):
            raise ValueError(
                f"q must be positive for {self.activation!r}, which jumps at 0, got 0.0"
            )
        return here

    def _square_at_zero(self) -> Array:
        """phi(0)^2, the limit of E phi^2."""
        value = self._value_at_zero()
        return value * value

    def _square_slope_at_zero(self) -> Array:
        """The limit of the derivative of E phi^2 where phi(0) = 0."""
        if np.any(self._value_at_zero() != 0.0):
            raise ValueError(
                f"q must be positive for V' of {self.activation!r}, since phi(0) is not 0, got 0.0"
            )
        return self._squared_slopes_at_zero()

    def _squared_derivative_at_zero(self) -> Array:
        """The limit of E phi'^2, which is infinite at all variances if phi jumps."""
        anywhere = self.activation.mean_derivative_power(np.ones(()), 2)
        return np.where(np.isinf(anywhere), np.inf, self._squared_slopes_at_zero())

    def _squared_slopes_at_zero(self) -> Array:
        """The mean of phi'^2 on both sides of 0: at variance 0 half of the inputs are below."""
        below, above = self.activation.derivative(-_TINY), self.activation.derivative(_TINY)
        return np.asarray(0.5 * (below * below + above * above))


def known(activation: GaussianExpectations, values: Array, q: Array) -> Array:
    """Values at q, after a check that none of them was lost in overflow."""
    lost = np.isnan(values)
    if np.any(lost):
        worst = float(np.broadcast_to(q, lost.shape)[lost].flat[0])
        raise ValueError(
            f"q must be within the range of double precision of {activation!r}, "
            f"whose squares overflow beside it, got {worst!r}"
        )
    return np.asarray(values)[()]


def iterated(variance_map: Callable[[Array], Array], q0: FloatLike, depth: int) -> Array:
    """q^0 and ``depth`` applications of a variance map to it, as `MeanField.trajectory` has them.

    Raises:
        ValueError: for q0 negative or not finite, or a negative depth.
    """
    variances = [check.nonnegative("q0", q0)]
    for _ in range(check.size("depth", depth, least=0)):
        overflown = np.isinf(variances[-1])
        following = variance_map(np.where(overflown, 1.0, variances[-1]))
        variances.append(np.where(overflown, np.inf, following))
    return np.stack(np.broadcast_arrays(*variances))


def check_net(net: MeanField) -> None:
    """Check that what a function of a network was given is one.

    Raises:
        ValueError: if it is not, as an activation or a name.
    """
    if not isinstance(net, MeanField):
        raise ValueError(
            "net must be a MeanField, as st.edge_of_chaos(activation) gives, "
            f"got {check.shown(net)}"
        )


def _from_zero_on(
    q: Array, expectation: Callable[[Array], Array], at_zero: Callable[[], Array]
) -> Array:
    """An expectation at every q >= 0, from its limit where q is 0."""
    if q.all() if q.ndim else q > 0.0:
        return expectation(q)
    return np.where(q == 0.0, at_zero(), expectation(np.where(q == 0.0, 1.0, q)))
