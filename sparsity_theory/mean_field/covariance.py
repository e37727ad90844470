"""A covariance matrix as variances and correlations, after a check that it is one."""

from __future__ import annotations

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike

# Of the precision of the given covariance: sums of many terms may have lost this many ulps.
_ULPS = 1024


def variances_and_correlations(covariance: FloatLike) -> tuple[Array, Array]:
    """The diagonal of a covariance, (n,), and its correlations, (n, n), with ones on the diagonal.

    Raises:
        ValueError: if it is no symmetric matrix with a positive diagonal and correlations in
            [-1, 1], to the rounding of its type.
    """
    sigma = check.finite("covariance", covariance)
    if sigma.ndim != 2 or sigma.shape[0] != sigma.shape[1]:
        raise ValueError(f"covariance must be a symmetric matrix, got shape {sigma.shape}")
    q = check.positive("the diagonal of covariance", np.diag(sigma))
    return q, _correlations(sigma, q, _rounding(covariance))


def _rounding(covariance: FloatLike) -> float:
    """By how much correlations of this precision may be off."""
    precision = np.result_type(np.asarray(covariance).dtype, np.float16)
    return float(_ULPS * np.finfo(precision).eps)


def _correlations(sigma: Array, q: Array, rounding: float) -> Array:
    root = np.sqrt(q)
    rho = sigma / root / root[:, None]
    asymmetry = np.abs(rho - rho.T)
    if np.any(asymmetry > rounding):
        worst = np.max(np.abs(sigma - sigma.T)[asymmetry > rounding])
        raise ValueError(
            f"covariance must be symmetric, got mirrored entries that differ by {worst:.3g}"
        )
    rho = 0.5 * (rho + rho.T)
    np.fill_diagonal(rho, 1.0)
    rounded = np.abs(rho) <= 1.0 + rounding
    return check.correlation("correlation", np.where(rounded, np.clip(rho, -1.0, 1.0), rho))
