"""The covariance map of a convolutional network with circular padding (Eqs. 2, 4, 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike
from .covariance import variances_and_correlations
from .maps import check_net
from .propagation import correlation_fixed_point

if TYPE_CHECKING:
    from .maps import MeanField


def covariance_map(net: MeanField, covariance: FloatLike, half_width: int) -> Array:
    """The covariances of the next layer's pre-activations between all positions (Eq. 4).

    Args:
        net: activation, sigma_w^2 and sigma_b^2; weights are N(0, sigma_w2 / ((2 k + 1) C_in)).
        covariance: between the n positions of one layer, shape (n, n): symmetric, with variances
            above zero and correlations in [-1, 1], to the rounding of its type, in float64 2e-13
            of the variances. The positions may differ in variance; whether the matrix is positive
            semidefinite is not checked.
        half_width: k, for kernels 2 k + 1 wide; positions are counted modulo n.

    Returns:
        Shape (n, n), symmetric.

    Raises:
        ValueError: if covariance is not such a matrix, or half_width is negative.
    """
    check_net(net)
    k = check.size("half_width", half_width, least=0)
    q, rho = variances_and_correlations(covariance)
    products = _mean_products(net, rho, q)
    shifted = [np.roll(products, (-beta, -beta), axis=(0, 1)) for beta in range(-k, k + 1)]
    return np.asarray(net.sigma_b2 + net.sigma_w2 * np.mean(shifted, axis=0))


def _mean_products(net: MeanField, rho: Array, q: Array) -> Array:
    """E phi(u_i) phi(u_j) for all pairs of positions, more accurate for equal variances."""
    if np.ptp(q) == 0.0:
        return net.activation.mean_product(rho, q[0])
    products = net.activation.mean_product_between(rho, q[:, None], q)
    return 0.5 * (products + products.T)  # symmetric up to rounding


def covariance_fixed_point(net: MeanField, positions: int) -> Array:
    """The covariance that deep layers converge to: q* on the diagonal, q* rho* off it (Eq. 5).

    Args:
        net: an initialization whose ``q_star`` is known.
        positions: n.

    Returns:
        Shape (n, n); unchanged by `covariance_map` for every kernel.

    Raises:
        ValueError: if positions is below 1, or q_star is not known or not a single number.
    """
    check_net(net)
    n = check.size("positions", positions)
    q = check.single("q_star", net.require_q_star())
    rho = check.single("rho_star", correlation_fixed_point(net))
    return np.asarray(q * (rho + (1.0 - rho) * np.eye(n)))
