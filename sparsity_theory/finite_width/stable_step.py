"""The largest step of plain gradient descent that is stable at initialization.

A step of learning rate eta is unstable beyond 2 / lambda, lambda the top eigenvalue of the loss's
curvature. For the mean cross-entropy over inputs it is at most half (the top of diag(p) - p p^T,
for any probabilities p) of the top of the tangent kernel divided by the number of inputs, and that
is at most the mean over inputs of the kernel of one with itself,

    Theta(a, a) = sum_l (N (q^(l+1) - sigma_b^2) / sigma_w^2 + 1) gain(L -> l+1),

of which variances and gains in a network of width N are those of the chain. For many inputs of
infinitely wide and deep networks the top is a quarter of it: what inputs have in common as they
merge. In narrower networks a few inputs have larger gradients than the others, and it is more.

It is a statement about the first steps. Networks sharpen as they learn, the sparser the more, and
what they then bear is not told by their initialization.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._types import Array
from .variance_law import Chain

if TYPE_CHECKING:
    from ..mean_field.maps import MeanField

SOFTMAX_CURVATURE = 0.5
"""The largest eigenvalue that diag(p) - p p^T has for any probabilities p."""

STABLE_SHARE = 0.95
"""Share of the networks in which the largest step is stable."""


def kernel_of_one_input(net: MeanField, chain: Chain, width: int) -> Array:
    """Theta(a, a) of one logit in every network of a chain, (networks,); inf beyond doubles.

    The last layer's activations are taken to have the mean square of those of the layer before.
    """
    from_weights = np.maximum(chain.variance - net.sigma_b2, 0.0) / net.sigma_w2
    forward = width * np.concatenate([from_weights[1:], from_weights[-1:]]) + 1.0
    gains = chain.log_backward_gain
    backward = np.concatenate([gains[1:], np.zeros((1, *gains.shape[1:]))])
    with np.errstate(over="ignore"):
        return np.asarray(np.sum(forward * np.exp(backward), axis=0))


def largest_step(net: MeanField, chain: Chain, width: int) -> float | None:
    """The learning rate of plain SGD at which `STABLE_SHARE` of the networks are stable at first.

    For mean cross-entropy and inputs of one variance. None if it is 0 or infinite in doubles.
    """
    kernels = kernel_of_one_input(net, chain, width)
    top = float(np.quantile(kernels, STABLE_SHARE, method="higher"))
    step = 2.0 / (SOFTMAX_CURVATURE * top) if top > 0.0 else np.inf
    return step if np.isfinite(step) and step > 0.0 else None
