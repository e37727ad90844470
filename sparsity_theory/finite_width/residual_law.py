"""The exact law of random plain residual networks of finite width.

In h^{l+1} = skip h^l + alpha (W phi(h^l) + b) the weights are fresh in every block. So, given all
layers up to h^l, the entries of W phi(h^l) are exactly independent, N(0, sigma_w^2 |phi(h^l)|^2 /
N): the vectors h^l are a Markov chain, of N units that walk at random with a step that depends on
all of them, and are drawn without any weights. Nothing is approximated.

A variance alone is no Markov chain, as it is in networks without skips: h^{l+1} has what h^l was
in it, and given |h^l|^2 its entries are not normal. In the limit of infinite width they are.

Gradients are drawn exactly too: given the forward pass, delta^l = skip delta^{l+1} + alpha
phi'(h^l) W^T delta^{l+1}, with `stream_law.pulled_back`. This holds for any activation, since whole
vectors are kept.
"""

from __future__ import annotations

import numpy as np

from .._types import Array, FloatLike
from ..mean_field.residual import Residual
from .drawn_units import in_blocks, values_and_slopes
from .stream_law import (
    StreamChain,
    networks_at_once,
    pulled_back,
    random_directions,
    root_mean_square,
    single_start,
    unit_and_log_size,
)


def draw_residual(
    net: Residual,
    width: int = 300,
    depth: int = 100,
    networks: int = 1000,
    seed: int | np.random.Generator = 0,
    q0: FloatLike | None = None,
) -> StreamChain:
    """Draw random plain residual networks of finite width, exactly.

    Args:
        net: the initialization, with scalar parameters and any activation.
        width: units N of the stream.
        depth: number L of layers h^1, ..., h^L, with a block between each and the next.
        networks: how many networks to draw.
        seed: of the random numbers, or their generator; the result depends on nothing else.
        q0: variance of h^1, whose entries are independent normal; ``net.net.q_star`` where not
            given.

    Raises:
        ValueError: if net is no `Residual`; for a width, depth or number of networks below 1, q0
            not positive and finite, neither q0 nor a q_star, or parameters that are arrays.
    """
    if not isinstance(net, Residual):
        raise ValueError(f"net must be a Residual, got {net!r}")
    start = single_start(net, width, depth, networks, q0)
    blocks = [
        _draw_block(net, start, width, depth, number, rng)
        for number, rng in in_blocks(networks, networks_at_once(width, depth), seed)
    ]
    return StreamChain(*np.concatenate(blocks, axis=2))


def _draw_block(
    net: Residual, q0: float, width: int, depth: int, networks: int, rng: np.random.Generator
) -> Array:
    """Variances, gains, sparsities and gradients, shape (4, depth, networks)."""
    phi, weights, biases = net.activation, float(net.net.sigma_w2), float(net.net.sigma_b2)
    drawn, passes = np.zeros((4, depth, networks)), []
    h = np.sqrt(q0) * rng.standard_normal((networks, width))
    for layer in range(depth):
        x, slope = values_and_slopes(phi, h)
        gain = net.skip**2 + net.alpha**2 * weights * np.mean(slope * slope, axis=1)
        drawn[:3, layer] = np.mean(h * h, axis=1), gain, np.mean(x == 0.0, axis=1)
        if layer < depth - 1:
            u = np.sqrt(weights) * root_mean_square(x) * rng.standard_normal(h.shape)
            passes.append((x, slope, u))
            b = np.sqrt(biases) * rng.standard_normal(h.shape) if biases else 0.0
            h = net.skip * h + net.alpha * (u + b)
    delta = random_directions(networks, width, rng)
    for layer in range(depth - 2, -1, -1):
        x, slope, u = passes[layer]
        through = slope * pulled_back(delta, x, u, weights, rng)
        delta, log_size = unit_and_log_size(net.skip * delta + net.alpha * through)
        drawn[3, layer] = drawn[3, layer + 1] + log_size
    return drawn
