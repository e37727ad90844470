"""Random pre-norm transformers: the zeros of their MLPs, and the covariance of their tokens."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

import sparsity_theory as st
from property_tests.support.chance import atypical, typical
from property_tests.support.networks import ACTIVATIONS, every_kind
from property_tests.support.scores import Floats, combined_z, score_of_count, z_of_mean
from torch_models.networks.transformer import Attention, Block, LanguageModel

TOKENS = 5


def transformer(kind: str, depth: int = 4, causal: bool = True) -> st.Transformer:
    """Whose every block adds at most 1 / depth to the variance of a token."""
    phi = ACTIVATIONS[kind]
    mlp = st.PreNorm(phi, alpha=(2 * depth) ** -0.5, sigma_v2=1 / float(phi.mean_square(1.0)))
    return st.Transformer(mlp, sigma_a2=1.5, causal=causal)


def model_of(net: st.Transformer, width: int, depth: int, seed: int) -> LanguageModel:
    """A model in float64, of 8 tokens."""
    return LanguageModel(net, 8, width, depth, 2, TOKENS, seed, hidden=2 * width).double()


def with_queries(model: LanguageModel, seed: int) -> LanguageModel:
    """The model with queries that are not zero, so that attention is no average."""
    generator = torch.Generator().manual_seed(seed)
    for part in model.modules():
        if isinstance(part, Attention):
            queries = part.projections.weight[: part.output.in_features]
            queries.normal_(0, 0.5, generator=generator)
    return model


@torch.no_grad()
@pytest.mark.claim("Transformers: sparsity")
@every_kind
def test_zeros_of_every_mlp_are_as_frequent_as_designed_whatever_attention_does(kind: str) -> None:
    """Of the last token's 128 hidden units in 4 blocks of 20 networks; exactly binomial.

    The wrong theory is that of networks without normalization, whose stream grows from variance 1
    to 2 or so: that moves the zeros by 25 standard deviations for ReLU.
    """
    net, width, depth = transformer(kind), 64, 4
    zeros = np.zeros((20, depth))
    for seed in range(len(zeros)):
        model = with_queries(model_of(net, width, depth, seed), 100 + seed)
        h = model.embed(torch.arange(TOKENS)[None])
        for layer, block in enumerate(model.blocks):
            assert isinstance(block, Block)
            n = block.mlp_norm(h + block.attention(block.attention_norm(h)))
            x = block.mlp[1](block.mlp[0](n))[0, -1]
            zeros[seed, layer], h = int((x == 0).sum()), block(h)

    def z(share: Floats) -> float:
        return combined_z(score_of_count(zeros, 2 * width, share, seed=1))

    share = np.broadcast_to(net.sparsity(), zeros.shape)
    assert typical(z(share))
    grown = 1.0 + np.arange(1, depth + 1) / depth
    assert atypical(z(np.broadcast_to(net.mlp.activation.sparsity(grown), zeros.shape)))


def gram(h: Tensor) -> Floats:
    """Of tokens (..., T, N) over their N units, (..., T, T)."""
    return np.asarray(h @ h.mT / h.shape[-1])


@cache
def added(kind: str) -> tuple[Floats, Floats, Floats, Floats]:
    """What attention and the MLP add, and correlations before each: (networks, T, T)."""
    net, found = transformer(kind, 1), []
    for seed in range(300):
        model = model_of(net, 24, 1, seed)
        block = model.blocks[0]
        assert isinstance(block, Block)
        n = block.attention_norm(model.embed(torch.arange(TOKENS)[None]))
        gathered = block.attention(n)
        found.append((gram(n), gram(gathered), gram(block.mlp(n))))
    before, attention, mlp = (np.concatenate(each) for each in zip(*found, strict=True))
    return before, attention, before, mlp


def z_of_sums(
    observed: Floats, expected: Floats, weights: Floats | float = 1.0
) -> tuple[float, float]:
    """Scores of the tokens' variances, and of the weighted covariances of all pairs."""
    off = observed - expected
    variances = np.trace(off, axis1=1, axis2=2)
    pairs = np.sum(weights * off * (1.0 - np.eye(TOKENS)), axis=(1, 2))
    return z_of_mean(variances, 0.0), z_of_mean(pairs, 0.0)


