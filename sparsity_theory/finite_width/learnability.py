"""How fast gradient descent tells inputs apart: the second way to fail, slow or no learning.

Gradient descent moves the output f by its tangent kernel, which is a sum over layers of a forward
and a backward part: the gradient by the weights behind layer l is delta^(l+1) x^l^T, so that

    Theta(a, b) = sum_l (x_a^l . x_b^l) (delta_a^(l+1) . delta_b^(l+1)).

How fast the outputs of two inputs part, |grad f(a) - grad f(b)|^2, has two terms in a layer,

    |delta_a x_a^T - delta_b x_b^T|^2  ~  2 (delta_a . delta_b) (|x|^2 - x_a . x_b)
                                          + 2 |x|^2 (|delta|^2 - delta_a . delta_b).

In the first a weight that serves both inputs comes to tell their signals apart. In the second each
input goes its own way, through the units that are active for it alone; what one input learns by it
does not serve another, and it is left out. In the limit of large width the first term is, with
correlation gaps g^l = 1 - rho^l that follow R and for a readout of variance sigma_w^2 / N,

    K = N sum_l (q* g^(l+1) / sigma_w^2) R'(rho^(l+1)) ... R'(rho^L),    l = 1, ..., L.

In a network of width N, the gain of every layer is a random share of units: over the layers up to l
for differences of signals, over the others for gradients, each layer once. The product of L such
gains is log-normal with mean one and the log-variance

    L (E phi'^4 / (E phi'^2)^2 - 1) / N,    for slopes 0 and 1: L (sigma_w^2 - 1) / N,

which is Eq. 30's variance of the spectrum of J J^T over the width. The typical (median) network has
K times the exponential of minus half of it, and the logarithm of that is the learnability.

Assumed: all layers have the variance q*, where that is the spread of gains; q^l wanders, and with
it chi(q^l), so that gains spread more, three times as much for CReLU at s = 0.85, V' = 0.7.
Fluctuations of different layers are independent (they are not the same draws) and those of a single
direction, 2 sigma_w^2 / N a layer, average out over classes and inputs; the kernel is that at
initialization; the weights of layer 1, whose number depends on the data, add little; no network of
the kind explodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike

if TYPE_CHECKING:
    from ..mean_field.maps import MeanField

REFERENCE_GAP = 0.5
"""1 - rho of two images in layer 1. Its mean is 0.29 for two digits of scikit-learn of one class,
0.54 of two classes, and 0.55 and 0.72 for MNIST; rankings do not depend on it between 0.2 and 0.7.
"""

# The ratio of gaps is analytic in the root of the gap, but for inputs of correlation -1.
_NODES = 0.5 - 0.5 * np.cos(np.pi * (np.arange(32) + 0.5) / 32)


def learnability(
    net: MeanField, width: int = 300, depth: int = 100, q: FloatLike | None = None
) -> float:
    """The decimal logarithm of the rate at which a typical network's outputs are told apart.

    Args:
        net: the initialization, with scalar parameters.
        width: units N in every layer.
        depth: number L of hidden layers.
        q: variance of all layers; ``net.q_star`` where not given.

    Returns:
        log10 of K exp(-spread / 2). Two outputs part by K a unit of time, where plain gradient
        descent takes a time of its learning rate a step. -inf where no difference is left.

    Raises:
        ValueError: for a width or depth below 1, q not positive and finite, or q not given for a
            network without q_star.
    """
    check.count("width", width)
    check.count("depth", depth)
    variance = net.require_q_star("q") if q is None else check.positive("q", q)
    forward, backward = pair_layers(net, depth, variance)
    with np.errstate(divide="ignore"):
        mean = np.log(width / net.sigma_w2 * np.sum(variance * forward * backward))
    return float((mean - 0.5 * gain_spread(net, width, depth, variance)) / np.log(10.0))


def pair_layers(
    net: MeanField, depth: int, q: FloatLike, gap: float = REFERENCE_GAP
) -> tuple[Array, Array]:
    """What two inputs that differ by ``gap`` in layer 1 have in layers 1 to L, each (depth,).

    The gap g^(l+1) that layer l passes on, and the product of R' over the layers after l.
    """
    gaps = correlation_gaps(net, depth + 1, q, gap)
    slopes = net.correlation_slope(1.0 - gaps[1:-1], q)
    backward = np.append(np.cumprod(slopes[::-1])[::-1], 1.0)
    return gaps[1:], backward


def correlation_gaps(net: MeanField, depth: int, q: FloatLike, gap: float) -> Array:
    """1 - rho in layers 1 to ``depth``, by R interpolated in the root of the gap; at most 1."""
    grid = _NODES**2
    ratio = np.polynomial.Chebyshev.fit(
        _NODES, net.correlation_gap(grid, q) / grid, _NODES.size - 1, domain=[0.0, 1.0]
    )
    gaps = [gap]
    for _ in range(depth - 1):
        following = gaps[-1] * float(ratio(np.sqrt(gaps[-1])))
        gaps.append(min(max(following, 0.0), 1.0))
    return np.array(gaps)


def gain_spread(net: MeanField, width: int, depth: int, q: FloatLike) -> float:
    """The variance of the logarithm of a product of L gains, L (sigma_w^2 - 1) / N for the four."""
    q = np.asarray(q)
    fourth, second = (net.activation.mean_derivative_power(q, power) for power in (4, 2))
    return float(depth * (fourth / second**2 - 1.0) / width)
