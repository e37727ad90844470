"""The exact law of the variance in a random network of finite width, and a forecast from it.

For independent Gaussian weights and biases no limit is needed: given layer l, the entries of
h^{l+1} are exactly independent N(0, q^{l+1}) with

    q^{l+1} = sigma_w^2 (1 / N) sum_i phi(sqrt(q^l) z_i)^2 + sigma_b^2,    z_i ~ N(0, 1),

so the variance of a real network of width N is a Markov chain, drawn here without any weights.
Beside it runs the gain of squared gradients, sigma_w^2 (1 / N) sum_i phi'(sqrt(q^l) z_i)^2 a
layer, which takes the backward weights as independent of the forward ones (as Eq. 24 does).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from . import _validation as check
from ._types import Array, FloatLike
from .fixed_points import FixedPointContinuumError

if TYPE_CHECKING:
    from .mean_field import MeanField

FATAL_GAIN = 1e3
"""Squared gradients that grow by more than this from the last layer to any other doom training."""

QUANTILES = (0.05, 0.5, 0.95)

TRAINS_UP_TO, FAILS_FROM = 0.05, 0.10
"""Failure probabilities up to and from which networks are expected to train, or to fail.

The few networks that explode at their first step are the visible part: training moves every
network about, and presents it with many inputs, each with a fate of its own.
"""

Outcome = Literal["trains", "fails", "open"]


@dataclass(frozen=True)
class Forecast:
    """What random networks of one width and depth do at initialization.

    Attributes:
        failure_probability: share of networks whose squared gradient grows by more than
            ``FATAL_GAIN`` between the last layer and some earlier one; in [0, 1].
        final_variance: the 5%, 50% and 95% quantiles of q^L.
        largest_gain: the same quantiles of the largest backward gain over layers.
        gradient_growth: the same quantiles of the gain over the whole depth, from h^L to h^1.
        left_basin: share of networks whose q^L lies beyond the basin of q*: above the next fixed
            point, or above q* itself where that is stable from the left only.
        sparsity_mean: expected sparsity of layers 1 to L, shape (depth,).
        sparsity_std: its standard deviation over networks, shape (depth,).
        outcome: what to expect of training, by `expected_outcome`.
        verdict: the above in one line.
    """

    failure_probability: float
    final_variance: Array
    largest_gain: Array
    gradient_growth: Array
    left_basin: float
    sparsity_mean: Array
    sparsity_std: Array
    outcome: Outcome
    verdict: str


def expected_outcome(failure_probability: float) -> Outcome:
    """What to expect of training: "trains", "fails", or "open" where the law takes no side."""
    if failure_probability <= TRAINS_UP_TO:
        return "trains"
    return "fails" if failure_probability >= FAILS_FROM else "open"


def forecast(
    net: MeanField,
    width: int = 300,
    depth: int = 100,
    networks: int = 1000,
    seed: int = 0,
    q0: FloatLike | None = None,
) -> Forecast:
    """Draw the variances and gradient gains of random networks, and say which will train.

    Args:
        net: the initialization, with scalar parameters.
        width: units N in every layer.
        depth: number L of hidden layers.
        networks: how many networks to draw.
        seed: of the random numbers; the result depends on nothing else.
        q0: variance of the pre-activations of layer 1; ``net.q_star`` where not given.

    Raises:
        ValueError: for a width, depth or number of networks below 1, q0 not positive and finite,
            q0 not given for a network without q_star, or array parameters.
    """
    check.count("width", width)
    check.count("depth", depth)
    check.count("networks", networks)
    if q0 is None:
        q0 = net.require_q_star()
    start = check.positive("q0", q0)
    if start.ndim or np.ndim(net.variance_map(start)):
        raise ValueError("forecast needs a single q0 and scalar tau, m, sigma_w2 and sigma_b2")
    rng = np.random.default_rng(seed)
    q = np.full(networks, float(start))
    sparsity = np.empty((depth, networks))
    gains = np.empty((depth, networks))
    variances = np.empty((depth, networks))
    for layer in range(depth):
        variances[layer] = q
        h = np.sqrt(q)[:, None] * rng.standard_normal((networks, width))
        x = net.activation(h)
        sparsity[layer] = np.mean(x == 0.0, axis=1)
        gains[layer] = net.sigma_w2 * np.mean(net.activation.derivative(h) ** 2, axis=1)
        q = np.minimum(net.sigma_w2 * np.mean(x * x, axis=1) + net.sigma_b2, _LARGEST_VARIANCE)
    return _summary(net, variances, gains, sparsity)


_LARGEST_VARIANCE = 1e200  # beyond it squares overflow; such a network has failed long ago


def _summary(net: MeanField, variances: Array, gains: Array, sparsity: Array) -> Forecast:
    with np.errstate(divide="ignore"):
        log_gains = np.log(gains[:-1])
    # The gain from h^L back to h^l is the product over layers l, ..., L - 1.
    nothing = np.zeros((1, log_gains.shape[1]))
    backward = np.concatenate([nothing, np.cumsum(log_gains[::-1], axis=0)])
    largest = np.max(backward, axis=0)
    failure = float(np.mean(largest > np.log(FATAL_GAIN)))
    final = np.quantile(variances[-1], QUANTILES)
    left = float(np.mean(variances[-1] > _basin_end(net)))
    return Forecast(
        failure_probability=failure,
        final_variance=final,
        largest_gain=_exp_quantiles(largest),
        gradient_growth=_exp_quantiles(backward[-1]),
        left_basin=left,
        sparsity_mean=sparsity.mean(axis=1),
        sparsity_std=sparsity.std(axis=1),
        outcome=expected_outcome(failure),
        verdict=_verdict(failure, left, final),
    )


def _exp_quantiles(logarithms: Array) -> Array:
    """Quantiles of exp(logarithms), none of them overflowing."""
    quantiles = np.quantile(logarithms, QUANTILES, method="inverted_cdf")
    return np.asarray(np.exp(np.minimum(quantiles, 700.0)))


def _basin_end(net: MeanField) -> float:
    """Where the basin of q* ends: the next fixed point, or q* if stable from the left only."""
    try:
        points = net.fixed_points()
    except FixedPointContinuumError:  # nothing to leave
        return np.inf
    q_star = float(net.require_q_star())
    above = [p.q for p in points if p.q > q_star * (1.0 + 1e-6)]
    at = [p for p in points if abs(p.q - q_star) <= 1e-6 * q_star]
    if at and not at[0].stable:
        return q_star
    return above[0] if above else np.inf


_CHANCES = {"trains": "expected to train", "fails": "expected to fail", "open": "at risk"}


def _verdict(failure: float, left: float, final: Array) -> str:
    chance = _CHANCES[expected_outcome(failure)]
    return (
        f"{chance}: gradients grow more than {FATAL_GAIN:g}-fold in {failure:.0%} of networks, "
        f"{left:.0%} leave the basin of q*, median q^L = {final[1]:.3g}"
    )
