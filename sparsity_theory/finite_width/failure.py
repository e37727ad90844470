"""How networks fail: gradients explode and with them the sparsity is lost, or there are none.

A network's largest gain of squared gradients in backpropagation is drawn at initialization. What
training makes of it is not derived but calibrated: the odds of a failing run are taken in
proportion to the time that it is trained for, the learning rate times the steps, and to the excess
of the mean of these gains over one,

    P / (1 - P) = (t / `PAPER_TIME`) (M - 1) / M_0,    M = mean of min(largest gain, `ENOUGH`).

This is the probability of a failure that comes at a constant rate in time, where the rate differs
from network to network exponentially, with a mean in proportion to the excess. The mean gain, since
heavy tails rule what training meets on its way: a kind of network in which a few networks explode
at initialization fails in most runs. The cut, since a gain of 1e4 is as fatal as any larger one,
and a mean without it is that of the few largest draws.

The one constant M_0 is fitted (maximum likelihood) to the dense rows of the paper's Table 2, whose
failed runs are counted from their mean accuracy, and to the dense runs recorded in this project:
482 runs of which 160 failed, trained for times from 2.5 to 27. Its logarithm has a standard error
of 0.20; the paper's rows alone would have it 2.6 times larger, those of a time of 17 and more 1.7
times smaller. Without the time, 27% too many of the shortest runs are expected to fail, and 20% too
few of the longest; with it, 3% and 8% too few.
"""

from __future__ import annotations

import numpy as np

from .._types import Array
from .variance_law import Chain

FATAL_GAIN = 1e3
"""A network explodes at initialization if its squared gradients grow by more than this."""

LARGEST_GAIN = 1e12
"""Larger gains count as this one in `severity`, so that a few networks do not dominate it."""

PAPER_TIME = 10.8
"""The paper's training time: 200 epochs of 540 steps of 1e-4, if its batches are of 100."""

ENOUGH = 1e4
"""Larger gains count as this one in `failure_probability`."""

EVEN_EXCESS = 267.0
"""M_0: the excess of the mean gain over one at which half of the runs fail in `PAPER_TIME`."""

NO_GAIN = float(np.finfo(np.float32).eps) ** 2
"""A network is dead if the gain of squared gradients from h^L to h^1 is below this.

Gradients by the first layer are then lost in the rounding of float32 beside those by the last.
"""


def log_largest_gain(chain: Chain) -> Array:
    """The logarithm of the largest gain from h^L back to any layer, (*batch, networks), >= 0."""
    return np.asarray(np.max(chain.log_backward_gain, axis=0))


def exploding_share(chain: Chain) -> Array:
    """Share of the networks with a gain above `FATAL_GAIN`, for every initialization of a chain."""
    return np.asarray(np.mean(log_largest_gain(chain) > np.log(FATAL_GAIN), axis=-1))


def severity(chain: Chain) -> Array:
    """log10 of the mean over networks of min(largest gain, `LARGEST_GAIN`)."""
    return np.asarray(np.log10(_mean_gain(chain, LARGEST_GAIN)))


def failure_probability(chain: Chain, training_time: float = PAPER_TIME) -> Array:
    """The probability that a training run explodes or loses its sparsity, calibrated; (*batch,)."""
    excess = _mean_gain(chain, ENOUGH) - 1.0
    return np.asarray(excess / (excess + _even_excess(training_time)))


def dead_share(chain: Chain) -> Array:
    """Share of the networks that pass no gradient, for every initialization of a chain."""
    return np.asarray(np.mean(chain.log_backward_gain[0] < np.log(NO_GAIN), axis=-1))


def failure_standard_error(chain: Chain, training_time: float = PAPER_TIME) -> Array:
    """That of `failure_probability`, from the number of networks drawn; (*batch,)."""
    gains = _capped_gains(chain, ENOUGH)
    error = np.std(gains, axis=-1) / np.sqrt(gains.shape[-1])
    even = _even_excess(training_time)
    # The derivative of x / (x + even) at x = M - 1.
    return np.asarray(error * even / (np.mean(gains, axis=-1) - 1.0 + even) ** 2)


def _even_excess(training_time: float) -> float:
    """The excess at which half of the runs fail in this time."""
    return EVEN_EXCESS * PAPER_TIME / training_time


def _mean_gain(chain: Chain, most: float) -> Array:
    return np.asarray(np.mean(_capped_gains(chain, most), axis=-1))


def _capped_gains(chain: Chain, most: float) -> Array:
    """min(largest gain, most) of every network."""
    return np.asarray(np.exp(np.minimum(log_largest_gain(chain), np.log(most))))
