"""The jumps of a function, and their terms in Gaussian expectations of its derivative.

At a jump phi' has a Dirac delta of the jump's size, whose expectation is a normal density.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .._types import Array

_FAR = 1e3  # the normal density is 0 there, and powers of it do not overflow


@dataclass(frozen=True)
class Jumps:
    """Where a function jumps, ascending, and its limits from both sides, each of shape (n,)."""

    at: Array
    below: Array
    above: Array

    @classmethod
    def joined(cls, parts: Iterable[Jumps]) -> Jumps:
        """All jumps of the parts, in order."""
        every = [np.stack([part.at, part.below, part.above]) for part in parts]
        table = np.concatenate(every, axis=1)
        return cls(*table[:, np.argsort(table[0])])

    @property
    def sizes(self) -> Array:
        """Those of the jumps of phi."""
        return self.above - self.below

    @property
    def sizes_of_square(self) -> Array:
        """Those of the jumps of phi^2."""
        return (self.above - self.below) * (self.above + self.below)

    def of_square(self, q: Array, weight: Callable[[Array], Array]) -> Array:
        """The sum of weight(a) gamma(a) times the jump of phi^2, at a = k / sqrt(q) for jumps at k.

        Args:
            q: variance, of any shape, which is the result's.
            weight: of a, elementwise.
        """
        a = np.clip(self.at / np.sqrt(q)[..., np.newaxis], -_FAR, _FAR)
        return np.asarray(np.sum(self.sizes_of_square * weight(a) * _density(a), axis=-1))

    def densities(self, q: float) -> Array:
        """The density of N(0, q) at every jump."""
        root = np.sqrt(q)
        return np.asarray(_density(np.clip(self.at / root, -_FAR, _FAR)) / root)

    def of_pairs(self, rho: float, q: float) -> float:
        """The joint density of u1 and u2 at all pairs of jumps, times both sizes, summed.

        At correlation 1 and -1 it is infinite if there are jumps at which both can be.
        """
        a, both = self.at / np.sqrt(q), np.outer(self.sizes, self.sizes)
        if abs(rho) == 1.0:
            meeting = float(np.sum(both * (a[:, None] == rho * a)))
            return float(np.copysign(np.inf, meeting)) if meeting != 0.0 else 0.0
        apart, total = a[:, None] - a, a[:, None] + a
        exponent = 0.25 * (apart**2 / (1.0 - rho) + total**2 / (1.0 + rho))
        scale = 2.0 * np.pi * q * np.sqrt((1.0 - rho) * (1.0 + rho))
        return float(np.sum(both * np.exp(-exponent)) / scale)


def _density(a: Array) -> Array:
    return np.asarray(np.exp(-0.5 * a * a) / np.sqrt(2.0 * np.pi))
