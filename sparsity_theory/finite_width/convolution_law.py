"""The exact law of random convolutional networks with finitely many channels (Eq. 2).

Given layer l, the N channels of h^{l+1} are exactly independent normal fields over the P positions,
with mean zero and the covariance

    Sigma^{l+1}(a, a') = sigma_b^2 + sigma_w^2 mean_beta G(a + beta, a' + beta),
    G(a, a') = (1 / N) sum_c phi(h_c(a)) phi(h_c(a')),

in which beta runs over the offsets of the kernel and positions are counted modulo their number. So
the (P, P) matrices Sigma^l are a Markov chain, drawn here without any weights; one layer of one
network costs N P normal numbers. `position_law` is for many positions.

Going back, weights are taken as independent of the forward ones, as by Eq. 24 and by
`variance_law`. Then the mean of |delta^l(a)|^2 over the weights, given where phi' is not zero,
follows a linear recursion over positions,

    g^l(a) = sigma_w^2 (1 / N) sum_c phi'(h_c^l(a))^2 mean_beta g^{l+1}(a - beta),

begun with the same g^L at every position: the random direction that gradients are sent back from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike
from ..numerics.division import ratio_or_zero
from .drawn_units import in_blocks, values_and_slopes
from .variance_law import LARGEST_VARIANCE, Chain, first_variances

if TYPE_CHECKING:
    from ..mean_field.maps import MeanField

Positions = int | Sequence[int]
"""How many positions there are on a ring, or in each of one or two dimensions."""

_BLOCK = 1_000_000  # units of one layer drawn at once
_ULPS = 1024  # to which a covariance that is given may be rounded


@dataclass(frozen=True, eq=False, repr=False)
class ConvolutionChain(Chain):
    """Random convolutional networks, layer by layer; arrays are (depth, networks).

    ``variance`` is the mean over positions of q^l(a), ``sparsity`` that of the shares of zeros, and
    ``gain`` the factor by which the sum over positions of squared gradients grows.

    Attributes:
        largest_variance: the largest q^l(a) over positions.
        correlation: the mean of Sigma^l over pairs of different positions, divided by the mean
            variance; 1 for a single position, and where all variances are 0.
    """

    largest_variance: Array
    correlation: Array


def draw_convolutions(
    net: MeanField,
    positions: Positions,
    kernel: int = 3,
    width: int = 300,
    depth: int = 50,
    networks: int = 1000,
    seed: int | np.random.Generator = 0,
    q0: FloatLike | None = None,
    covariance: FloatLike | None = None,
) -> ConvolutionChain:
    """Draw random convolutional networks of finite width, exactly.

    Args:
        net: the initialization, with scalar parameters and any activation; weights are
            N(0, sigma_w2 / (kernel^d width)) for d dimensions.
        positions: their number, or that in each of one or two dimensions; (32, 32) is an image.
        kernel: 2 k + 1, its size in each dimension; odd.
        width: channels N in every layer.
        depth: number L of hidden layers.
        networks: how many networks to draw.
        seed: of the random numbers, or their generator; the result depends on nothing else.
        q0: variance in layer 1, at every position; ``net.q_star`` where not given.
        covariance: Sigma^1, shape (P, P), with P the product of ``positions``, the last dimension
            running fastest; where not given, positions are independent, as in an image of noise.

    Raises:
        ValueError: for a width, depth, number of networks or of positions below 1, more than two
            dimensions, an even kernel, q0 not positive and finite, neither q0 nor a q_star,
            parameters that are arrays, q0 together with a covariance, or a covariance that has
            another shape or is not symmetric and positive semidefinite.
    """
    shape, kernel = grid(positions), odd_kernel(kernel)
    if covariance is None:
        start = first_variance(net, width, depth, networks, q0) * np.eye(math.prod(shape))
    elif q0 is not None:
        raise ValueError("q0 does not go with covariance, whose diagonal has the variances")
    else:
        start = _checked_covariance(covariance, math.prod(shape))
        first_variance(net, width, depth, networks, 1.0)
    size = max(1, _BLOCK // (width * math.prod(shape)))
    blocks = [
        _draw_block(net, start, shape, kernel, width, depth, number, rng)
        for number, rng in in_blocks(networks, size, seed)
    ]
    return ConvolutionChain(*(np.concatenate(each, axis=1) for each in zip(*blocks, strict=True)))


def grid(positions: Positions) -> tuple[int, ...]:
    """The number of positions in each of one or two dimensions."""
    several = isinstance(positions, Sequence) and not isinstance(positions, str)
    sizes: tuple[Any, ...] = tuple(positions) if several else (positions,)  # type: ignore[arg-type]
    if len(sizes) not in (1, 2):
        raise ValueError(
            f"positions must be a number or a pair of numbers, got {check.shown(positions)}"
        )
    return tuple(check.count("positions", size) for size in sizes)


def odd_kernel(kernel: int) -> int:
    """``kernel`` as an odd int of at least 1."""
    if check.count("kernel", kernel) % 2 == 0:
        raise ValueError(f"kernel must be odd, 2 k + 1 positions, got {kernel}")
    return int(kernel)


def first_variance(
    net: MeanField, width: int, depth: int, networks: int, q0: FloatLike | None
) -> float:
    """The variance of layer 1, after a check of all arguments: of a single initialization."""
    start, shape = first_variances(net, width, depth, networks, q0)
    if shape:
        raise ValueError(
            "convolutional networks are drawn for a single q0 and scalar tau, m, sigma_w2 and "
            f"sigma_b2, got parameters of shape {shape}"
        )
    return float(start)


def mean_gains(slopes: Array, kernel: int) -> Array:
    """The factors by which sums over positions of squared gradients grow, layer by layer.

    Args:
        slopes: sigma_w^2 (1 / N) sum_c phi'(h_c^l(a))^2, shape (depth, networks, *positions).
        kernel: 2 k + 1.

    Returns:
        Shape (depth, networks): their mean over the weights, going back from a random direction at
        h^L. The last, back from h^{L+1}, is as if that random direction were there.
    """
    axes = tuple(range(1, slopes.ndim - 1))
    gradient, gains = np.ones(slopes.shape[1:]), np.empty(slopes.shape[:2])
    gains[-1] = np.mean(slopes[-1], axis=axes)
    for layer in range(len(slopes) - 2, -1, -1):
        gradient = slopes[layer] * _mean_over_offsets(gradient, axes, kernel)
        gains[layer] = np.mean(gradient, axis=axes)
        gradient = ratio_or_zero(gradient, gains[layer].reshape(-1, *(1,) * len(axes)))
    return gains


def _draw_block(
    net: MeanField,
    start: Array,
    shape: tuple[int, ...],
    kernel: int,
    width: int,
    depth: int,
    networks: int,
    rng: np.random.Generator,
) -> tuple[Array, ...]:
    """The fields of a chain, of this many networks."""
    sigma = np.broadcast_to(start, (networks, *start.shape))
    variance, sparsity, largest, correlation = np.empty((4, depth, networks))
    slopes = np.empty((depth, networks, *shape))
    phi = net.activation
    for layer in range(depth):
        q = np.einsum("nii->ni", sigma)
        variance[layer], largest[layer] = q.mean(axis=1), q.max(axis=1)
        correlation[layer] = _mean_correlation(sigma, q)
        h = rng.standard_normal((networks, width, q.shape[1])) @ _roots(sigma)
        x, slope = values_and_slopes(phi, h)
        sparsity[layer] = np.mean(x == 0.0, axis=(1, 2))
        slopes[layer] = net.sigma_w2 * np.mean(slope * slope, axis=1).reshape(networks, *shape)
        products = x.swapaxes(1, 2) @ x / width
        sigma = net.sigma_w2 * _mean_over_pairs(products, shape, kernel) + net.sigma_b2
        highest = np.max(np.einsum("nii->ni", sigma), axis=1)
        cut = LARGEST_VARIANCE / np.maximum(highest, LARGEST_VARIANCE)
        sigma *= cut[:, np.newaxis, np.newaxis]
    return variance, mean_gains(slopes, kernel), sparsity, largest, correlation


def _mean_correlation(sigma: Array, q: Array) -> Array:
    """The mean covariance of two different positions over the mean variance."""
    positions = q.shape[1]
    total = q.sum(axis=1)
    if positions == 1:
        return np.ones(total.shape)
    pairs = (sigma.sum(axis=(1, 2)) - total) / (positions - 1)
    return np.asarray(np.where(total > 0.0, ratio_or_zero(pairs, total), 1.0))


def _roots(sigma: Array) -> Array:
    """Matrices R with R^T R = sigma, also where sigma is singular."""
    values, vectors = np.linalg.eigh(sigma)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[..., np.newaxis] * vectors.swapaxes(1, 2))


def _mean_over_pairs(products: Array, shape: tuple[int, ...], kernel: int) -> Array:
    """The mean over beta of G(a + beta, a' + beta), (networks, P, P)."""
    mean = products.reshape(-1, *shape, *shape)
    for axis in range(1, len(shape) + 1):
        mean = _mean_over_shifts(mean, (axis, axis + len(shape)), kernel)
    return mean.reshape(products.shape)


def _mean_over_offsets(values: Array, axes: tuple[int, ...], kernel: int) -> Array:
    """The mean over beta of the values at a - beta."""
    for axis in axes:
        values = _mean_over_shifts(values, (axis,), kernel)
    return values


def _mean_over_shifts(values: Array, axes: tuple[int, ...], kernel: int) -> Array:
    """The mean over shifts from -k to k, the same along all of these axes."""
    half = kernel // 2
    shifted = [np.roll(values, (beta,) * len(axes), axes) for beta in range(-half, half + 1)]
    return np.asarray(np.mean(shifted, axis=0))


def _checked_covariance(covariance: FloatLike, positions: int) -> Array:
    sigma = check.finite("covariance", covariance)
    if sigma.shape != (positions, positions):
        raise ValueError(f"covariance must have shape {(positions, positions)}, got {sigma.shape}")
    allowed = _ULPS * np.finfo(float).eps * np.max(np.abs(sigma))
    if np.max(np.abs(sigma - sigma.T)) > allowed:
        raise ValueError("covariance must be symmetric")
    least = float(np.min(np.linalg.eigvalsh(sigma)))
    if least < -positions * allowed:
        raise ValueError(
            f"covariance must be positive semidefinite, got the eigenvalue {least:.3g}"
        )
    return sigma
