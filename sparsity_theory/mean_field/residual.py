"""Plain residual networks of infinite width: h^{l+1} = skip h^l + alpha (W phi(h^l) + b).

Given h^l the increment's entries are independent N(0, alpha^2 (sigma_w^2 |phi(h^l)|^2 / N +
sigma_b^2)), at any width. In the limit that variance is alpha^2 V(q^l), the stream is normal, and

    q^{l+1} = skip^2 q^l + alpha^2 V(q^l),     chi_res(q) = skip^2 + alpha^2 chi(q),

with V and chi of the network without skips. With skip = 1 there is no fixed point, since V > 0:

- unclipped, V grows like q and so does q with its factor: exponentially, by 1 + alpha^2
  sigma_w^2 P a layer in the end, P = E phi'^2 at q = infinity (1/2 for ReLU_tau, 1 for ST_tau).
  As V' = chi for these, gradients grow by as much as differences of variance do;
- clipped, V is at most sigma_w^2 P m^2 + sigma_b^2: q grows linearly, chi falls like q^(-1/2), and
  the logarithm of gradients grows like the root of the depth.

Either way |h| leaves tau behind, and the sparsity falls to 1 - P. With alpha^2 = 1 / L all of this
happens once over the whole depth: gradients grow by less than exp(sup chi). With skip^2 = 1 -
alpha^2 the fixed points are those of V, and chi_res = 1 at q* on the edge of chaos: q*, and with it
the sparsity, stays what it was designed to be.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike, Parameter, plain
from ..activations.expectations import GaussianExpectations
from ..numerics.elementary import once
from .maps import MeanField, check_net
from .stream import Stream


class Residual(Stream):
    """A residual network h^{l+1} = skip h^l + alpha (W phi(h^l) + b), and its maps.

    Args:
        net: activation, sigma_w^2 and sigma_b^2 of every block.
        alpha: factor of the increments, positive: a constant, or ``depth**-0.5``.
        skip: factor of the stream, in [0, 1]. With ``(1 - alpha**2) ** 0.5`` the fixed points are
            those of ``net``; 0, with alpha = 1, is the plain network.

    Raises:
        ValueError: if net is no `MeanField`, alpha is not positive and finite, or skip is not in
            [0, 1]; if their shapes and that of net's parameters do not broadcast.
    """

    net: MeanField
    alpha: Parameter
    skip: Parameter

    def __init__(self, net: MeanField, alpha: FloatLike, skip: FloatLike = 1.0) -> None:
        check_net(net)
        factor = check.parameter(check.positive("alpha", alpha))
        kept = check.parameter(check.share("skip", skip))
        shapes = {"alpha": factor.shape, "skip": kept.shape}
        if any(shapes.values()):
            check.together({**shapes, "the network's parameters": net._shape})
        self._keep(net=net, alpha=plain(factor), skip=plain(kept))

    def _parameters(self) -> dict[str, Any]:
        return {"net": self.net, "alpha": self.alpha, "skip": self.skip}

    @property
    def activation(self) -> GaussianExpectations:
        """phi."""
        return self.net.activation

    @once
    def _shape(self) -> tuple[int, ...]:
        return np.broadcast_shapes(np.shape(self.alpha), np.shape(self.skip), self.net._shape)

    def sparsity(self, q: FloatLike) -> Array:
        """The expected share of zeros of phi(h) at variance q > 0 (Eqs. 12, 56)."""
        return self.activation.sparsity(q)

    def variance_slope(self, q: FloatLike) -> Array:
        """The slope of the variance map, skip^2 + alpha^2 V'(q), for q >= 0."""
        slope = np.square(self.alpha) * self.net.variance_slope(q)
        return np.asarray(self._keep_factor + slope)[()]

    def variance_curvature(self, q: FloatLike) -> Array:
        """The curvature of the variance map, alpha^2 V''(q), for q > 0."""
        return np.asarray(np.square(self.alpha) * self.net.variance_curvature(q))[()]

    def with_same_fixed_points(self) -> MeanField:
        """The network without skips whose variance map has the same fixed points.

        skip^2 q + alpha^2 V(q) = q where a V(q) = q, a = alpha^2 / (1 - skip^2): the network with
        a sigma_w^2 and a sigma_b^2. It keeps ``net.q_star`` if that is a fixed point, with a = 1.

        Raises:
            ValueError: for skip = 1: V(q) > 0 is added in every layer, and q has no fixed point.
        """
        if np.any(self._keep_factor == 1.0):
            raise ValueError("skip must be below 1 for fixed points: with skip = 1, q only grows")
        scale = np.square(self.alpha) / (1.0 - self._keep_factor)
        same = bool(np.all(np.abs(scale - 1.0) <= 1e-12))
        q_star = self.net.q_star if same else None
        scale = np.ones_like(scale) if same else scale
        return MeanField(
            self.activation, scale * self.net.sigma_w2, scale * self.net.sigma_b2, q_star
        )

    @property
    def _keep_factor(self) -> Array:
        return np.asarray(np.square(self.skip))

    @property
    def _weights(self) -> Array:
        return np.asarray(np.square(self.alpha) * self.net.sigma_w2)

    def _increment(self, q: Array) -> Array:
        return np.asarray(np.square(self.alpha) * self.net.variance_map(q))

    def _increment_product(self, rho: Array, q: Array) -> Array:
        biases = np.square(self.alpha) * self.net.sigma_b2
        return np.asarray(self._weights * self.activation.mean_product(rho, q) + biases)

    def _increment_gap(self, gap: Array, q: Array) -> Array:
        return self._weights * self.activation.mean_product_gap(gap, q)

    def _increment_slope(self, rho: Array, q: Array) -> Array:
        return self._weights * (q * self.activation.mean_product_of_derivatives(rho, q))

    def _block_chi(self, q: Array) -> Array:
        return np.asarray(np.square(self.alpha) * self.net.chi(q))

    def _start(self, q0: FloatLike | None) -> Array:
        return self.net.require_q_star("q0") if q0 is None else check.positive("q0", q0)
