"""Initialization on the edge of chaos: sigma_w^2 and sigma_b^2 (Eqs. 59-62 and App. A's recipe)."""

from __future__ import annotations

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike, Number, plain
from ..activations.expectations import GaussianExpectations, check_activation, shape_of
from ..numerics.elementary import anywhere, select
from ..numerics.roots import bracketed_newton
from .maps import MeanField

# Of q E phi'^2: expectations by quadrature are good to a few times this, closed forms to more.
_ROUNDING = 1e-13
_TINY = float(np.finfo(float).tiny)


def edge_of_chaos(activation: GaussianExpectations, q_star: FloatLike = 1.0) -> MeanField:
    """The initialization with chi_1 = 1 and V(q_star) = q_star (Eqs. 59-62).

    sigma_w^2 = 1 / E phi'^2, which is 1 / (1 - s) for the unclipped kinds, and
    sigma_b^2 = q* - sigma_w^2 E phi^2, formed without that subtraction. A sigma_b^2 below zero by
    at most 1e-13 q* is rounding, and 0: so it is for ReLU and leaky ReLU.

    Raises:
        ValueError: if q_star is not positive and finite, or of a shape that does not broadcast with
            the activation's parameters, if phi jumps, so that chi_1 is infinite for any weights, if
            phi' vanishes (to double precision) wherever a N(0, q_star) variable falls, or if
            sigma_b^2 would be negative: then the activation has no edge of chaos at q_star.
    """
    check_activation(activation)
    q_star = check.positive("q_star", q_star)
    if q_star.ndim:
        check.together(
            {"q_star": q_star.shape, "the activation's parameters": shape_of(activation)}
        )
    mean_squared_derivative = plain(np.asarray(activation.mean_derivative_power(q_star, 2)))
    _refuse_infinite(activation, mean_squared_derivative)
    if anywhere(mean_squared_derivative < _TINY):
        raise ValueError(
            f"{activation!r} has no edge of chaos at q_star = {q_star!s}: "
            "its derivative vanishes there to double precision"
        )
    deficit = plain(np.asarray(activation.edge_deficit(q_star)))
    rounding = _ROUNDING * (plain(q_star) * mean_squared_derivative)
    deficit = select((deficit < 0.0) & (deficit >= -rounding), 0.0, deficit)
    if anywhere(deficit < 0.0):
        raise ValueError(
            f"{activation!r} has no edge of chaos at q_star = {q_star!s}: sigma_b^2 would be "
            f"{np.min(deficit / mean_squared_derivative):.6g}, but must be at least 0"
        )
    return MeanField(
        activation, 1.0 / mean_squared_derivative, deficit / mean_squared_derivative, plain(q_star)
    )


def edge_of_chaos_of_sparsity(
    activation: GaussianExpectations, sparsity: float, q_star: FloatLike = 1.0
) -> MeanField:
    """`edge_of_chaos` of an activation that was made for a sparsity, which its errors name."""
    try:
        return edge_of_chaos(activation, q_star)
    except ValueError as error:
        raise ValueError(f"sparsity {sparsity:g} is out of reach: {error}") from error


def edge_of_chaos_for_bias(activation: GaussianExpectations, sigma_b2: FloatLike) -> MeanField:
    """The point of the edge of chaos with a given sigma_b^2: the curves of Fig. 8.

    Along the edge sigma_b^2 is a function of q*, evaluated on a grid of variances; it is solved for
    log q* in the first interval where it reaches the wanted value.

    Args:
        activation: with scalar parameters.
        sigma_b2: positive, any shape.

    Returns:
        The initialization, with ``q_star`` the fixed point found, in the shape of sigma_b2.

    Raises:
        ValueError: if the activation's parameters are arrays, phi jumps, sigma_b2 is not positive
            and finite, or the edge of chaos nowhere has that sigma_b^2 where E phi'^2 is in the
            range of doubles and q* is not far below the scales of phi.
    """
    check_activation(activation)
    wanted = check.positive("sigma_b2", sigma_b2)
    _refuse_infinite(activation, activation.mean_derivative_power(np.ones(()), 2))
    smallest, largest = activation.scales()
    grid = np.geomspace(1e-3 * smallest**2, 1e12 * largest**2, 2000)
    if np.ndim(_edge_bias(activation, np.ones(()))) > 0:
        raise ValueError("edge_of_chaos_for_bias needs an activation with scalar parameters")
    biases = _edge_bias(activation, grid)
    reached = biases >= wanted.reshape(-1, 1)
    if not np.all(reached[:, -1]):
        raise ValueError(
            f"sigma_b2 is at most {np.nanmax(biases):.6g} on the edge of chaos of {activation!r}, "
            f"got {wanted.max():.6g}"
        )
    first, begin = np.argmax(reached, axis=1), int(np.argmax(np.isfinite(biases)))
    if np.any(first == begin):
        raise ValueError(
            f"sigma_b2 is at least {biases[begin]:.6g} on the edge of chaos of {activation!r}, "
            f"from q_star = {grid[begin]:.6g} on, got {wanted.min():.6g}"
        )
    log_low, log_high = np.log(grid[first - 1]), np.log(grid[first])

    def excess(log_q: Array) -> tuple[Array, Array]:
        step = 1e-6
        here, ahead = (_edge_bias(activation, np.exp(x)) for x in (log_q, log_q + step))
        return here / wanted.ravel() - 1.0, (ahead - here) / (wanted.ravel() * step)

    log_q = bracketed_newton(excess, log_low, log_high, 0.5 * (log_low + log_high))
    return edge_of_chaos(activation, np.exp(log_q).reshape(wanted.shape))


def _refuse_infinite(activation: GaussianExpectations, mean_squared_derivative: Number) -> None:
    if anywhere(mean_squared_derivative == np.inf):
        raise ValueError(
            f"{activation!r} has no edge of chaos: it jumps, so that E phi'^2, and with it chi_1, "
            "is infinite"
        )


def _edge_bias(activation: GaussianExpectations, q: Array) -> Array:
    """sigma_b^2 on the edge of chaos at q* = q; NaN where phi' vanishes to double precision."""
    slopes = activation.mean_derivative_power(q, 2)
    vanishing = slopes < _TINY
    return np.where(vanishing, np.nan, activation.edge_deficit(q) / np.where(vanishing, 1, slopes))
