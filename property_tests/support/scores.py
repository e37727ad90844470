"""Scores: observations that are N(0, 1) if the theory is right.

In a dense network with i.i.d. Gaussian weights and biases and one
input, the pre-activations of layer l, given all layers before it, are *exactly* i.i.d. N(0, q^l)
with q^l = sigma_w^2 |x^{l-1}|^2 / N + sigma_b^2, at any width. So, given the past,

- N times the mean of (h^l)^2 over q^l is chi-squared with N degrees of freedom;
- the number of zeros in layer l is binomial with probability phi.sparsity(q^l);
- the number of units with phi' = 1 is binomial with probability chi(q^l) / sigma_w^2.

Each observed value is put through its own distribution function (for a count, at a uniformly random
place within its jump) and then through the normal quantile, which makes it N(0, 1), independent of
the past. n of them, over layers and members, add up to sqrt(n) N(0, 1) exactly: no limit, no
approximation. How far a sum may lie from zero, `chance` says for the whole suite; and each test
rejects a wrong theory by the same score.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]


def combined_z(scores: Floats) -> float:
    """n independent standard normal scores as one."""
    return float(np.sum(scores) / math.sqrt(np.size(scores)))


def score_of_count(count: Floats, trials: int, probability: Floats, seed: int) -> Floats:
    """N(0, 1) if the counts are binomial: the randomized probability integral transform."""
    law = stats.binom(trials, probability)
    place = np.random.default_rng(seed).uniform(size=np.shape(count))
    return np.asarray(stats.norm.ppf(law.cdf(count - 1) + place * law.pmf(count)))


def score_of_squares(sum_of_squares: ArrayLike, variance: Any, degrees: Any) -> Floats:
    """N(0, 1) if the summands are squares of ``degrees`` i.i.d. N(0, variance)."""
    law = stats.chi2(degrees)
    scaled = np.asarray(sum_of_squares) / variance
    # From the nearer tail: one minus the other would round to zero.
    lower, upper = stats.norm.ppf(law.cdf(scaled)), stats.norm.isf(law.sf(scaled))
    return np.asarray(np.where(scaled < degrees, lower, upper))


def z_of_mean(terms: Floats, expected: float) -> float:
    """How many standard errors the mean of i.i.d. terms is from what it should be."""
    return float((np.mean(terms) - expected) / (np.std(terms) / math.sqrt(terms.size)))
