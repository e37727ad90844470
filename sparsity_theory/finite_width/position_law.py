"""The law of random convolutional networks with many positions, by one average over positions.

The mean over positions of Sigma^{l+1} (`convolution_law`) does not depend on the kernel: a circular
convolution moves what it sums from place to place. So two numbers are followed, the mean variance q
over positions and the mean correlation rho over pairs of positions, and positions are taken to be
alike and many: all variances are q, all correlations rho, and means over positions are
expectations. In channel c of such a layer

    h_c(a) = sqrt(rho q) u_c + sqrt((1 - rho) q) v_c(a),

with independent standard normal u_c, which all positions share, and v_c(a). Given the u_c,

    q^{l+1}              = sigma_b^2 + sigma_w^2 (1 / N) sum_c E[phi(h_c)^2 | u_c],
    rho^{l+1} q^{l+1}    = sigma_b^2 + sigma_w^2 (1 / N) sum_c E[phi(h_c) | u_c]^2,
    the gradients' gain  =             sigma_w^2 (1 / N) sum_c E[phi'(h_c)^2 | u_c],

a Markov chain that costs N normal numbers a layer, whatever the number of positions. The mean over
positions has less noise than a single position has, as if there were N Var[phi^2] / Var[E[phi^2 |
u]] channels; but on the edge of chaos rho tends to 1, so that before long all positions move
together and the network is as noisy as a dense one of N units.

What this leaves out is that variances differ from position to position. Kernels even them out, in
one layer all those within their reach; a kernel of one position does not, and is refused. Positions
far apart on a ring stay different for long. And an image that is uneven itself has a larger mean of
V(q) than V at the mean where V'' > 0, so that its networks fail somewhat more often; up to some
tens of positions `draw_convolutions` takes its covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from .. import _validation as check
from .._types import Array, FloatLike
from .convolution_law import (
    ConvolutionChain,
    Positions,
    draw_convolutions,
    first_variance,
    grid,
    odd_kernel,
)
from .drawn_units import in_blocks
from .layer_law import Ramp
from .variance_law import LARGEST_VARIANCE

if TYPE_CHECKING:
    from ..mean_field.maps import MeanField

FEW = 8
"""Up to so many positions are drawn exactly in a forecast."""

_BLOCK = 12_000  # units drawn at once: few enough to stay in a processor's cache
_FAR = -7.5  # below it the tail of the normal distribution, 3e-14, is taken as zero
_LEAST_GAP = 1e-10  # smaller 1 - rho are as this one: their square root is lost in rounding
_TINY = 1e-150  # for a standard deviation of zero


def draw_many_positions(
    net: MeanField,
    width: int = 300,
    depth: int = 50,
    networks: int = 1000,
    seed: int | np.random.Generator = 0,
    q0: FloatLike | None = None,
    rho0: float = 0.0,
) -> ConvolutionChain:
    """Draw random convolutional networks with many positions.

    Args:
        net: the initialization, of one of the paper's four activations, with scalar parameters.
        width: channels N in every layer.
        depth: number L of hidden layers.
        networks: how many networks to draw.
        seed: of the random numbers, or their generator; the result depends on nothing else.
        q0: variance in layer 1; ``net.q_star`` where not given.
        rho0: mean correlation of two positions in layer 1, in [0, 1]; 0 for centred images.

    Returns:
        What `draw_convolutions` draws; its ``largest_variance`` is the variance.

    Raises:
        ValueError: for a width, depth or number of networks below 1, q0 not positive and finite,
            neither q0 nor a q_star, rho0 outside [0, 1], another activation, or parameters that
            are arrays.
    """
    start = first_variance(net, width, depth, networks, q0)
    rho = check.single("rho0", check.share("rho0", rho0))
    ramp = Ramp.of(net.activation)
    if ramp is None:
        raise ValueError(f"activation must be one of the paper's four, got {net.activation!r}")
    given = _Channels(ramp.tau.item(), ramp.m.item(), ramp.odd)
    blocks = [
        _draw_block(net, given, start, rho, (number, width), depth, rng)
        for number, rng in in_blocks(networks, max(1, _BLOCK // width), seed)
    ]
    variance, gain, sparsity, correlation = np.concatenate(blocks, axis=2)
    return ConvolutionChain(variance, gain, sparsity, variance, correlation)


def draw_positions(
    net: MeanField,
    kernel: int | None,
    positions: Positions | None,
    width: int,
    depth: int,
    networks: int,
    seed: int | np.random.Generator = 0,
    q0: FloatLike | None = None,
) -> ConvolutionChain:
    """Draw convolutional networks: exactly up to `FEW` positions, else as `draw_many_positions`.

    Positions are uncorrelated in layer 1, as in an image of noise. Arguments are those of
    `draw_convolutions`.

    Raises:
        ValueError: as either does; for kernel or positions without the other; for a kernel of one
            position where there are more than `FEW`.
    """
    if kernel is None or positions is None:
        given = "kernel" if positions is None else "positions"
        raise ValueError(f"kernel and positions go together, got {given} alone")
    shape, kernel = grid(positions), odd_kernel(kernel)
    if math.prod(shape) <= FEW:
        return draw_convolutions(net, shape, kernel, width, depth, networks, seed, q0)
    if kernel == 1:
        raise ValueError(
            f"kernel must be at least 3 for more than {FEW} positions: with 1 they never mix"
        )
    return draw_many_positions(net, width, depth, networks, seed, q0)


def _draw_block(
    net: MeanField,
    given: _Channels,
    start: float,
    rho: float,
    shape: tuple[int, int],
    depth: int,
    rng: np.random.Generator,
) -> Array:
    """Variance, gain, sparsity and correlation, shape (4, depth, networks)."""
    drawn = np.empty((4, depth, shape[0]))
    q, gap = np.full(shape[0], start), np.full(shape[0], 1.0 - rho)
    for layer in range(depth):
        shared = np.sqrt((1.0 - gap) * q)[:, np.newaxis] * rng.standard_normal(shape)
        own = np.maximum(np.sqrt(np.maximum(gap, _LEAST_GAP) * q), _TINY)[:, np.newaxis]
        square, spread, slope, active = given.means(shared, own)
        drawn[:, layer] = q, net.sigma_w2 * slope, 1.0 - active, 1.0 - gap
        q = np.minimum(net.sigma_w2 * square + net.sigma_b2, LARGEST_VARIANCE)
        gap = np.clip(net.sigma_w2 * spread / np.maximum(q, _TINY), 0.0, 1.0)
    return drawn


@dataclass(frozen=True)
class _Channels:
    """Conditional expectations of phi, which rises from tau to tau + m, on one side or both."""

    tau: float
    m: float
    odd: bool

    def means(self, shared: Array, own: Array) -> tuple[Array, ...]:
        """Means over channels, given what their positions share, each of shape (networks,).

        Of E phi^2, Var phi, E phi'^2 and P(phi != 0) for h ~ N(shared, own^2); ``shared`` is
        (networks, channels), ``own`` (networks, 1).
        """
        mean, square, slope, active = self._side(shared, own)
        if self.odd:
            opposite = self._side(-shared, own)
            mean -= opposite[0]
            square, slope, active = square + opposite[1], slope + opposite[2], active + opposite[3]
        square_mean = square.mean(axis=1)
        spread = np.maximum(square - mean * mean, 0.0).mean(axis=1)
        return square_mean, spread, slope.mean(axis=1), active.mean(axis=1)

    def _side(self, shared: Array, own: Array) -> tuple[Array, Array, Array, Array]:
        """E f, E f^2, P(f' = 1) and P(f > 0) for f(h) = min((h - tau)_+, m)."""
        begin, rise = (shared - self.tau) / own, self.m / own
        above, first, second = _partial_moments(begin)
        beyond, first_beyond, second_beyond = _partial_moments(begin - rise)
        mean = own * (first - first_beyond)
        square = own * own * (second - second_beyond - 2.0 * rise * first_beyond)
        return mean, square, above - beyond, above


def _partial_moments(x: Array) -> tuple[Array, Array, Array]:
    """P(z > -x), E (z + x)_+ and E (z + x)_+^2 of a standard normal z; 0 for x < `_FAR`."""
    near = np.flatnonzero(x > _FAR)
    chosen = x.ravel()[near]
    above, first = np.zeros((2, *x.shape))
    tail = scipy.special.ndtr(chosen)
    above.ravel()[near] = tail
    first.ravel()[near] = chosen * tail + np.exp(-0.5 * chosen * chosen) / np.sqrt(2.0 * np.pi)
    return above, first, x * first + above
