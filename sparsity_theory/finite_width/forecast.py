"""A forecast, from the laws at finite width, of how training ends: well, or in one of three ways.

It knows two ways to fail. Gradients explode, and with them the variance: `failure` turns the law of
the largest backward gain into the probability of that. Or nothing is learned, since inputs are not
told apart: `learnability` derives how fast they are in a typical network; and where most networks
pass no gradient at all, there is nothing to learn with.

The command ``sparsity-theory forecast --table 2 --table 4 --table 5`` compares it to the paper's 65
dense rows, of which 17 failed, and prints the AUC of ``failure_probability``, ``severity`` and
V''(q*), which is the paper's criterion: 0.995, 1.000 and 0.969. ``--table 2 --network cnn`` does so
for the 33 convolutional networks of Table 2, by the law of many positions; 6 of them failed.

Both depend on how long a network is trained: plain gradient descent takes a time of its learning
rate a step, and its odds to fail and what it learns grow in proportion.

Where it is wrong: a probability is calibrated for learning rates at which most networks learn, from
1e-4 to 4e-3, and for small batches; it does not know of steps too large for the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike
from .._values import Summary
from ..activations.expectations import GaussianExpectations
from ..mean_field.fixed_points import FixedPointContinuumError, fixed_points
from ..mean_field.maps import MeanField, check_net
from ..mean_field.pre_norm import PreNorm
from ..mean_field.residual import Residual
from .convolution_law import Positions
from .failure import (
    PAPER_TIME,
    dead_share,
    exploding_share,
    failure_probability,
    log_largest_gain,
    severity,
)
from .layer_law import Ramp, draw_layers
from .learnability import learnability
from .position_law import draw_positions
from .pre_norm_law import draw_pre_norm
from .residual_law import draw_residual
from .stable_step import largest_step
from .variance_law import Chain, draw_chain

QUANTILES = (0.05, 0.5, 0.95)

SLOW_BELOW = -0.5
"""Networks of a lower learnability are expected to learn slowly in the paper's training time.

In a time of 10.8 they have 10.8 10^-0.5 = 3.4 for the difference of two logits, shared by ten
classes; in another time t they need a learnability of -0.5 - log10(t / 10.8). The number was chosen
with the paper's Table 2 in view, where two rows train to less than 0.8 without exploding.
"""

MOST = 0.5
"""Shares and probabilities above this decide the outcome."""

Outcome = Literal["trains", "explodes", "learns slowly", "dead"]


@dataclass(frozen=True, eq=False, repr=False)
class Forecast(Summary):
    """What random networks of one width and depth do at initialization, and in training.

    Attributes:
        failure_probability: of a run of the given training time that explodes or loses its
            sparsity; in [0, 1). A calibrated number, see `failure`.
        severity: log10 of the mean over networks of min(largest gain, 1e12), in [0, 12]: how badly
            gradients explode at initialization. It ranks initializations.
        learnability: log10 of the rate at which a typical network's outputs for two inputs are told
            apart, per unit of time, a step of plain gradient descent taking a time of its learning
            rate (`learnability`). Higher learns better; 1 more is ten times as fast. It compares
            kinds, s, V', widths, depths and q* that have the same number of steps at the same
            learning rate, among networks that do not explode. None for convolutional and residual
            networks, for which it is not derived.
        dead_share: share of networks that pass no gradient: the gain from h^L to h^1 is below
            `failure.NO_GAIN`, mostly since some layer has no active unit.
        largest_step: the learning rate of plain SGD on cross-entropy up to which 95% of the
            networks are stable at initialization (`stable_step`); training may ask for less. None
            where it is 0 or infinite, and for convolutional and residual networks.
        exploding_share: share of networks whose squared gradients grow more than a thousandfold.
        final_variance: the 5%, 50% and 95% quantiles of q^L.
        largest_gain: the same quantiles of the largest backward gain over layers.
        gradient_growth: the same quantiles of the gain over the whole depth, from h^L to h^1.
        left_basin: share of networks whose q^L lies beyond the basin of attraction of q*: above
            the next fixed point, or above q* itself where that is stable from the left only. 0
            for residual networks of which q* is no fixed point: they have no basin to leave.
        sparsity_mean: expected sparsity of layers 1 to L, shape (depth,).
        sparsity_std: its standard deviation over networks, shape (depth,).
        outcome: what to expect of training, by `expected_outcome`.
        verdict: the above in one sentence.
    """

    failure_probability: float
    severity: float
    learnability: float | None
    dead_share: float
    largest_step: float | None
    exploding_share: float
    final_variance: Array
    largest_gain: Array
    gradient_growth: Array
    left_basin: float
    sparsity_mean: Array
    sparsity_std: Array
    outcome: Outcome
    verdict: str


def expected_outcome(
    failure_probability: float,
    learnability: float | None,
    dead_share: float = 0.0,
    training_time: float = PAPER_TIME,
) -> Outcome:
    """What to expect of training: dead before exploding before learning slowly, else "trains"."""
    if dead_share > MOST:
        return "dead"
    if failure_probability > MOST:
        return "explodes"
    slow = learnability is not None and learnability < slow_below(training_time)
    return "learns slowly" if slow else "trains"


def slow_below(training_time: float) -> float:
    """The learnability that networks need to learn in this time; `SLOW_BELOW` in the paper's."""
    return SLOW_BELOW - math.log10(training_time / PAPER_TIME)


