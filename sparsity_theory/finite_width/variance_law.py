"""The exact law of the variance in a random network of finite width.

For independent Gaussian weights and biases no limit is needed: given layer l, the entries of
h^{l+1} are exactly independent N(0, q^{l+1}) with

    q^{l+1} = sigma_w^2 (1 / N) sum_i phi(sqrt(q^l) z_i)^2 + sigma_b^2,    z_i ~ N(0, 1),

so the variance of a real network of width N is a Markov chain, drawn here without any weights.
With it the gain of squared gradients is drawn, sigma_w^2 (1 / N) sum_i phi'(sqrt(q^l) z_i)^2 a
layer, which takes the backward weights as independent of the forward ones (as Eq. 24 does).

Most units of a sparse network are inactive and add nothing. So the number of active ones is drawn
first, which is binomial, and then only these units, from the tails beyond the dead zone. Without
bias a layer may have no active unit: then q = 0, and all pre-activations of the next are 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import scipy
from numpy.typing import NDArray

from .. import _validation as check
from .._types import Array, FloatLike, Parameter
from .._values import Summary
from ..mean_field.maps import check_net
from ..numerics.division import ratio_or_zero
from .drawn_units import values_and_slopes

if TYPE_CHECKING:
    from ..activations.expectations import GaussianExpectations
    from ..mean_field.maps import MeanField

LARGEST_VARIANCE = 1e200  # variances are cut here, since their squares would overflow
_BLOCK = 2_000_000  # units of one layer drawn at once, inactive ones included


@dataclass(frozen=True, eq=False, repr=False)
class Chain(Summary):
    """Random networks of one width, layer by layer; arrays are (depth, *batch, networks).

    Attributes:
        variance: q^1, ..., q^L.
        gain: the factor by which squared gradients grow from h^{l+1} to h^l, for l = 1, ..., L.
        sparsity: share of the units of layer l with phi = 0.
    """

    variance: Array
    gain: Array
    sparsity: Array

    @cached_property
    def log_backward_gain(self) -> Array:
        """The logarithm of the gain from h^L back to h^l: the sum over layers l, ..., L - 1."""
        with np.errstate(divide="ignore"):
            steps = np.log(self.gain[:-1])
        nothing = np.zeros((1, *steps.shape[1:]))
        return np.concatenate([np.cumsum(steps[::-1], axis=0)[::-1], nothing])


@dataclass(frozen=True, eq=False, repr=False)
class UnitChain(Chain):
    """A chain of which every unit was drawn.

    Attributes:
        unsaturated: sums over the units of layer l of phi'^2 times 1, x^2, x h and h^2, with
            x = phi(h); shape (4, depth, *batch, networks). For slopes 0 and 1 these are sums over
            the unsaturated units, those with phi' = 1.
    """

    unsaturated: Array


@dataclass(frozen=True, eq=False, repr=False)
class SmallNoise(Summary):
    """The variance of a wide network as a Gaussian process in the layer; arrays (depth, *batch).

    Near q* it is an AR(1) process: each layer multiplies the distance from q* by V'(q*), adds noise
    of variance Var q^{l+1} and, through V'' > 0, a drift.

    Attributes:
        mean: of q^1, ..., q^L.
        std: standard deviation of q^1, ..., q^L.
        valid: whether V is close enough to linear: over one standard deviation its slope changes
            by at most a tenth, in this layer and all before it.
    """

    mean: Array
    std: Array
    valid: NDArray[np.bool_]


def draw_chain(
    net: MeanField,
    width: int = 300,
    depth: int = 100,
    networks: int = 1000,
    seed: int | np.random.Generator = 0,
    q0: FloatLike | None = None,
) -> UnitChain:
    """Draw the variance, the gradient gain and the sparsity of every layer of random networks.

    Active units are drawn one by one. For the paper's four activations `draw_layers` draws whole
    layers, many times as fast.

    Args:
        net: the initialization; parameters may be arrays, one initialization each.
        width: units N in every layer.
        depth: number L of hidden layers.
        networks: how many networks to draw of each initialization.
        seed: of the random numbers, or their generator; the result depends on nothing else.
        q0: variance of the pre-activations of layer 1; ``net.q_star`` where not given.

    Raises:
        ValueError: for a width, depth or number of networks below 1, a negative seed, q0 not
            positive and finite, or q0 not given for a network without q_star.
    """
    start, shape = first_variances(net, width, depth, networks, q0)
    starts = np.broadcast_to(start, shape).ravel()
    index = np.repeat(np.arange(starts.size), networks)  # the initialization of every network
    blocks = np.array_split(index, -(-index.size * width // _BLOCK))
    rngs = check.generator(seed).spawn(len(blocks))
    drawn = [
        _draw_block(_Networks.of(net, shape, block), starts[block], width, depth, rng)
        for block, rng in zip(blocks, rngs, strict=True)
    ]
    variance, sparsity, *unsaturated = np.concatenate(drawn, axis=2).reshape(
        6, depth, *shape, networks
    )
    gain = np.broadcast_to(net.sigma_w2, shape)[..., np.newaxis] * (unsaturated[0] / width)
    return UnitChain(variance, gain, sparsity, np.stack(unsaturated))


def first_variances(
    net: MeanField, width: int, depth: int, networks: int, q0: FloatLike | None
) -> tuple[Array, tuple[int, ...]]:
    """The variance of layer 1 and the shape of the batch, after a check of all arguments."""
    check_net(net)
    check.size("width", width)
    check.size("depth", depth)
    check.size("networks", networks)
    start = net.require_q_star("q0") if q0 is None else check.positive("q0", q0)
    return start, np.shape(net.variance_map(start))


def one_step_variance(net: MeanField, q: FloatLike, width: int) -> Array:
    """The variance of q^{l+1} given q^l = q, whose mean is V(q): sigma_w^4 Var[phi^2] / N.

    Raises:
        ValueError: for q not positive and finite, or a width below 1.
    """
    check_net(net)
    q = check.positive("q", q)
    phi = net.activation
    spread = phi.mean_fourth_power(q) - phi.mean_square(q) ** 2
    return net.sigma_w2**2 * spread / check.size("width", width)


def small_noise(
    net: MeanField, width: int = 300, depth: int = 100, q0: FloatLike | None = None
) -> SmallNoise:
    """Mean and standard deviation of q^l in wide networks, where fluctuations are small.

    From layer to layer, with V and its derivatives at the mean q,

        mean -> V(q) + V''(q) std^2 / 2,    std^2 -> V'(q)^2 std^2 + Var[q^{l+1} | q].

    A mean below the smallest normal double, as without bias, is taken as that.

    Raises:
        ValueError: for a width or depth below 1, q0 not positive and finite, or q0 not given for a
            network without q_star.
    """
    check_net(net)
    check.size("depth", depth)
    start = net.require_q_star("q0") if q0 is None else check.positive("q0", q0)
    mean = np.broadcast_to(start, np.shape(net.variance_map(start))).astype(np.float64)
    variance = np.zeros(mean.shape)
    least = np.maximum(net.sigma_b2, np.finfo(float).tiny)
    means, variances, slope_changes = [], [], []
    for _ in range(depth):
        slope, curvature = net.variance_slope(mean), net.variance_curvature(mean)
        means.append(mean)
        variances.append(variance)
        slope_changes.append(np.abs(curvature) * np.sqrt(variance))
        variance = slope**2 * variance + one_step_variance(net, mean, width)
        drift = 0.5 * curvature * variances[-1]
        mean = np.clip(net.variance_map(mean) + drift, least, LARGEST_VARIANCE)
    linear = np.stack(slope_changes) <= 0.1
    valid = np.logical_and.accumulate(linear, axis=0)
    return SmallNoise(np.stack(means), np.sqrt(np.stack(variances)), valid)


@dataclass(frozen=True)
class _Networks:
    """The parameters of every network of a block, and its dead zone."""

    activation: GaussianExpectations
    batch: tuple[int, ...]
    index: NDArray[np.intp]
    sigma_w2: Array
    sigma_b2: Array
    dead_zone: tuple[Array, Array]

    @classmethod
    def of(cls, net: MeanField, batch: tuple[int, ...], index: NDArray[np.intp]) -> _Networks:
        """Networks of the initializations at these indices of the flattened batch."""

        def chosen(x: Parameter) -> Array:
            return np.broadcast_to(x, batch).ravel()[index]

        begin, end = net.activation.dead_zone()
        dead_zone = chosen(begin), chosen(end)
        sigma_w2, sigma_b2 = chosen(net.sigma_w2), chosen(net.sigma_b2)
        return cls(net.activation, batch, index, sigma_w2, sigma_b2, dead_zone)

    def sums(self, h: Array, number: NDArray[np.int64]) -> Array:
        """Sums over each network's units, shape (6, networks).

        Of phi^2, of [phi != 0], and of phi'^2 times 1, phi^2, phi h and h^2. ``h`` has the units of
        the first network, then those of the second, and so on.
        """
        phi = self.activation.take(np.repeat(self.index, number), self.batch)
        x, slope = values_and_slopes(phi, h)
        squared, weight = x * x, slope * slope
        weighted_h = weight * h
        terms = (squared, x != 0.0, weight, weight * squared, weighted_h * x, weighted_h * h)
        return np.stack([segment_sums(term, number) for term in terms])


def _draw_block(
    networks: _Networks, q: Array, width: int, depth: int, rng: np.random.Generator
) -> Array:
    """q^l, sparsities and the four sums over unsaturated units, shape (6, depth, networks)."""
    drawn = np.empty((6, depth, q.size))
    for layer in range(depth):
        square, active, *unsaturated = _layer_sums(networks, np.sqrt(q), width, rng)
        drawn[:, layer] = q, 1.0 - active / width, *unsaturated
        q = np.minimum(networks.sigma_w2 * (square / width) + networks.sigma_b2, LARGEST_VARIANCE)
    return drawn


def _layer_sums(networks: _Networks, root: Array, width: int, rng: np.random.Generator) -> Array:
    """`_Networks.sums` of one layer with pre-activations N(0, root^2); all units if root = 0."""
    begin, end = networks.dead_zone
    still = root == 0.0
    scale = np.where(still, 1.0, root)
    with np.errstate(over="ignore"):
        below, above = scipy.special.ndtr(begin / scale), scipy.special.ndtr(-end / scale)
    number_above = np.where(still, 0, rng.binomial(width, above))
    below_if_not_above = np.minimum(ratio_or_zero(below, 1.0 - above), 1.0)
    number_below = rng.binomial(width - number_above, below_if_not_above)
    number_below, below = np.where(still, width, number_below), np.where(still, 0.5, below)
    left = _lower_tail_units(below, number_below, rng) * np.repeat(root, number_below)
    right = _lower_tail_units(above, number_above, rng) * np.repeat(-root, number_above)
    return networks.sums(left, number_below) + networks.sums(right, number_above)


def _lower_tail_units(
    probability: Array, number: NDArray[np.int64], rng: np.random.Generator
) -> Array:
    """Standard normal numbers from the lower tails of these probabilities, by inversion."""
    return np.asarray(
        scipy.special.ndtri(np.repeat(probability, number) * (1.0 - rng.random(number.sum())))
    )


def segment_sums(values: Array, number: NDArray[np.int64]) -> Array:
    """Sums of consecutive segments of these lengths, some of them empty."""
    sums = np.zeros(number.size)
    filled = number > 0
    if np.any(filled):
        starts = np.cumsum(number) - number
        sums[filled] = np.add.reduceat(values, starts[filled], dtype=np.float64)
    return sums
