"""Initialization on the edge of chaos: tau for a sparsity, m for a slope, sigma_w^2 and sigma_b^2.

Equations 57-62 and the recipe at the end of the paper's App. A.
"""

from __future__ import annotations

import numpy as np
import scipy

from . import _validation as check
from ._types import Array, FloatLike
from .gaussian import density
from .mean_field import GaussianExpectations, MeanField
from .piecewise_linear import clipped_ramp
from .roots import bracketed_newton

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


def edge_of_chaos(activation: GaussianExpectations, q_star: FloatLike = 1.0) -> MeanField:
    """The initialization with chi_1 = 1 and V(q_star) = q_star (Eqs. 59-62).

    sigma_w^2 = 1 / E phi'^2, which is 1 / (1 - s) for the unclipped kinds, and
    sigma_b^2 = q* - sigma_w^2 E phi^2, formed without that subtraction.

    Raises:
        ValueError: if q_star is not positive and finite, if phi' vanishes (to double precision)
            wherever a N(0, q_star) variable falls, or if sigma_b^2 would be negative: then the
            activation has no edge of chaos at q_star.
    """
    q_star = check.positive("q_star", q_star)
    mean_squared_derivative = activation.mean_derivative_power(q_star, 2)
    if np.any(mean_squared_derivative < np.finfo(float).tiny):
        raise ValueError(
            f"{activation!r} has no edge of chaos at q_star = {q_star!s}: "
            "its derivative vanishes there to double precision"
        )
    deficit = activation.edge_deficit(q_star)
    if np.any(deficit < 0.0):
        raise ValueError(
            f"{activation!r} has no edge of chaos at q_star = {q_star!s}: sigma_b^2 would be "
            f"{np.min(deficit / mean_squared_derivative):.6g}, but must be at least 0"
        )
    return MeanField(
        activation, 1.0 / mean_squared_derivative, deficit / mean_squared_derivative, q_star
    )


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
    target = np.log(slope) - np.log1p(-slope)

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


def edge_of_chaos_for_bias(activation: GaussianExpectations, sigma_b2: FloatLike) -> MeanField:
    """The point of the edge of chaos with a given sigma_b^2: the curves of Fig. 8.

    Along the edge sigma_b^2 is a function of q*, followed on a grid of variances; where it first
    reaches the wanted value it is solved for log q*.

    Args:
        activation: with scalar parameters.
        sigma_b2: positive, any shape.

    Returns:
        The initialization, with ``q_star`` the fixed point found, in the shape of sigma_b2.

    Raises:
        ValueError: if the activation's parameters are arrays, sigma_b2 is not positive and finite,
            or the edge of chaos nowhere has that sigma_b^2.
    """
    wanted = check.positive("sigma_b2", sigma_b2)
    smallest, largest = activation.scales()
    grid = np.geomspace(1e-3 * smallest**2, 1e12 * largest**2, 2000)
    if np.ndim(_edge_bias(activation, _ONE)) > 0:
        raise ValueError("edge_of_chaos_for_bias needs an activation with scalar parameters")
    biases = _edge_bias(activation, grid)
    reached = biases >= wanted.reshape(-1, 1)
    if not np.all(reached[:, -1]):
        raise ValueError(
            f"sigma_b2 is at most {biases.max():.6g} on the edge of chaos of {activation!r}, "
            f"got {wanted.max():.6g}"
        )
    first = np.argmax(reached, axis=1)
    log_low, log_high = np.log(grid[np.maximum(first - 1, 0)]), np.log(grid[first])

    def excess(log_q: Array) -> tuple[Array, Array]:
        step = 1e-6
        here, ahead = (_edge_bias(activation, np.exp(x)) for x in (log_q, log_q + step))
        return np.log(here / wanted.ravel()), np.log(ahead / here) / step

    log_q = bracketed_newton(excess, log_low, log_high, 0.5 * (log_low + log_high))
    return edge_of_chaos(activation, np.exp(log_q).reshape(wanted.shape))


def _edge_bias(activation: GaussianExpectations, q: Array) -> Array:
    """sigma_b^2 on the edge of chaos at q* = q."""
    return activation.edge_deficit(q) / activation.mean_derivative_power(q, 2)
