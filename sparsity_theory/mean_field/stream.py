"""What residual networks have in common: a stream to which every block adds an increment.

With increments that are independent of the stream and centred normal given it, as those of
`residual` and `pre_norm` are in the limit of infinite width, the stream's units stay independent
normal variables, and the covariance of two inputs (with themselves: the variance) follows

    c^{l+1} = keep c^l + increment(c^l).

Gradients go back along the stream and through the block. Through independent weights the second
part has mean zero given the first, so that squares add up: by the factor chi = keep + (chi of the
block).
"""

from __future__ import annotations

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike
from ..activations.expectations import GaussianExpectations
from .maps import Maps, iterated, known


class Stream(Maps):
    """The maps of a residual network, from what its blocks add."""

    @property
    def activation(self) -> GaussianExpectations:
        """phi."""
        raise NotImplementedError

    @property
    def _keep_factor(self) -> Array:
        """The factor by which a block multiplies the stream's variance."""
        raise NotImplementedError

    def _increment(self, q: Array) -> Array:
        """The variance that a block adds."""
        raise NotImplementedError

    def _increment_product(self, rho: Array, q: Array) -> Array:
        """The covariance that a block adds to two inputs of variance q and correlation rho."""
        raise NotImplementedError

    def _increment_gap(self, gap: Array, q: Array) -> Array:
        """The variance that it adds less that covariance, at correlation 1 - gap."""
        raise NotImplementedError

    def _increment_slope(self, rho: Array, q: Array) -> Array:
        """The derivative of that covariance by rho."""
        raise NotImplementedError

    def _block_chi(self, q: Array) -> Array:
        """The factor of squared gradients through the block alone."""
        raise NotImplementedError

    def _start(self, q0: FloatLike | None) -> Array:
        """``q0``, or the variance that stands for it where it is not given."""
        raise NotImplementedError

    def sparsity(self, q: FloatLike) -> Array:
        """The expected share of zeros of phi in a block whose stream has the variance q."""
        raise NotImplementedError

    def variance_map(self, q: FloatLike) -> Array:
        """The stream's variance behind a block, from that before it, q >= 0; inf beyond doubles.

        Raises:
            ValueError: for q negative or not finite, or of a shape that does not broadcast with the
                parameters, as in all methods.
        """
        q = check.nonnegative("q", q)
        self._check_shapes(q=q)
        with np.errstate(over="ignore"):
            return np.asarray(self._keep_factor * q + self._increment(q))[()]

    def chi(self, q: FloatLike) -> Array:
        """The factor by which mean squared gradients grow from behind a block to before it.

        Raises:
            ValueError: for q not positive and finite.
        """
        q = check.positive("q", q)
        self._check_shapes(q=q)
        with np.errstate(over="ignore"):
            return np.asarray(self._keep_factor + self._block_chi(q))[()]

    def correlation_map(self, rho: FloatLike, q: FloatLike) -> Array:
        """The correlation behind a block of two inputs, from theirs before it, rho in [-1, 1].

        Both have the variance q before the block; unlike in plain networks q need be no fixed
        point, as the result is divided by the variance behind the block.

        Raises:
            ValueError: for rho outside [-1, 1], or q not positive and finite.
        """
        rho, q = check.correlation("rho", rho), check.positive("q", q)
        self._check_shapes(rho=rho, q=q)
        with np.errstate(over="ignore", invalid="ignore"):
            product = self._keep_factor * q * rho + self._increment_product(rho, q)
            mapped = product / self.variance_map(q)
        return np.clip(known(self.activation, mapped, q), -1.0, 1.0)[()]

    def correlation_slope(self, rho: FloatLike, q: FloatLike) -> Array:
        """The derivative of `correlation_map` by rho; arguments and errors are the same."""
        rho, q = check.correlation("rho", rho), check.positive("q", q)
        self._check_shapes(rho=rho, q=q)
        with np.errstate(over="ignore", invalid="ignore"):
            rise = self._keep_factor * q + self._increment_slope(rho, q)
            slope = rise / self.variance_map(q)
        return known(self.activation, slope, q)

    def correlation_gap(self, gap: FloatLike, q: FloatLike) -> Array:
        """1 - rho behind a block, from gap = 1 - rho before it, in [0, 2], without cancellation.

        Raises:
            ValueError: for a gap outside [0, 2], or q not positive and finite.
        """
        gap, q = check.gap("gap", gap), check.positive("q", q)
        self._check_shapes(gap=gap, q=q)
        with np.errstate(over="ignore", invalid="ignore"):
            apart = self._keep_factor * q * gap + self._increment_gap(gap, q)
            mapped = apart / self.variance_map(q)
        return known(self.activation, mapped, q)

    def trajectory(self, depth: int, q0: FloatLike | None = None) -> Array:
        """The variances q^1, ..., q^L of the stream: shape (depth, *batch).

        Args:
            depth: number L of layers, at least 1, with a block between each and the next.
            q0: q^1; where not given, what the initialization was made for.

        Raises:
            ValueError: for q0 not positive and finite, or a depth below 1.
        """
        return iterated(self.variance_map, self._start(q0), check.size("depth", depth) - 1)

    def log_gradient_growth(self, depth: int, q0: FloatLike | None = None) -> Array:
        """The logarithm of mean |delta^l|^2 over |delta^L|^2, l = 1, ..., L: (depth, *batch).

        The sums of log chi(q^l) over the blocks behind; arguments and errors as of `trajectory`.
        """
        variances = self.trajectory(depth, q0)
        finite = np.isfinite(variances)
        chi = self.chi(np.where(finite, variances, np.finfo(float).max))
        with np.errstate(divide="ignore"):
            steps = np.log(chi[:-1])
        nothing = np.zeros((1, *steps.shape[1:]))
        return np.concatenate([np.cumsum(steps[::-1], axis=0)[::-1], nothing])
