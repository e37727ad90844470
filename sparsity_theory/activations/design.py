"""tau for a wanted sparsity (Eqs. 57, 58) and m for a wanted slope of the variance map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy

from .. import _validation as check
from .._types import Array, FloatLike, Number, plain
from ..numerics.elementary import choose, clipped, exp, log, quotient, smallest
from ..numerics.gaussian import density, ramp_slope
from ..numerics.roots import bracketed_newton
from .piecewise_linear import clipped_ramp

_ZERO, _ONE = np.zeros(()), np.ones(())
_SMALLEST_LOG_CLIP = -370.0  # of m / sqrt(q*): slopes down to 1e-300 are reached by then


def one_sided_threshold(s: FloatLike, q_star: FloatLike = 1.0) -> Array:
    """tau of ReLU_tau and CReLU_{tau,m} for the sparsity s: sqrt(q*) Phi^-1(s) (Eq. 57).

    Negative for s < 1/2. Its relative condition number in s is s / (tau gamma(tau)), at q* = 1.

    Raises:
        ValueError: for s outside (0, 1), q_star not positive and finite, or shapes that do not
            broadcast.
    """
    return _threshold(s, q_star, 1.0, scipy.special.ndtri, lambda tail: -scipy.special.ndtri(tail))


def two_sided_threshold(s: FloatLike, q_star: FloatLike = 1.0) -> Array:
    """tau of ST_tau and CST_{tau,m} for the sparsity s: sqrt(2 q*) erf^-1(s) (Eq. 58).

    Its relative condition number in s is s / (2 tau gamma(tau)), at q* = 1.

    Raises:
        ValueError: for s outside (0, 1), q_star not positive and finite, or shapes that do not
            broadcast.
    """
    return _threshold(s, q_star, 2.0, scipy.special.erfinv, scipy.special.erfcinv)


def _threshold(
    s: FloatLike,
    q_star: FloatLike,
    times: float,
    quantile: Callable[[Array], Array],
    upper_quantile: Callable[[Array], Array],
) -> Array:
    """sqrt(times q*) quantile(s), where it is large by the upper tail 1 - s."""
    share, variance = check.fraction("s", s), check.positive("q_star", q_star)
    check.together({"s": np.shape(s), "q_star": np.shape(q_star)})
    tau = choose(share > 0.5, lambda: upper_quantile(1.0 - share), lambda: quantile(share))
    return np.asarray(np.sqrt(times * variance) * tau)[()]


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
    a, target = map(
        plain, np.broadcast_arrays(check.finite("tau", tau) / root, scipy.special.logit(slope))
    )

    def excess(log_w: Number) -> tuple[Number, Number]:
        logit, rate = _logit_of_slope(a, exp(log_w))
        return logit - target, rate

    low = _SMALLEST_LOG_CLIP + 0.0 * a
    high, start = log(50.0 + 2.0 * abs(a)), clipped(0.5 * target, _SMALLEST_LOG_CLIP, 0.5)
    return np.asarray(root * exp(bracketed_newton(excess, low, high, start)))[()]


def _logit_of_slope(a: Number, w: Number) -> tuple[Number, Number]:
    """log(r / (1 - r)) of r = V'(1) / chi(1) for the ramp from a to a + w, and d/d(log w) of it.

    r = A / B and 1 - r = w gamma(a + w) / B with A = E z phi phi', B = E phi'^2. Where A <= 0
    (possible for a < 0 only) the logit is -inf.
    """
    ratio = _slope_over_density(a, w)
    change = w * (a + 0.5 * w)
    logit = choose(ratio > 0.0, lambda: log(ratio) - log(w) + change, lambda: -np.inf)
    rate = w * (a + w) * (1.0 + w * quotient(exp(-change), ratio)) - 1.0
    return logit, rate


def _slope_over_density(a: Number, w: Number) -> Number:
    """A / gamma(a)."""
    if smallest(a) >= 0.0:
        return ramp_slope(a, w)
    ramp = clipped_ramp(np.asarray(a), np.asarray(w))
    return plain(np.asarray(ramp.mean_square_slope(_ONE) / density(np.asarray(a), _ZERO, _ONE)))
