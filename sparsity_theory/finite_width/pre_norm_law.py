"""The exact law of random pre-norm residual networks of finite width.

In h^{l+1} = h^l + alpha W2 phi(W1 norm(h^l)) the normalized stream has |norm(h)|^2 = N exactly. So
the input u of phi has independent N(0, sigma_w^2) entries whatever h^l is, in every block: the
number of zeros is binomial, independent from block to block. The variance that a block adds,

    v^l = alpha^2 sigma_v^2 (1 / M) sum_j phi(u_j)^2,

does not depend on the stream either: the v^l are independent and identically distributed, and given
them the entries of h^l are exactly independent N(0, q^1 + v^1 + ... + v^{l-1}). That sum, a random
walk, is a Markov chain of one number, for pre-norm networks alone; nothing is approximated.

Going back, the gradient of a normalization lacks the direction of h, the only one in which the
forward pass has seen W1: through it weights are as good as fresh. W2 has been seen in the direction
of phi(u) (`stream_law.pulled_back`). With y = phi'(u) W2^T delta, r the root of the mean square
that norm divides by and P the projection orthogonal to h, and for LayerNorm to the ones,

    delta^l = delta^{l+1} + (alpha / r) sqrt(sigma_w^2 / N) |y| P g.
"""

from __future__ import annotations

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike
from ..mean_field.pre_norm import PreNorm
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


def draw_pre_norm(
    net: PreNorm,
    width: int = 300,
    depth: int = 100,
    networks: int = 1000,
    seed: int | np.random.Generator = 0,
    q0: FloatLike | None = None,
    hidden: int | None = None,
) -> StreamChain:
    """Draw random pre-norm residual networks of finite width, exactly.

    Args:
        net: the initialization, with scalar parameters and any activation.
        width: units N of the stream, at least 2.
        depth: number L of layers h^1, ..., h^L; the sparsity is that of phi behind each.
        networks: how many networks to draw.
        seed: of the random numbers, or their generator; the result depends on nothing else.
        q0: variance of h^1, whose entries are independent normal; 1 where not given.
        hidden: units M within a block; ``width`` where not given.

    Raises:
        ValueError: if net is no `PreNorm`; for a width below 2, a depth, number of networks or
            hidden units below 1, q0 not positive and finite, or parameters that are arrays.
    """
    if not isinstance(net, PreNorm):
        raise ValueError(f"net must be a PreNorm, got {net!r}")
    start = single_start(net, width, depth, networks, q0)
    check.size("width", width, least=2)
    units = width if hidden is None else check.size("hidden", hidden)
    blocks = [
        _draw_block(net, start, (width, units), depth, number, rng)
        for number, rng in in_blocks(networks, networks_at_once(width + units, depth), seed)
    ]
    return StreamChain(*np.concatenate(blocks, axis=2))


def _draw_block(
    net: PreNorm,
    q0: float,
    sizes: tuple[int, int],
    depth: int,
    networks: int,
    rng: np.random.Generator,
) -> Array:
    """Variances, gains, sparsities and gradients, shape (4, depth, networks)."""
    phi, (width, hidden) = net.activation, sizes
    inner, outer = float(net.sigma_w2), float(net.sigma_v2)
    free = (width - 1 - (net.norm == "layer")) / width  # directions that pass gradients on
    drawn, passes = np.zeros((4, depth, networks)), []
    h = np.sqrt(q0) * rng.standard_normal((networks, width))
    for layer in range(depth):
        u = np.sqrt(inner) * rng.standard_normal((networks, hidden))
        x, slope = values_and_slopes(phi, u)
        centered, size = _centered(net, h), np.mean(h * h, axis=1)
        square = np.mean(centered * centered, axis=1)
        through = net.alpha**2 * inner * outer * np.mean(slope * slope, axis=1)
        drawn[:3, layer] = size, 1.0 + free * through / square, np.mean(x == 0.0, axis=1)
        if layer < depth - 1:
            w = np.sqrt(outer) * root_mean_square(x) * rng.standard_normal(h.shape)
            passes.append((x, slope, w, centered))
            h = h + net.alpha * w
    delta = random_directions(networks, width, rng)
    for layer in range(depth - 2, -1, -1):
        x, slope, w, centered = passes[layer]
        y = slope * pulled_back(delta, x, w, outer, rng)
        g = _without(centered, _centered(net, rng.standard_normal(delta.shape)))
        scale = np.sqrt(inner) * np.linalg.norm(y, axis=1, keepdims=True)
        through = scale / np.linalg.norm(centered, axis=1, keepdims=True) * g
        delta, log_size = unit_and_log_size(delta + net.alpha * through)
        drawn[3, layer] = drawn[3, layer + 1] + log_size
    return drawn


def _centered(net: PreNorm, h: Array) -> Array:
    """What the normalization divides: h, for LayerNorm less its mean."""
    return h - np.mean(h, axis=1, keepdims=True) if net.norm == "layer" else h


def _without(direction: Array, g: Array) -> Array:
    """The part of g orthogonal to a direction."""
    squares = np.sum(direction * direction, axis=1, keepdims=True)
    return np.asarray(g - direction * (np.sum(direction * g, axis=1, keepdims=True) / squares))
