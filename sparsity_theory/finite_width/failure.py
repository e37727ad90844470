"""The first way to fail: gradients explode, or with them the variance and the sparsity is lost.

A network's largest gain of squared gradients in backpropagation is drawn at initialization. What
training makes of it is not derived but calibrated: the odds of a failing run are taken in
proportion to the excess of the mean of these gains over one,

    P / (1 - P) = (M - 1) / M_0,    M = mean over networks of min(largest gain, `ENOUGH`).

The mean, since heavy tails rule what training meets on its way: a kind of network in which a few
networks explode at initialization fails in most runs. The cut, since a gain of 1e4 is as fatal as
any larger one, and a mean without it is that of the few largest draws.

The one constant M_0 is fitted (maximum likelihood) to the dense rows of the paper's Table 2, whose
failed runs are counted from their mean accuracy, and to the runs recorded in this project: 392 runs
of which 134 failed. Its logarithm has a standard error of 0.23; the paper's rows alone would have
it 4 times larger, those recorded here (trained with larger steps) 2.5 times smaller. It speaks of
training for thousands of steps at learning rates at which most networks learn.
"""

from __future__ import annotations

import numpy as np

from .._types import Array
from .variance_law import Chain

FATAL_GAIN = 1e3
"""A network explodes at initialization if its squared gradients grow by more than this."""

LARGEST_GAIN = 1e12
"""Larger gains count as this one in `severity`, so that a few networks do not dominate it."""

ENOUGH = 1e4
"""Larger gains count as this one in `failure_probability`."""

EVEN_EXCESS = 208.0
"""M_0: the excess of the mean gain over one at which half of the runs fail."""


def log_largest_gain(chain: Chain) -> Array:
    """The logarithm of the largest gain from h^L back to any layer, (*batch, networks), >= 0."""
    return np.asarray(np.max(chain.log_backward_gain, axis=0))


def exploding_share(chain: Chain) -> Array:
    """Share of the networks with a gain above `FATAL_GAIN`, for every initialization of a chain."""
    return np.asarray(np.mean(log_largest_gain(chain) > np.log(FATAL_GAIN), axis=-1))


def severity(chain: Chain) -> Array:
    """log10 of the mean over networks of min(largest gain, `LARGEST_GAIN`)."""
    return np.asarray(np.log10(_mean_gain(chain, LARGEST_GAIN)))


def failure_probability(chain: Chain) -> Array:
    """The probability that a training run explodes or loses its sparsity, calibrated; (*batch,)."""
    excess = _mean_gain(chain, ENOUGH) - 1.0
    return np.asarray(excess / (excess + EVEN_EXCESS))


def _mean_gain(chain: Chain, most: float) -> Array:
    capped = np.exp(np.minimum(log_largest_gain(chain), np.log(most)))
    return np.asarray(np.mean(capped, axis=-1))
