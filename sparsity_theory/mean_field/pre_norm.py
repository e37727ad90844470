"""Pre-norm residual networks: h^{l+1} = h^l + alpha W2 phi(W1 norm(h^l)), by RMSNorm or LayerNorm.

Of a normalized stream |norm(h)|^2 = N, whatever h is. So with W1 of variance sigma_w^2 / N the
input of phi has, in every block and at any width, independent N(0, sigma_w^2) entries: the sparsity
is s wherever in the network, and does not depend on how the variance map of phi bends, so nothing
has to be clipped. With W2 of variance sigma_v^2 / M for M hidden units a block adds the variance

    v = alpha^2 sigma_v^2 E phi^2,     q^{l+1} = q^l + v,     E at variance sigma_w^2,

and the stream's variance grows linearly, without a fixed point. The normalization divides by the
root of q, and gradients with it:

    chi(q) = 1 + c / q,     c = alpha^2 sigma_v^2 sigma_w^2 E phi'^2.

So over the depth they grow by prod (1 + c / q^l) <= (q^L / q^1)^p, p = c / v = sigma_w^2 E phi'^2 /
E phi^2, for p >= 1 (Bernoulli's inequality): a power of the depth, not an exponential, and less
than exp(sigma_v^2 sigma_w^2 E phi'^2 / q^1) for alpha^2 = 1 / L. On the edge of chaos of a network
without skips p is q* / (q* - sigma_b^2). What clipping still does is to raise p: it takes more of
E phi^2 than of E phi'^2.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike, Parameter, plain
from ..activations.expectations import GaussianExpectations, check_activation, shape_of
from ..numerics.elementary import once
from .stream import Stream

Norm = Literal["rms", "layer"]
"""RMSNorm, h / sqrt(mean h^2), or LayerNorm, (h - mean h) / std h; without gain or bias."""

NORMS = ("rms", "layer")


class PreNorm(Stream):
    """A residual network h^{l+1} = h^l + alpha W2 phi(W1 norm(h^l)), and its maps.

    Args:
        activation: phi; for a sparsity s in every block, one designed for q* = sigma_w2.
        alpha: factor of the increments, positive: a constant, or ``depth**-0.5``.
        sigma_w2: entries of W1 are N(0, sigma_w2 / N) for a stream of N units.
        sigma_v2: entries of W2 are N(0, sigma_v2 / M) for M hidden units in a block.
        norm: "rms" or "layer". In the limit they are the same; at finite width LayerNorm's gradient
            lacks the direction of ones, 1 / N of it.

    Raises:
        ValueError: if alpha, sigma_w2 or sigma_v2 is not positive and finite, norm is another, or
            activation lacks a method of `GaussianExpectations`; if the shapes of these and of the
            activation's parameters do not broadcast.
    """

    alpha: Parameter
    sigma_w2: Parameter
    sigma_v2: Parameter
    norm: Norm
    _activation: GaussianExpectations

    def __init__(
        self,
        activation: GaussianExpectations,
        alpha: FloatLike,
        sigma_w2: FloatLike = 1.0,
        sigma_v2: FloatLike = 1.0,
        norm: Norm = "rms",
    ) -> None:
        check_activation(activation)
        given = {"alpha": alpha, "sigma_w2": sigma_w2, "sigma_v2": sigma_v2}
        numbers = {
            name: plain(check.parameter(check.positive(name, value)))
            for name, value in given.items()
        }
        shapes = {name: np.shape(value) for name, value in numbers.items()}
        if any(shapes.values()):
            check.together({**shapes, "the activation's parameters": shape_of(activation)})
        if norm not in NORMS:
            raise ValueError(f"norm must be 'rms' or 'layer', got {check.shown(norm)}")
        self._keep(_activation=activation, norm=norm, **numbers)

    def _parameters(self) -> dict[str, Any]:
        return {
            "activation": self.activation,
            "alpha": self.alpha,
            "sigma_w2": self.sigma_w2,
            "sigma_v2": self.sigma_v2,
            "norm": self.norm,
        }

    @property
    def activation(self) -> GaussianExpectations:
        """phi."""
        return self._activation

    @once
    def _shape(self) -> tuple[int, ...]:
        shapes = (np.shape(value) for value in (self.alpha, self.sigma_w2, self.sigma_v2))
        return np.broadcast_shapes(*shapes, shape_of(self.activation))

    @property
    def increment(self) -> Array:
        """v, the variance that every block adds: alpha^2 sigma_v^2 E phi^2."""
        return np.array(self._added)[()]

    @cached_property
    def _added(self) -> Array:
        """The same, worked out once for all layers."""
        return np.asarray(self._weights * self.activation.mean_square(self._inner))

    @property
    def gradient_exponent(self) -> Array:
        """p = sigma_w^2 E phi'^2 / E phi^2: gradients grow by at most (q^L / q^1)^p if p >= 1.

        1 for an identity, ReLU and leaky ReLU; above 1 wherever phi has an edge of chaos with
        biases at q* = sigma_w^2, and then q* / (q* - sigma_b^2). inf where E phi^2 underflows.
        """
        squares = self.activation.mean_square(self._inner)
        slopes = self._inner * self.activation.mean_derivative_power(self._inner, 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(squares > 0.0, slopes / squares, np.inf)[()]

    def sparsity(self, q: FloatLike = 1.0) -> Array:
        """The expected share of zeros of phi in any block: that at variance sigma_w^2."""
        check.positive("q", q)
        return self.activation.sparsity(self._inner)

    @property
    def _inner(self) -> Array:
        """The variance of phi's input."""
        return np.asarray(self.sigma_w2)

    @property
    def _weights(self) -> Array:
        return np.asarray(np.square(self.alpha) * self.sigma_v2)

    @property
    def _keep_factor(self) -> Array:
        return np.ones(())

    def _increment(self, q: Array) -> Array:
        return self._added

    def _increment_product(self, rho: Array, q: Array) -> Array:
        return self._weights * self.activation.mean_product(rho, self._inner)

    def _increment_gap(self, gap: Array, q: Array) -> Array:
        return self._weights * self.activation.mean_product_gap(gap, self._inner)

    def _increment_slope(self, rho: Array, q: Array) -> Array:
        slopes = self.activation.mean_product_of_derivatives(rho, self._inner)
        return self._weights * (self._inner * slopes)

    def _block_chi(self, q: Array) -> Array:
        return (
            self._weights * self._inner * self.activation.mean_derivative_power(self._inner, 2) / q
        )

    def _start(self, q0: FloatLike | None) -> Array:
        return np.ones(()) if q0 is None else check.positive("q0", q0)
