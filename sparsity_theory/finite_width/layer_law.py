"""The chain of `variance_law` with whole layers drawn at once, for the paper's four activations.

They rise with slope one on a ramp, from tau to tau + m (and, if odd, on its mirror image), and are
constant elsewhere. So the next layer depends on a layer of N units only through

- the number R of units on the ramp and the number C beyond it: multinomial, and drawn as such, so
  that the sparsity 1 - (R + C) / N and the gain sigma_w^2 R / N of gradients are exact;
- the sum of phi^2, which is C m^2 and a sum of R independent numbers, each (h - tau)^2 given that h
  is on the ramp.

Only that last sum is approximated, and only for R > `FEW`: by a gamma distribution, shifted and
perhaps reflected, with its mean, variance and third cumulant. Sums of R numbers have such a law up
to terms in 1 / R (the Edgeworth series). Fewer units are drawn one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy
from numpy.typing import NDArray

from .. import _validation as check
from .._types import Array, FloatLike, Parameter
from ..activations.thresholded import ClippedReLU, ClippedSoftThreshold, ShiftedReLU, SoftThreshold
from ..numerics.division import ratio_or_zero
from ..numerics.legendre import gauss_legendre
from .variance_law import LARGEST_VARIANCE, Chain, first_variances, segment_sums

if TYPE_CHECKING:
    from ..activations.expectations import GaussianExpectations
    from ..mean_field.maps import MeanField

FEW = 16
"""Up to this many units on the ramp are drawn one by one."""

# The moments of a ramp are accurate to 1e-9 with so many nodes.
_NODES, _, _WEIGHTS = gauss_legendre(20)
_POWERS = _WEIGHTS[:, np.newaxis] * _NODES[:, np.newaxis] ** np.array([0, 2, 4, 6])
_FAR = 60.0  # a ramp is cut where the density has fallen by exp(-60 / 2)
_UNCLIPPED = 1e120
_LEAST_SKEWNESS = 1e-4  # below it the gamma distribution is normal to double precision


@dataclass(frozen=True)
class Ramp:
    """Where phi rises: from tau to tau + m, on one side or both; m = 1e120 without clip."""

    tau: Array
    m: Array
    odd: bool

    @classmethod
    def of(cls, phi: GaussianExpectations) -> Ramp | None:
        """The ramp of one of the four activations; None for any other."""
        match phi:
            case ClippedReLU() | ClippedSoftThreshold():
                return cls(_column(phi.tau), _column(phi.m), phi.odd)
            case ShiftedReLU() | SoftThreshold():
                return cls(_column(phi.tau), np.full((), _UNCLIPPED), phi.odd)
        return None

    def draw(
        self, root: Array, width: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
        """R, C and the sum of phi^2 of layers with pre-activations N(0, root^2), root >= 0."""
        still = root == 0.0
        number, clipped, square = self._draw(np.where(still, 1.0, root), width, rng)
        if not np.any(still):
            return number, clipped, square
        # Where root = 0, all units are at h = 0.
        beyond = self.tau + self.m <= 0.0
        rising = (self.tau == 0.0) if self.odd else (self.tau < 0.0) & ~beyond
        height = np.clip(-self.tau, 0.0, self.m)
        return (
            np.where(still, width * rising, number),
            np.where(still, width * beyond, clipped),
            np.where(still, width * height**2, square),
        )

    def _draw(
        self, root: Array, width: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
        sides = 1 + self.odd
        beyond = sides * scipy.special.ndtr(-(self.tau + self.m) / root)
        rising = np.clip(sides * scipy.special.ndtr(-self.tau / root) - beyond, 0.0, 1.0)
        number = rng.binomial(width, rising)
        beyond_if_not_rising = np.minimum(ratio_or_zero(beyond, 1.0 - rising), 1.0)
        clipped = rng.binomial(width - number, beyond_if_not_rising)
        square = _sum_of(number, *self._cumulants(root), rng)
        few = number <= FEW
        square[few] = self._sum_of_few(number[few], *self._at(few, root), rng)
        return number, clipped, square + clipped * self.m**2

    def _at(self, chosen: NDArray[np.bool_], root: Array) -> tuple[Array, Array, Array]:
        """tau, m and the standard deviation of the chosen networks."""
        tau, m = (np.broadcast_to(x, root.shape)[chosen] for x in (self.tau, self.m))
        return tau, m, root[chosen]

    @staticmethod
    def _sum_of_few(
        number: NDArray[np.int64], tau: Array, m: Array, root: Array, rng: np.random.Generator
    ) -> Array:
        """Sums of (h - tau)^2 over units drawn one by one."""
        nearest, farthest = scipy.special.ndtr(-tau / root), scipy.special.ndtr(-(tau + m) / root)
        tail = np.repeat(nearest, number)
        tail -= np.repeat(nearest - farthest, number) * rng.random(number.sum())
        rise = -np.repeat(root, number) * scipy.special.ndtri(tail) - np.repeat(tau, number)
        return segment_sums(np.clip(rise, 0.0, np.repeat(m, number)) ** 2, number)

    def _cumulants(self, root: Array) -> tuple[Array, Array, Array]:
        """Mean, standard deviation and skewness of (h - tau)^2 on the ramp."""
        begin = np.broadcast_to(self.tau / root, root.shape)
        reach = _FAR / (np.sqrt(begin**2 + _FAR) + np.abs(begin)) + 2.0 * np.maximum(-begin, 0)
        length = np.minimum(self.m / root, reach)
        along = length[..., np.newaxis] * _NODES
        exponent = -(begin[..., np.newaxis] + 0.5 * along) * along
        exponent -= 0.5 * np.minimum(begin, 0.0)[..., np.newaxis] ** 2
        mass, first, second, third = np.moveaxis(np.exp(exponent) @ _POWERS, -1, 0)
        # A ramp so far out that its mass underflows has no units: its moments do not matter.
        first, second, third = (ratio_or_zero(part, mass) for part in (first, second, third))
        variance = second - first**2
        skewness = ratio_or_zero(third - 3.0 * first * variance - first**3, variance**1.5)
        unit = (length * root) ** 2
        return unit * first, unit * np.sqrt(variance), skewness


def draw_layers(
    net: MeanField,
    width: int = 300,
    depth: int = 100,
    networks: int = 1000,
    seed: int | np.random.Generator = 0,
    q0: FloatLike | None = None,
) -> Chain:
    """Draw what `draw_chain` draws, whole layers at once, many times as fast.

    Arguments are the same; the activation must be one of the paper's four.

    Raises:
        ValueError: as `draw_chain` does, and for another activation.
    """
    start, shape = first_variances(net, width, depth, networks, q0)
    ramp = Ramp.of(net.activation)
    if ramp is None:
        raise ValueError(f"activation must be one of the paper's four, got {net.activation!r}")
    rng = check.generator(seed)
    sigma_w2, sigma_b2 = (_column(x) for x in (net.sigma_w2, net.sigma_b2))
    q = np.empty((*shape, networks))
    q[...] = np.asarray(start)[..., np.newaxis]
    variance, gain, sparsity = np.empty((3, depth, *q.shape))
    for layer in range(depth):
        number, clipped, square = ramp.draw(np.sqrt(q), width, rng)
        variance[layer], gain[layer] = q, sigma_w2 * (number / width)
        sparsity[layer] = np.where(square > 0.0, 1.0 - (number + clipped) / width, 1.0)
        q = np.minimum(sigma_w2 * (square / width) + sigma_b2, LARGEST_VARIANCE)
    return Chain(variance, gain, sparsity)


def _column(parameter: Parameter) -> Array:
    """A parameter with an axis more, along which the networks of one initialization lie."""
    return np.asarray(parameter)[..., np.newaxis]


def _sum_of(
    number: NDArray[np.int64],
    mean: Array,
    deviation: Array,
    skewness: Array,
    rng: np.random.Generator,
) -> Array:
    """Sums of this many independent positive numbers, drawn from their moments."""
    skewness = np.copysign(np.maximum(np.abs(skewness), _LEAST_SKEWNESS), skewness)
    shape = 4.0 * np.maximum(number, 1) / skewness**2
    score = np.sign(skewness) * (rng.standard_gamma(shape) - shape) / np.sqrt(shape)
    return np.maximum(number * mean + np.sqrt(number) * deviation * score, 0.0)
