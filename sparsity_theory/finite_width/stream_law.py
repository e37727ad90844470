"""What the laws of residual networks of finite width share: `residual_law` and `pre_norm_law`.

Going back through a matrix W of which the forward pass has seen u = W x: given that, W = u x^T /
|x|^2 + G P with a fresh Gaussian G and P the projection orthogonal to x (`gradient_law`), so that

    W^T delta = s (g - x^ (x^ . g)) + (u . delta / |x|) x^,    x^ = x / |x|.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike
from ..numerics.division import ratio_or_zero
from .variance_law import LARGEST_VARIANCE, Chain

if TYPE_CHECKING:
    from ..mean_field.stream import Stream

_BLOCK = 2_000_000  # units of all layers drawn at once


@dataclass(frozen=True, eq=False, repr=False)
class StreamChain(Chain):
    """Random residual networks, layer by layer; arrays are (depth, networks).

    ``variance`` is |h^l|^2 / N of the stream itself, ``sparsity`` the share of zeros of phi in
    block l, and ``gain`` the mean factor, over weights independent of the forward pass, by which
    squared gradients grow from h^{l+1} to h^l.

    Attributes:
        log_gradient: log(|delta^l|^2 / |delta^L|^2), backpropagated from a random direction at h^L
            through the weights of the forward pass; -inf where delta^l = 0.
    """

    log_gradient: Array


def networks_at_once(width: int, depth: int) -> int:
    """How many networks of this size to draw in one block."""
    return max(1, _BLOCK // (width * depth))


def single_start(net: Stream, width: int, depth: int, networks: int, q0: FloatLike | None) -> float:
    """The variance of h^1, after a check of all arguments: of a single initialization."""
    for name, number in (("width", width), ("depth", depth), ("networks", networks)):
        check.size(name, number)
    variances = net.trajectory(1, q0)
    shape = np.shape(net.variance_map(variances[0]))
    if shape:
        raise ValueError(
            f"a residual network is drawn for a single initialization, got parameters or q0 of "
            f"shape {shape}"
        )
    return float(variances[0])


def root_mean_square(x: Array) -> Array:
    """Of every network's units, (networks, 1); no larger than drawn variances may be."""
    return np.asarray(
        np.minimum(np.sqrt(np.mean(x * x, axis=-1, keepdims=True)), np.sqrt(LARGEST_VARIANCE))
    )


def pulled_back(
    delta: Array, x: Array, u: Array, variance: float, rng: np.random.Generator
) -> Array:
    """W^T delta, given u = W x: (networks, inputs), for W of entries N(0, variance / inputs)."""
    inputs = x.shape[-1]
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    direction = ratio_or_zero(x, np.broadcast_to(length, x.shape))
    spread = np.sqrt(variance / inputs) * np.linalg.norm(delta, axis=-1, keepdims=True)
    fresh = spread * rng.standard_normal(x.shape)
    seen = ratio_or_zero(np.sum(u * delta, axis=-1, keepdims=True), length)
    return np.asarray(fresh + direction * (seen - np.sum(direction * fresh, -1, keepdims=True)))


def random_directions(networks: int, width: int, rng: np.random.Generator) -> Array:
    """Unit vectors, (networks, width)."""
    directions = rng.standard_normal((networks, width))
    return np.asarray(directions / np.linalg.norm(directions, axis=-1, keepdims=True))


def unit_and_log_size(delta: Array) -> tuple[Array, Array]:
    """Gradients of length one again, and the logarithms of their squared lengths, (networks,)."""
    length = np.linalg.norm(delta, axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        log_size = 2.0 * np.log(length[:, 0])
    return ratio_or_zero(delta, np.broadcast_to(length, delta.shape)), log_size
