"""A forecast, from the law at finite width, of which initializations will train.

No outcome of training enters it: a network counts as failing if its squared gradients grow more
than a thousandfold (a round number) in backpropagation at initialization. The share of such
networks is not the probability that a training run fails; it ranks initializations. The command
``sparsity-theory forecast --table 2 --table 4 --table 5`` compares it to the paper's 65 rows, of
which 17 failed, and prints the AUC of this share, of ``severity`` and of V''(q*): 0.995, 1.000 and
0.969 with its default seed. That of the share lies between 0.9939 and 0.9976 for the seeds 0 to 11,
started at q* or at the paper's input variance. The 33 convolutional networks of Table 2
(``--table 2 --network cnn``) are ranked by the law of many positions, 6 of which failed.

Where it is wrong: ReLU at s = 0.6, depth 100 trained (0.76) and CReLU at s = 0.9, V' = 0.9, depth
30 too (0.91), but their networks exceed the thousandfold more often (16% and 18%) than those of ST
at s = 0.7 and ReLU at s = 0.8, depth 30, which failed (13% each). They exceed it by less, and
``severity`` ranks them correctly. And a row is forecast for one depth: at depth 100 the rows that
trained 30 deep would be ranked wrongly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from .._types import Array, FloatLike
from .._values import Summary
from ..mean_field.fixed_points import FixedPointContinuumError, fixed_points
from .convolution_law import Positions
from .layer_law import Ramp, draw_layers
from .position_law import draw_positions
from .variance_law import Chain, draw_chain

if TYPE_CHECKING:
    from ..mean_field.maps import MeanField

FATAL_GAIN = 1e3
"""A network fails if its squared gradients grow by more than this from the last layer to any."""

LARGEST_GAIN = 1e12
"""Larger gains count as this one in ``severity``, so that a few networks do not dominate it."""

QUANTILES = (0.05, 0.5, 0.95)

TRAINS_UP_TO, FAILS_FROM = 0.05, 0.10
"""Failure probabilities up to and from which networks are expected to train, or to fail.

They are small since a network is counted for one input and its initial weights alone, while
training changes the weights and uses many inputs, any of which may make gradients explode. These
two numbers, and no others here, were chosen with the outcomes of the paper's Table 2 in view.
"""

Outcome = Literal["trains", "fails", "open"]


@dataclass(frozen=True, eq=False, repr=False)
class Forecast(Summary):
    """What random networks of one width and depth do at initialization.

    Attributes:
        failure_probability: share of networks whose squared gradient grows by more than
            ``FATAL_GAIN`` between the last layer and some earlier one; in [0, 1].
        severity: log10 of the mean over networks of min(largest gain, ``LARGEST_GAIN``), in
            [0, 12]: how badly the networks that fail do so. It ranks initializations whose failure
            probabilities are equally high, or equally low.
        final_variance: the 5%, 50% and 95% quantiles of q^L.
        largest_gain: the same quantiles of the largest backward gain over layers.
        gradient_growth: the same quantiles of the gain over the whole depth, from h^L to h^1.
        left_basin: share of networks whose q^L lies beyond the basin of attraction of q*: above
            the next fixed point, or above q* itself where that is stable from the left only.
        sparsity_mean: expected sparsity of layers 1 to L, shape (depth,).
        sparsity_std: its standard deviation over networks, shape (depth,).
        outcome: what to expect of training, by `expected_outcome`.
        verdict: the above in one line.
    """

    failure_probability: float
    severity: float
    final_variance: Array
    largest_gain: Array
    gradient_growth: Array
    left_basin: float
    sparsity_mean: Array
    sparsity_std: Array
    outcome: Outcome
    verdict: str


def expected_outcome(failure_probability: float) -> Outcome:
    """What to expect of training: "trains", "fails", or "open" between the two thresholds."""
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
    kernel: int | None = None,
    positions: Positions | None = None,
) -> Forecast:
    """Draw the variances and gradient gains of random networks, and predict whether they train.

    Args:
        net: the initialization, with scalar parameters.
        width: units N in every layer; channels, where there are positions.
        depth: number L of hidden layers.
        networks: how many networks to draw.
        seed: of the random numbers; the result depends on nothing else.
        q0: variance of the pre-activations of layer 1; ``net.q_star`` where not given.
        kernel: of a convolutional network with circular padding, its odd size in each dimension.
        positions: of a convolutional network, on a ring, or in each of one or two dimensions: 1024
            or (32, 32). Variances, gains and sparsities are then means over positions, drawn by
            `draw_positions`.

    Whole layers are drawn for the paper's four activations (`draw_layers`), units for others.

    Raises:
        ValueError: for a width, depth or number of networks below 1, q0 not positive and finite,
            q0 not given for a network without q_star, or array parameters; kernel or positions
            without the other, or that `draw_positions` refuses.
    """
    if kernel is not None or positions is not None:
        chain: Chain = draw_positions(net, kernel, positions, width, depth, networks, seed, q0)
        return _summary(net, chain)
    draw = draw_chain if Ramp.of(net.activation) is None else draw_layers
    chain = draw(net, width, depth, networks, seed, q0)
    if chain.variance.ndim > 2:
        raise ValueError("forecast needs a single q0 and scalar tau, m, sigma_w2 and sigma_b2")
    return _summary(net, chain)


def failure_probability(chain: Chain) -> Array:
    """Share of the networks that fail, for every initialization of a chain."""
    return np.asarray(np.mean(_largest(chain) > np.log(FATAL_GAIN), axis=-1))


def _largest(chain: Chain) -> Array:
    return np.asarray(np.max(chain.log_backward_gain, axis=0))


def _summary(net: MeanField, chain: Chain) -> Forecast:
    largest = _largest(chain)
    failure = float(failure_probability(chain))
    last = chain.variance[-1]
    final = np.quantile(last, QUANTILES)
    left = float(np.mean(last > _basin_end(net)))
    capped = np.exp(np.minimum(largest, np.log(LARGEST_GAIN)))
    return Forecast(
        failure_probability=failure,
        severity=float(np.log10(np.mean(capped))),
        final_variance=final,
        largest_gain=_exp_quantiles(largest),
        gradient_growth=_exp_quantiles(chain.log_backward_gain[0]),
        left_basin=left,
        sparsity_mean=chain.sparsity.mean(axis=1),
        sparsity_std=chain.sparsity.std(axis=1),
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
        points = fixed_points(net)
    except FixedPointContinuumError:  # every variance is a fixed point
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