@torch.no_grad()
@pytest.mark.claim("Transformers: tokens")
def test_attention_without_queries_adds_the_covariance_of_averages() -> None:
    """Its expectation given the tokens is exact at any width; a mean over 300 networks of 24 units.

    Rejected: that every token attends to all, or to itself.
    """
    before, attention, _, _ = added("relu")
    net = transformer("relu", 1)
    factor = float(net.mlp.alpha) ** 2 * net.sigma_a2

    def z(weights: Floats) -> tuple[float, float]:
        return z_of_sums(attention, factor * weights @ before @ weights.T)

    assert typical(z(net.attention_weights(TOKENS)))
    assert atypical(z(transformer("relu", 1, causal=False).attention_weights(TOKENS))[0])
    assert atypical(z(np.eye(TOKENS)))


@torch.no_grad()
@pytest.mark.claim("Transformers: tokens")
@pytest.mark.parametrize("kind", ["relu", "cst"])
def test_an_mlp_adds_the_covariance_of_its_activations(kind: str) -> None:
    """As for attention; rejected: that of the identity, with the same variances."""
    _, _, before, mlp = added(kind)
    net = transformer(kind, 1).mlp
    factor = float(net.alpha) ** 2 * float(net.sigma_v2)
    rho = np.clip(before, -1.0, 1.0)
    weights = np.sign(rho) if kind == "cst" else 1.0  # an odd phi keeps the sign of rho
    assert typical(z_of_sums(mlp, factor * net.activation.mean_product(rho, np.ones(())), weights))
    linear = factor * float(net.activation.mean_square(np.ones(()))) * rho
    assert atypical(z_of_sums(mlp, linear, weights)[1])


@torch.no_grad()
@pytest.mark.claim("Transformers: tokens")
def test_the_covariance_of_tokens_follows_its_map_through_a_whole_network() -> None:
    """Means over 24 networks of 512 units; terms in 1 / N are a fifth of their standard error.

    Rejected: that every token attends to all, and that blocks add their increments once in two.
    """
    net, depth = transformer("crelu"), 4
    ends, starts = [], []
    for seed in range(24):
        model = model_of(net, 512, depth, seed)
        h = model.embed(torch.arange(TOKENS)[None])
        starts.append(gram(h)[0])
        ends.append(gram(model.blocks(h))[0])

    def z(theory: st.Transformer, blocks: int) -> tuple[float, float]:
        expected = [theory.trajectory(blocks, start)[-1] for start in starts]
        return z_of_sums(np.array(ends), np.array(expected))

    assert typical(z(net, depth))
    assert atypical(z(transformer("crelu", causal=False), depth)[0])
    assert atypical(z(net, depth // 2))


def test_tokens_grow_alike_the_more_they_average_over() -> None:
    """Uncorrelated tokens gain sigma_a^2 / t, equal ones all of sigma_a^2."""
    net = transformer("st", 1)
    factor = float(net.mlp.alpha) ** 2 * net.sigma_a2
    behind = net.after_attention(np.eye(4))
    np.testing.assert_allclose(np.diag(behind), 1 + factor / np.arange(1, 5), rtol=1e-14)
    np.testing.assert_allclose(net.after_attention(np.ones((4, 4))), 1 + factor, rtol=1e-14)
    odd = net.after_mlp(np.eye(4))  # soft thresholding has mean 0: tokens stay uncorrelated
    np.testing.assert_allclose(odd, np.eye(4) * odd[0, 0], atol=1e-14)
    assert math.isclose(odd[0, 0], 1 + float(net.mlp.increment), rel_tol=1e-14)


def test_what_is_no_transformer_or_covariance_is_refused() -> None:
    net = transformer("relu")
    with pytest.raises(ValueError, match="mlp must be a PreNorm, got"):
        st.Transformer(st.ShiftedReLU(0.5))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mlp must be a single initialization, got"):
        st.Transformer(st.PreNorm(st.ShiftedReLU(0.5), alpha=np.array([0.1, 0.2])))
    with pytest.raises(ValueError, match="sigma_a2 must be positive and finite, got 0"):
        st.Transformer(net.mlp, sigma_a2=0.0)
    with pytest.raises(ValueError, match="causal must be True or False, got 1"):
        st.Transformer(net.mlp, causal=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="depth must be an integer of at least 1, got 0"):
        net.trajectory(0, np.eye(2))
    with pytest.raises(ValueError, match=r"correlation must be in \[-1, 1\], got 2"):
        net.covariance_map([[1.0, 2.0], [2.0, 1.0]])
    assert eval(repr(net), {"Transformer": st.Transformer, **vars(st)}) == net
