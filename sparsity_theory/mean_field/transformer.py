"""Pre-norm transformers at initialization: the covariance of tokens, from block to block.

A block adds what attention makes of the normalized tokens n = norm(h), then what an MLP does:

    h_t <- h_t + alpha W_O sum_s A_ts W_V n_s,        h_t <- h_t + alpha W_2 phi(W_1 norm(h_t)).

Assumed is that queries are zero at initialization. Then every logit is zero, and attention is an
average: A_ts = 1 / t over the tokens s <= t that token t sees, or 1 / T over all; the number of
heads does not matter. With n n^T / N the matrix of correlations, and W_O W_V of variance sigma_a^2,

    C <- C + alpha^2 sigma_a^2 A corr(C) A^T,      C <- C + alpha^2 sigma_v^2 E phi(u) phi(u)^T,

u normal with covariance sigma_w^2 corr(C). So attention adds less to the variance of a token the
more tokens it averages over, from sigma_a^2 / t if they are uncorrelated to sigma_a^2 if they are
equal, and makes tokens more alike; so does an MLP whose phi has a mean.

None of this reaches the sparsity: whatever attention did, the input of phi has the variance
sigma_w^2 in every block and for every token, as `pre_norm` has it, also if queries are not zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _validation as check
from .._types import Array, FloatLike, Parameter, plain
from .._values import Value
from ..activations.expectations import GaussianExpectations
from .covariance import variances_and_correlations
from .pre_norm import PreNorm


class Transformer(Value):
    """Blocks of attention and an MLP behind normalizations, and their map of covariances.

    Args:
        mlp: the MLPs; its alpha is that of attention too, and its norm stands before both.
        sigma_a2: the variance that attention gives to the average of equal tokens, before alpha^2:
            entries of W_V are N(0, 1 / N) and those of W_O are N(0, sigma_a2 / N).
        causal: whether a token sees itself and those before it only, or all.

    Raises:
        ValueError: if mlp is no `PreNorm`, sigma_a2 is not positive and finite, or causal no bool.
    """

    mlp: PreNorm
    sigma_a2: Parameter
    causal: bool

    def __init__(self, mlp: PreNorm, sigma_a2: FloatLike = 1.0, causal: bool = True) -> None:
        if not isinstance(mlp, PreNorm):
            raise ValueError(f"mlp must be a PreNorm, got {check.shown(mlp)}")
        if not isinstance(causal, bool):
            raise ValueError(f"causal must be True or False, got {check.shown(causal)}")
        variance = check.single("sigma_a2", check.positive("sigma_a2", sigma_a2))
        if np.ndim(mlp.increment):
            raise ValueError(f"mlp must be a single initialization, got {check.shown(mlp)}")
        self._keep(mlp=mlp, sigma_a2=plain(check.parameter(np.asarray(variance))), causal=causal)

    def _parameters(self) -> dict[str, Any]:
        return {"mlp": self.mlp, "sigma_a2": self.sigma_a2, "causal": self.causal}

    @property
    def activation(self) -> GaussianExpectations:
        """phi."""
        return self.mlp.activation

    def sparsity(self) -> Array:
        """The expected share of zeros of phi, in every block and for every token."""
        return self.mlp.sparsity()

    def attention_weights(self, tokens: int) -> Array:
        """A, with which tokens (rows) average over tokens (columns), (tokens, tokens)."""
        ones = np.ones((check.size("tokens", tokens),) * 2)
        seen = np.tril(ones) if self.causal else ones
        return np.asarray(seen / seen.sum(axis=1, keepdims=True))

    def after_attention(self, covariance: FloatLike) -> Array:
        """The covariance of tokens behind attention, (T, T), from that before it.

        Raises:
            ValueError: if covariance is no symmetric matrix with a positive diagonal and
                correlations in [-1, 1].
        """
        _, rho = variances_and_correlations(covariance)
        weights = self.attention_weights(len(rho))
        added = np.square(self.mlp.alpha) * self.sigma_a2 * (weights @ rho @ weights.T)
        return np.asarray(np.asarray(covariance, dtype=np.float64) + 0.5 * (added + added.T))

    def after_mlp(self, covariance: FloatLike) -> Array:
        """The covariance of tokens behind an MLP, (T, T), from that before; errors are the same."""
        _, rho = variances_and_correlations(covariance)
        factor = np.square(self.mlp.alpha) * self.mlp.sigma_v2
        products = self.mlp.activation.mean_product(rho, np.asarray(self.mlp.sigma_w2))
        added = factor * products
        return np.asarray(np.asarray(covariance, dtype=np.float64) + 0.5 * (added + added.T))

    def covariance_map(self, covariance: FloatLike) -> Array:
        """The covariance of tokens behind a block, (T, T), from that before it."""
        return self.after_mlp(self.after_attention(covariance))

    def trajectory(self, depth: int, covariance: FloatLike) -> Array:
        """The covariance before the first block and behind each, shape (depth + 1, T, T).

        Raises:
            ValueError: for a depth below 1, and as `after_attention`.
        """
        found = [np.asarray(check.finite("covariance", covariance))]
        for _ in range(check.size("depth", depth)):
            found.append(self.covariance_map(found[-1]))
        return np.stack(found)
