"""tau for a wanted sparsity (Eqs. 57, 58) and m for a wanted slope of the variance map."""

from __future__ import annotations

import numpy as np
import scipy

from .. import _validation as check
from .._types import Array, FloatLike
from ..numerics.gaussian import density
from ..numerics.roots import bracketed_newton
from .piecewise_linear import clipped_ramp

_ZERO, _ONE = np.zeros(()), np.ones(())
_SMALLEST_LOG_CLIP = -370.0  # of m / sqrt(q*): slopes down to 1e-300 are reached by then


def one_sided_threshold(s: FloatLike, q_star: FloatLike = 1.0) -> Array:
    """tau of ReLU_tau and CReLU_{tau,m} for the sparsity s: sqrt(q*) Phi^-1(s) (Eq. 57).

    Negative for s < 1/2. Its relative condition number in s is s / (tau gamma(tau)), at q* = 1.

    Raises:
        ValueError: for s outside (0, 1), q_star not positive and finite.
    """
    s, q_star = check.fraction("s", s), check.positive("q_star", q_star)
    tau = np.where(s > 0.5, -scipy.special.ndtri(1.0 - s), scipy.special.ndtri(s))
    return np.asarray(np.sqrt(q_star) * tau)


def two_sided_threshold(s: FloatLike, q_star: FloatLike = 1.0) -> Array:
    """tau of ST_tau and CST_{tau,m} for the sparsity s: sqrt(2 q*) erf^-1(s) (Eq. 58).

    Its relative condition number in s is s / (2 tau gamma(tau)), at q* = 1.

    Raises:
        ValueError: for s outside (0, 1), q_star not positive and finite.
    """
    s, q_star = check.fraction("s", s), check.positive("q_star", q_star)
    tau = np.where(s > 0.5, scipy.special.erfcinv(1.0 - s), scipy.special.erfinv(s))
    return np.asarray(np.sqrt(2.0 * q_star) * tau)


def clip_for_slope(tau: FloatLike, slope: FloatLike, q_star: FloatLike = 1.0) -> Array:
    """The clip m of CReLU_{tau,m} and CST_{tau,m} with V'(q_star) = slope on the edge of chaos.

    On the edge V'(q*) = 1 - m gamma((tau + m) / sqrt(q*)) / (sqrt(q*) E phi'^2) (Eqs. 52, 55), the
    same for both kinds. Newton's method on the logit of V'(q*) in log(m), kept within a bracket.
    With a = tau / sqrt(q*) and w = m / sqrt(q*), the relative condition number of m in the slope is
    slope / ((1 - slope) (w (a + w) - slope)): at most about 1 unless the slope is close to 1.

    Raises:
        ValueError: for a slope outside (0, 1) (V'(q*) = 1 would need m = inf), tau not finite,
            q_star not positive and finite.
    """
    slope, q_star = check.fraction("slope", slope), check.positive("q_star", q_star)
    root = np.sqrt(q_star)
    a, slope = np.broadcast_arrays(check.finite("tau", tau) / root, slope)
    gamma = density(a, _ZERO, _ONE)
    target = np.asarray(scipy.special.logit(slope))

    def excess(log_w: Array) -> tuple[Array, Array]:
        logit, rate = _logit_of_slope(a, gamma, np.exp(log_w))
        return logit - target, rate

    high = np.log(50.0 + 2.0 * np.abs(a))
    start = np.clip(0.5 * target, _SMALLEST_LOG_CLIP, 0.5)
    log_w = bracketed_newton(excess, np.full(a.shape, _SMALLEST_LOG_CLIP), high, start)
    return np.asarray(root * np.exp(log_w))


def _logit_of_slope(a: Array, gamma: Array, w: Array) -> tuple[Array, Array]:
    """log(r / (1 - r)) of r = V'(1) / chi(1) for the ramp from a to a + w, and d/d(log w) of it.

    r = A / B and 1 - r = w gamma(a + w) / B with A = E z phi phi', B = E phi'^2. Where A <= 0
    (possible for a < 0 only) the logit is -inf.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = clipped_ramp(a, w).mean_square_slope(_ONE) / gamma
        change = w * (a + 0.5 * w)
        logit = np.where(ratio > 0.0, np.log(ratio) - np.log(w) + change, -np.inf)
        rate = w * (a + w) * (1.0 + w * np.exp(-change) / ratio) - 1.0
    return logit, rate
