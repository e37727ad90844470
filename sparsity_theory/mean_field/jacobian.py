"""Moments of the spectrum of J J^T, J the input-output Jacobian (Eqs. 25-31, Table 3)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import _validation as check
from .._types import Array
from .maps import MeanField, check_net


class JacobianMoments(NamedTuple):
    """The first two moments of the spectrum of J J^T, and its variance m_2 - m_1^2."""

    m1: Array
    m2: Array
    variance: Array


def jacobian_moments(net: MeanField, depth: int, orthogonal: bool = False) -> JacobianMoments:
    """m_1, m_2 and the variance of the spectrum of J J^T at q* (Eqs. 28-30).

    With mu_k = E phi'^(2k), chi = sigma_w^2 mu_1 and s_1 = -1 for Gaussian weights, 0 for
    orthogonal ones,

        m_1 = chi^L,    m_2 = chi^(2L) L (mu_2 / mu_1^2 + 1 / L - 1 - s_1).

    The paper prints mu_1 / mu_2 where the S-transform gives mu_2 / mu_1^2.

    Args:
        net: an initialization whose ``q_star`` is known.
        depth: number L of layers.
        orthogonal: weights that are orthogonal matrices times sigma_w, not Gaussian ones.

    Raises:
        ValueError: for a depth below 1, no network or one whose q_star is not known, or a phi that
            jumps, whose E phi'^2 is infinite.
    """
    check_net(net)
    q = net.require_q_star()
    depth = check.count("depth", depth)
    mu1 = net.activation.mean_derivative_power(q, 2)
    if np.any(np.isinf(mu1)):
        raise ValueError(f"{net.activation!r} jumps, so that J J^T has no finite moments")
    mu2 = net.activation.mean_derivative_power(q, 4)
    first_s_moment = 0.0 if orthogonal else -1.0
    m1 = (net.sigma_w2 * mu1) ** depth
    variance = m1**2 * depth * (mu2 / mu1**2 - 1.0 - first_s_moment)
    return JacobianMoments(m1, m1**2 + variance, variance)