def forecast(
    net: MeanField | Residual | PreNorm,
    width: int = 300,
    depth: int = 100,
    networks: int = 1000,
    seed: int = 0,
    q0: FloatLike | None = None,
    kernel: int | None = None,
    positions: Positions | None = None,
    training_time: float = PAPER_TIME,
) -> Forecast:
    """Draw the variances and gradient gains of random networks, and predict how training ends.

    Args:
        net: the initialization, with scalar parameters: a network without skips, or a residual
            one, of which the variances are those of the stream.
        width: units N in every layer; channels, where there are positions; for `PreNorm` those of
            the stream and of every block.
        depth: number L of hidden layers.
        networks: how many networks to draw.
        seed: of the random numbers; the result depends on nothing else.
        q0: variance of the pre-activations of layer 1; ``net.q_star`` where not given, 1 for
            `PreNorm`.
        kernel: of a convolutional network with circular padding, its odd size in each dimension.
        positions: of a convolutional network, on a ring, or in each of one or two dimensions: 1024
            or (32, 32). Variances, gains and sparsities are then means over positions, drawn by
            `draw_positions`.
        training_time: learning rate times steps of plain SGD, 10.8 in the paper. The longer, the
            likelier a network fails, and the lower is the learnability that it needs.

    Whole layers are drawn for the paper's four activations (`draw_layers`), units for others and
    for residual networks, whose probability of failure is an extrapolation: none of the runs that
    it is calibrated on had skips.

    Raises:
        ValueError: for a width, depth or number of networks below 1, q0 or training_time not
            positive and finite, a network without q_star, or array parameters; kernel or positions
            without the other, for a residual network, or that `draw_positions` refuses; for a phi
            that jumps, of whose gradients the theory says nothing.
    """
    training_time = check.single("training_time", check.positive("training_time", training_time))
    if isinstance(net, Residual | PreNorm):
        _refuse_jumps(net.activation, 1.0)
        if kernel is not None or positions is not None:
            raise ValueError(f"kernel and positions go with no residual network, got {net!r}")
        return _of_stream(net, width, depth, networks, seed, q0, training_time)
    check_net(net)
    _refuse_jumps(net.activation, float(np.max(net.require_q_star())))
    if kernel is not None or positions is not None:
        chain: Chain = draw_positions(net, kernel, positions, width, depth, networks, seed, q0)
        return _summary(chain, _basin_end(net), training_time)
    draw = draw_chain if Ramp.of(net.activation) is None else draw_layers
    chain = draw(net, width, depth, networks, seed, q0)
    if chain.variance.ndim > 2:
        raise ValueError("forecast needs a single q0 and scalar tau, m, sigma_w2 and sigma_b2")
    learning = learnability(net, width, depth)
    step = largest_step(net, chain, width)
    return _summary(chain, _basin_end(net), training_time, learning, step)


def _refuse_jumps(phi: GaussianExpectations, q: float) -> None:
    if np.any(phi.mean_derivative_power(np.asarray(q), 2) == np.inf):
        raise ValueError(
            f"{phi!r} jumps, so that E phi'^2 is infinite: of its gradients, and so of training, "
            "there is no forecast"
        )


def _of_stream(
    net: Residual | PreNorm,
    width: int,
    depth: int,
    networks: int,
    seed: int,
    q0: FloatLike | None,
    training_time: float,
) -> Forecast:
    """The forecast of a residual network; the verdict says what becomes of its sparsity."""
    if isinstance(net, PreNorm):
        chain: Chain = draw_pre_norm(net, width, depth, networks, seed, q0)
        found = _summary(chain, np.inf, training_time)
    else:
        chain = draw_residual(net, width, depth, networks, seed, q0)
        rests = net.skip < 1.0 and net.with_same_fixed_points().q_star is not None
        end = _basin_end(net.with_same_fixed_points()) if rests else np.inf
        found = _summary(chain, end, training_time)
    first, last = found.sparsity_mean[[0, -1]]
    kept = f"sparsity {first:.0%} in the first layer and {last:.0%} in the last"
    return replace(found, verdict=f"{found.verdict}; {kept}")


def _summary(
    chain: Chain,
    basin_end: float,
    training_time: float,
    learning: float | None = None,
    step: float | None = None,
) -> Forecast:
    last = chain.variance[-1]
    final = np.quantile(last, QUANTILES)
    left = float(np.mean(last > basin_end))
    failing = float(failure_probability(chain, training_time))
    dead = float(dead_share(chain))
    outcome = expected_outcome(failing, learning, dead, training_time)
    return Forecast(
        failure_probability=failing,
        severity=float(severity(chain)),
        learnability=learning,
        dead_share=dead,
        largest_step=step,
        exploding_share=float(exploding_share(chain)),
        final_variance=final,
        largest_gain=_exp_quantiles(log_largest_gain(chain)),
        gradient_growth=_exp_quantiles(chain.log_backward_gain[0]),
        left_basin=left,
        sparsity_mean=chain.sparsity.mean(axis=1),
        sparsity_std=chain.sparsity.std(axis=1),
        outcome=outcome,
        verdict=_verdict(outcome, failing, learning, dead, slow_below(training_time)),
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


def _verdict(
    outcome: Outcome, failing: float, learning: float | None, dead: float, least: float
) -> str:
    risk = f"{failing:.0%} of runs are expected to explode or lose their sparsity"
    speed = "" if learning is None else f"learnability {learning:.2f}"
    match outcome:
        case "dead":
            return f"dead: {dead:.0%} of networks pass no gradient from the last layer to the first"
        case "explodes":
            return f"explodes: {risk}"
        case "learns slowly":
            return f"learns slowly: {speed} is below {least:.2g}, inputs merge; {risk}"
    return f"trains: {'; '.join(filter(None, (speed, risk)))}"
