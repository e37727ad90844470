"""Moments of the spectrum of J J^T, J the input-output Jacobian (Eqs. 25-31, Table 3)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._types import Array


class JacobianMoments(NamedTuple):
    """The first two moments of the spectrum of J J^T, and its variance m_2 - m_1^2."""

    m1: Array
    m2: Array
    variance: Array


def spectrum_moments(
    chi: Array, mu1: Array, mu2: Array, depth: int, first_s_moment: float
) -> JacobianMoments:
    """m_1 = chi^L and m_2 = chi^(2L) L (mu_2 / mu_1^2 + 1 / L - 1 - s_1) (Eqs. 28-30).

    The paper prints mu_1 / mu_2 where the S-transform gives mu_2 / mu_1^2.

    Args:
        chi: sigma_w^2 mu_1.
        mu1: E phi'^2.
        mu2: E phi'^4.
        depth: number L of layers.
        first_s_moment: s_1 of W W^T: -1 for Gaussian weights, 0 for orthogonal ones.
    """
    m1 = chi**depth
    variance = m1**2 * depth * (mu2 / mu1**2 - 1.0 - first_s_moment)
    return JacobianMoments(m1, np.asarray(m1**2 + variance), np.asarray(variance))
