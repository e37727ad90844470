"""Random networks and the theory, layer by layer."""

from __future__ import annotations

import itertools

import numpy as np

import sparsity_theory as st
from sparsity_theory._types import Array
from sparsity_theory.published.rows import Design
from torch_models.records.layers import Layers

FEATURES = 100
"""Inputs of the networks: two random vectors, of the row's input variance."""

CHAIN_NETWORKS = 2000
"""Draws from the law at finite width, of which the quantiles are taken."""


def observed_layers(
    row: Design, width: int, depth: int, networks: int, correlation: float, seed: int
) -> dict[str, Layers]:
    """Every quantity in `TITLES`, of networks with the seeds from ``seed`` on, and in theory."""
    import torch

    from torch_models.networks.dense import DenseEnsemble
    from torch_models.networks.observe import observe as observe_layers
    from torch_models.networks.observe import observe_covariances, observe_gradients

    net, q0 = row.net(), row.input_variance()
    seeds = range(seed, seed + networks)
    ensemble = DenseEnsemble([net] * networks, FEATURES, width, depth, 1, seeds)
    pair = _pair_of_inputs(q0, correlation)
    first = torch.as_tensor(pair[:1], dtype=torch.float32)
    layers, covariances = observe_layers(ensemble, first), observe_covariances(ensemble, pair)
    sizes = observe_gradients(ensemble, first, seed=seed) ** 2
    variance = np.asarray(net.trajectory(q0, depth - 1))
    chain = st.draw_chain(net, width, depth, CHAIN_NETWORKS, seed, q0)
    gradients = st.draw_gradients(net, width, depth, CHAIN_NETWORKS, seed, q0) / np.log(10)
    units = np.random.default_rng(seed).chisquare(width, chain.variance.shape) / width
    with np.errstate(divide="ignore", invalid="ignore"):
        roots = np.sqrt(covariances[..., 0, 0] * covariances[..., 1, 1])
        gain = np.log10(sizes / sizes[:, -1:])
        limit = np.log10(_backward_products(net.chi(variance)))
    return {
        "variance": Layers(variance, layers.variance, _quantiles(chain.variance * units)),
        "sparsity": Layers(
            np.asarray(net.activation.sparsity(variance)),
            layers.sparsity,
            _quantiles(chain.sparsity),
        ),
        "correlation": Layers(
            _correlations(net, variance, correlation), covariances[..., 0, 1] / roots
        ),
        "gain": Layers(limit, gain, _quantiles(gradients)),
    }


def _pair_of_inputs(variance: float, correlation: float) -> Array:
    gaussian = np.random.default_rng(0).standard_normal((FEATURES, 2))
    u, v = np.linalg.qr(gaussian).Q.T
    other = correlation * u + np.sqrt(1 - correlation**2) * v
    return np.asarray(np.sqrt(FEATURES * variance) * np.stack([u, other]))


def _correlations(net: st.MeanField, variance: Array, start: float) -> Array:
    """Of two inputs of equal variance, by layer: the correlation map at each layer's variance."""
    correlations = [start]
    for q, following in itertools.pairwise(variance):
        covariance = float(net.correlation_map(correlations[-1], q)) * q
        correlations.append(min(covariance / float(following), 1.0))
    return np.array(correlations)


def _backward_products(chi: Array) -> Array:
    """chi(q^l) ... chi(q^{L-1}) for every l (Eq. 24)."""
    return np.append(np.cumprod(chi[-2::-1])[::-1], 1.0)


def _quantiles(drawn: Array) -> Array:
    return np.asarray(np.quantile(drawn, (0.05, 0.95), axis=-1, method="inverted_cdf"))
